package fromenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache"
)

// complete is an environment with nothing wrong in it.
func complete(set map[string]string) map[string]string {
	environ := map[string]string{
		"FLEETTOKEN_TOKEN_URL":     "https://tenant.example/oauth/token",
		"FLEETTOKEN_CLIENT_ID":     "client-0001",
		"FLEETTOKEN_CLIENT_SECRET": "hunter2",
		"FLEETTOKEN_REDIS_URL":     "redis://127.0.0.1:6379",
	}
	maps.Copy(environ, set)
	return environ
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every setting reaches its field.
func TestParse(t *testing.T) {
	keys := file(t, "# two keys\n"+strings.Repeat("ab", 32)+"\r\n\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
	environ := complete(map[string]string{
		"FLEETTOKEN_AUDIENCE": "https://api.example", "FLEETTOKEN_ORGANIZATION": "org", "FLEETTOKEN_SCOPES": " a  b ",
		"FLEETTOKEN_PARAMS": "resource=x%2Fy&resource=z", "FLEETTOKEN_ENCODING": "basic",
		"FLEETTOKEN_PREFIX": "mine", "FLEETTOKEN_REPLICA": "me", "FLEETTOKEN_ENCRYPTION_KEYS_FILE": keys,
		"FLEETTOKEN_RENEW_BEFORE": "2h", "FLEETTOKEN_REQUEST_TIMEOUT": "5s", "FLEETTOKEN_REDIS_TIMEOUT": "250ms",
		"FLEETTOKEN_ENFORCED_QUOTA": "true", "FLEETTOKEN_DEFAULT_LIFETIME": "9h", "FLEETTOKEN_GRANT_TYPE": "account_credentials", "UNRELATED": "x", "TOKEN_URL": "of another program",
	})
	c, err := Parse(environ)
	if err != nil || len(c.Warnings) > 0 {
		t.Fatalf("got %v and warnings %v, want none", err, c.Warnings)
	}
	cred, o := c.Credentials, c.Options
	if cred.TokenURL != "https://tenant.example/oauth/token" || cred.ClientID != "client-0001" || cred.ClientSecret != "hunter2" ||
		cred.Audience != "https://api.example" || cred.Organization != "org" || strings.Join(cred.Scopes, ",") != "a,b" ||
		cred.Params.Encode() != "resource=x%2Fy&resource=z" || cred.Encoding != tokencache.FormBasic || cred.DefaultLifetime != 9*time.Hour || cred.GrantType != "account_credentials" {
		t.Errorf("got %v, scopes %q, params %q, encoding %d", cred, cred.Scopes, cred.Params, cred.Encoding)
	}
	if o.Prefix != "mine" || o.Replica != "me" || len(o.EncryptionKeys) != 2 || len(o.EncryptionKeys[1]) != 32 || o.RenewBefore != 2*time.Hour ||
		o.RequestTimeout != 5*time.Second || o.RedisTimeout != 250*time.Millisecond || !o.EnforcedQuota || o.RootCAs != nil {
		t.Errorf("got %v", o)
	}
	if !slices.Equal(c.Redis.Addrs, []string{"127.0.0.1:6379"}) {
		t.Errorf("got Redis at %q", c.Redis.Addrs)
	}
	rdb := tokencache.NewRedisClient(c.Redis)
	defer rdb.Close()
	cache, err := tokencache.New(rdb, &c.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	if _, err := cache.Source(c.Credentials); err != nil {
		t.Error(err)
	}
}

// Each mistake is reported once, by the name of its setting, and without what the
// setting holds.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	for _, row := range []struct{ name, value, want string }{
		{"TOKEN_URL", "", "is empty: set it"},
		{"TOKEN_URL", "https://user:hunter2@tenant.example/", "has a user name or password in it"},
		{"TOKEN_URL", "http://127.0.0.1/token", "is http://127.0.0.1/token: it must begin with https://"},
		{"TOKEN_URL", "http://tenant.example/token", "is http://tenant.example/token: it must begin with https://"},
		{"CLIENT_ID", "", "is empty: set it"},
		{"CLIENT_SECRET", "", "is empty: set it"},
		{"CLIENT_SECRET", "hunter2\n", "has a blank or a newline at one end"},
		{"PARAMS", "%zzhunter2", "cannot be read: write it like a=1&b=2"},
		{"PARAMS", "client_secret=hunter2", `has "client_secret" in it`},
		{"ENCODING", "hunter2", "is not an encoding: use json, form, basic or basic-plain"},
		{"PREFIX", "a b", "is \"a b\""},
		{"REQUEST_TIMEOUT", "hunter2", "is not a duration"},
		{"REQUEST_TIMEOUT", "499ms", "is 499ms: give it 500ms or more"},
		{"RENEW_BEFORE", "-1s", "is -1s: it cannot be negative"},
		{"REDIS_TIMEOUT", "2h", "is 2h0m0s: give it 1h0m0s or less"},
		{"ENFORCED_QUOTA", "hunter2", "is neither true nor false"},
		{"REDIS_URL", "", "is not set"},
		{"REDIS_URL", "redis://:hunter2@h:x", "is not the URL of a Redis: the host is not one"},
		{"REDIS_CA_FILE", "/nowhere", "cannot be read: open /nowhere"},
		{"CA_FILE", "/nowhere", "cannot be read: open /nowhere"},
		{"CA_FILE", file(t, "hunter2"), "which has no certificate in it"},
		{"CLIENT_SECRET_FILE", file(t, "hunter2"), "and FLEETTOKEN_CLIENT_SECRET are both set: unset one"},
		{"ENCRYPTION_KEYS_FILE", "/nowhere", "cannot be read: open /nowhere"},
		{"ENCRYPTION_KEYS_FILE", dir, "a directory: name the file in it"},
		{"ENCRYPTION_KEYS_FILE", file(t, "# none\n"), "which has no key in it"},
		{"ENCRYPTION_KEYS_FILE", file(t, strings.Repeat("ab", 32)+"\nhunter2"), "whose line 2 has 5 bytes, and a key has 32"},
	} {
		_, err := Parse(complete(map[string]string{Prefix + row.name: row.value}))
		var all []error
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			all = joined.Unwrap()
		}
		wrong, ok := errors.AsType[*SettingError](err)
		if len(all) != 1 || !ok || wrong.Setting != Prefix+row.name || wrong.Problem == "" || wrong.Advice == "" || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s=%q: got %v, want one mistake in it with %q", row.name, row.value, err, row.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "Credentials.") || strings.Contains(err.Error(), "Options.")) {
			t.Errorf("%s=%q: got %v, which shows a secret or a field", row.name, row.value, err)
		}
	}
}

