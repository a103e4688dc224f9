package main

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/fromenv"
)

// complete is an environment with nothing wrong in it.
func complete() map[string]string {
	return map[string]string{
		"FLEETTOKEN_TOKEN_URL":     "https://tenant.example/oauth/token",
		"FLEETTOKEN_CLIENT_ID":     "client-0001",
		"FLEETTOKEN_CLIENT_SECRET": "secret",
		"FLEETTOKEN_REDIS_URL":     "redis://127.0.0.1:6379",
	}
}

func newTestApp(set map[string]string) (*app, *strings.Builder) {
	env := complete()
	maps.Copy(env, set)
	var stderr strings.Builder
	return &app{env: env, stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr}, &stderr
}

// newTestAppAt returns an app for a token endpoint and a Redis.
func newTestAppAt(t *testing.T, tenant *auth0test.Server, redisURL string) (*app, *strings.Builder) {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, tenant.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return newTestApp(map[string]string{
		"FLEETTOKEN_TOKEN_URL": tenant.TokenURL(), "FLEETTOKEN_CLIENT_ID": "test-client", "FLEETTOKEN_CLIENT_SECRET": "test-secret",
		"FLEETTOKEN_CA_FILE": ca, "FLEETTOKEN_REDIS_URL": redisURL,
	})
}

func TestConfig(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(sealKeyCanary+"\r\n"+otherCanary), 0o600); err != nil {
		t.Fatal(err)
	}
	a, stderr := newTestApp(map[string]string{
		"FLEETTOKEN_AUDIENCE": "https://api.example", "FLEETTOKEN_ORGANIZATION": "org", "FLEETTOKEN_SCOPES": " a  b ",
		"FLEETTOKEN_PARAMS": "resource=x%2Fy&resource=z", "FLEETTOKEN_ENCODING": "basic",
		"FLEETTOKEN_PREFIX": "mine", "FLEETTOKEN_REPLICA": "me", "FLEETTOKEN_ENCRYPTION_KEYS_FILE": keys,
		"FLEETTOKEN_RENEW_BEFORE": "2h", "FLEETTOKEN_REQUEST_TIMEOUT": "5s", "FLEETTOKEN_REDIS_TIMEOUT": "250ms",
		"FLEETTOKEN_ENFORCED_QUOTA": "true",
		"UNRELATED":                 "x", "TOKEN_URL": "not ours",
	})
	c, err := a.config()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("got %v and %q, want no error and silence", err, stderr)
	}
	cred, o := c.Credentials, c.Options
	if cred.TokenURL != "https://tenant.example/oauth/token" || cred.ClientID != "client-0001" || cred.ClientSecret != "secret" ||
		cred.Audience != "https://api.example" || cred.Organization != "org" || strings.Join(cred.Scopes, ",") != "a,b" ||
		cred.Params.Encode() != "resource=x%2Fy&resource=z" || cred.Encoding != tokencache.FormBasic {
		t.Errorf("got %#v, scopes %q, params %q, encoding %d", cred, cred.Scopes, cred.Params, cred.Encoding)
	}
	if o.Prefix != "mine" || o.Replica != "me" || len(o.EncryptionKeys) != 2 || len(o.EncryptionKeys[1]) != 32 || o.RenewBefore != 2*time.Hour ||
		o.RequestTimeout != 5*time.Second || o.RedisTimeout != 250*time.Millisecond || !o.EnforcedQuota || o.RootCAs != nil {
		t.Errorf("got options %+v", o)
	}
	fleet, err := c.join()
	if err != nil {
		t.Fatal(err)
	}
	fleet.close()
}

// Everything that the library has a say in is asked before anything is tried.
func TestConfigErrors(t *testing.T) {
	tests := []struct {
		name, value string
		want        string
	}{
		{"TOKEN_URL", "https://user:hunter2@tenant.example/", "FLEETTOKEN_TOKEN_URL has a user name or password in it"},
		{"TOKEN_URL", "https:///oauth/token", "FLEETTOKEN_TOKEN_URL has no host in it"},
		{"TOKEN_URL", "https://tenant.example/#x", "FLEETTOKEN_TOKEN_URL has a fragment"},
		{"TOKEN_URL", "::hunter2", "FLEETTOKEN_TOKEN_URL is not a URL"},
		{"TOKEN_URL", "http://127.0.0.1/", "it must begin with https://"},
		{"CLIENT_ID", "x\n", "FLEETTOKEN_CLIENT_ID has a blank or a newline"},
		{"CLIENT_SECRET", "hunter2\n", "FLEETTOKEN_CLIENT_SECRET has a blank or a newline"},
		{"PARAMS", "client_secret=hunter2", `FLEETTOKEN_PARAMS has "client_secret" in it`},
		{"PARAMS", "%zzhunter2", "FLEETTOKEN_PARAMS cannot be read"},
		{"ENCODING", "hunter2", "FLEETTOKEN_ENCODING is not an encoding"},
		{"PREFIX", "a b", "FLEETTOKEN_PREFIX is"},
		{"REQUEST_TIMEOUT", "hunter2", "FLEETTOKEN_REQUEST_TIMEOUT is not a duration"},
		{"REQUEST_TIMEOUT", "499ms", "FLEETTOKEN_REQUEST_TIMEOUT is 499ms"},
		{"RENEW_BEFORE", "-1s", "FLEETTOKEN_RENEW_BEFORE is -1s: it cannot be negative"},
		{"REDIS_URL", "", "FLEETTOKEN_REDIS_URL is not set"},
		{"REDIS_URL", "redis://:hunter2@h:x", "FLEETTOKEN_REDIS_URL is not the URL of a Redis: the host is not one"},
		{"REDIS_CA_FILE", "/nowhere", "FLEETTOKEN_REDIS_CA_FILE cannot be read: open /nowhere"},
		{"ENCRYPTION_KEYS_FILE", "/nowhere", "FLEETTOKEN_ENCRYPTION_KEYS_FILE cannot be read: open /nowhere"},
		{"CA_FILE", "/nowhere", "FLEETTOKEN_CA_FILE cannot be read: open /nowhere"},
	}
	for _, test := range tests {
		a, _ := newTestApp(map[string]string{fromenv.Prefix + test.name: test.value})
		_, err := a.config()
		failure, ok := err.(*failure)
		if !ok || failure.code != exitUsage || len(failure.problems) != 1 || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s=%q: got %v, want one problem with %q", test.name, test.value, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "Credentials.")) {
			t.Errorf("%s=%q: got %v, which tells too much", test.name, test.value, err)
		}
	}
}

// What others repeat in their errors is not said either.
func TestSecretsAreNotSaid(t *testing.T) {
	a, stderr := newTestApp(map[string]string{"FLEETTOKEN_REDIS_URL": "redis://:hunter2@127.0.0.1"})
	if _, err := a.config(); err != nil {
		t.Fatal(err)
	}
	a.say("the server said: no such password: hunter2, nor secret\x1b[2J.")
	if got, want := stderr.String(), "fleettoken: the server said: no such password: [secret], nor [secret]?[2J\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	f := failed(errors.New("the server said: hunter2\x1b[2J"), "try another one than hunter2.") // as a watch shows it
	if got, want := string(a.words(f)), "fleettoken: the server said: [secret]?[2J\nhint: try another one than [secret]\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