// All mistakes are reported at once, in an order of their own.
func TestMistakesTogether(t *testing.T) {
	_, err := Parse(nil)
	want := []string{"FLEETTOKEN_CLIENT_ID", "FLEETTOKEN_CLIENT_SECRET", "FLEETTOKEN_REDIS_URL", "FLEETTOKEN_TOKEN_URL"}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %v, want a line for each of %q", err, want)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]+" ") {
			t.Errorf("got %q, want it to begin with %s", line, want[i])
		}
	}
}

// A secret file may end with one newline. Anything else at an end is a mistake.
func TestClientSecretFile(t *testing.T) {
	for content, want := range map[string]string{
		"hunter2": "hunter2", "hunter2\n": "hunter2", "hunter2\r\n": "hunter2", "hun\nter2\n": "hun\nter2",
		"hunter2\n\n": "", " hunter2": "", "\nhunter2": "", "hunter2 \n": "",
	} {
		c, err := Parse(complete(map[string]string{"FLEETTOKEN_CLIENT_SECRET": "", "FLEETTOKEN_CLIENT_SECRET_FILE": file(t, content)}))
		if want == "" {
			if wrong, ok := errors.AsType[*SettingError](err); !ok || wrong.Setting != "FLEETTOKEN_CLIENT_SECRET_FILE" {
				t.Errorf("%q: got %v, want a mistake in the file", content, err)
			}
			continue
		}
		if err != nil || c.Credentials.ClientSecret != want || c.Setting("Credentials.ClientSecret") != "FLEETTOKEN_CLIENT_SECRET_FILE" {
			t.Errorf("%q: got %q from %s and %v, want %q", content, c.Credentials.ClientSecret, c.Setting("Credentials.ClientSecret"), err, want)
		}
	}
}

// What looks like a setting and is none is reported, but for what Kubernetes sets.
func TestWarnings(t *testing.T) {
	secret := file(t, "hunter2")
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Parse(complete(map[string]string{
		"FLEETTOKEN_CLIENT_SECERT": "x", "FLEETTOKEN_REDIS_URI": "x", "FLEETTOKEN_TIMEOUT": "x", "FLEETTOKEN_SEAL_KEYS_FILE": "x",
		"FLEETTOKEN_SERVICE_HOST": "x", "FLEETTOKEN_SERVICE_PORT_HTTP": "x", "FLEETTOKEN_PORT": "x", "FLEETTOKEN_PORT_443_TCP": "x", "FLEETTOKEN_PORT_443_TCP_ADDR": "x", "FLEETTOKEN": "x",
		"FLEETTOKEN_CLIENT_SECRET": "", "FLEETTOKEN_CLIENT_SECRET_FILE": secret, "FLEETTOKEN_REDIS_URL": "redis://:hunter3@redis.example",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"FLEETTOKEN_CLIENT_SECERT": "did you mean FLEETTOKEN_CLIENT_SECRET", "FLEETTOKEN_REDIS_URI": "did you mean FLEETTOKEN_REDIS_URL",
		"FLEETTOKEN_TIMEOUT": "unset it, or correct its name", "FLEETTOKEN_SEAL_KEYS_FILE": "it is called FLEETTOKEN_ENCRYPTION_KEYS_FILE now",
		"FLEETTOKEN_CLIENT_SECRET_FILE": "chmod o-r", "FLEETTOKEN_REDIS_URL": "write rediss in place of redis",
	}
	for _, w := range c.Warnings {
		if advice, ok := want[w.Setting]; !ok || !strings.Contains(w.Advice, advice) {
			t.Errorf("got %v, want it to say %q", w, advice)
		}
		delete(want, w.Setting)
	}
	if len(want) > 0 {
		t.Errorf("got no warnings of %v", want)
	}
	if got := c.Secrets(); !slices.Equal(got, []string{"hunter2", "hunter3"}) {
		t.Errorf("got %d secrets, want the client's and that of Redis", len(got))
	}
}

// The documentation has all settings, and the fields that they set exist.
func TestSettings(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Settings() {
		if !strings.Contains(string(text), "//\t"+name+" ") {
			t.Errorf("the documentation has no %s", name)
		}
	}
	structs := map[string]reflect.Type{"Credentials": reflect.TypeFor[tokencache.Credentials](), "Options": reflect.TypeFor[tokencache.Options]()}
	for f := range reflect.TypeFor[settings]().Fields() {
		if of, field, ok := strings.Cut(f.Tag.Get("sets"), "."); ok {
			if _, exists := structs[of].FieldByName(field); !exists {
				t.Errorf("%s sets %s.%s, which does not exist", f.Name, of, field)
			}
		}
	}
}

// Printing a Config shows no secret.
func TestConfigIsPrinted(t *testing.T) {
	c, err := Parse(complete(map[string]string{"FLEETTOKEN_REDIS_URL": "redis://:hunter2@127.0.0.1"}))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(c)
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s", c, c, c), c.LogValue().String(), string(text)} {
		if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "tenant.example") {
			t.Errorf("got %s", shown)
		}
	}
}

// Load reads the environment of the process.
func TestLoad(t *testing.T) {
	for name, value := range complete(nil) {
		t.Setenv(name, value)
	}
	c, err := Load()
	if err != nil || c.Credentials.ClientID != "client-0001" {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestEdits(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "acb", 2}, {"kitten", "sitting", 3},
	} {
		if got := edits(row.a, row.b); got != row.want {
			t.Errorf("edits(%q, %q): got %d, want %d", row.a, row.b, got, row.want)
		}
	}
}
