package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// The secrets of the scripts. None of them may be in any output.
var (
	secretCanary  = canary.New()
	wrongCanary   = canary.New()
	redisCanary   = canary.New()
	sealKeyCanary = base64.StdEncoding.EncodeToString([]byte(canary.New())[:encryptionKeySize])
	otherCanary   = hex.EncodeToString([]byte(canary.New())[:encryptionKeySize])
	shortCanary   = base64.StdEncoding.EncodeToString([]byte(canary.New())[:15])
)

// secrets are all of them, and the tokens that were issued.
func secrets(tenant *auth0test.Server) []canary.Secret {
	known := []canary.Secret{
		canary.Of("client secret", secretCanary), canary.Of("wrong secret", wrongCanary), canary.Of("password of Redis", redisCanary),
		canary.Of("short key", shortCanary), canary.Of("text in a file of keys", noKey),
	}
	for _, line := range []string{sealKeyCanary, otherCanary} {
		key, err := parseEncryptionKey(line)
		if err != nil {
			panic(err)
		}
		known = append(known, canary.Of("encryption key", string(key)))
	}
	return append(known, tokens(tenant)...)
}

func tokens(tenant *auth0test.Server) []canary.Secret {
	var issued []canary.Secret
	for _, token := range tenant.Tokens() {
		issued = append(issued, canary.Of("token", token))
	}
	return issued
}

// inURL returns a password as it is in the address of a Redis.
func inURL(password string) string {
	return strings.TrimPrefix(url.UserPassword("", password).String(), ":")
}

// noKey is a line in a file of keys that is none.
const noKey = "no key at all"

// outputDir is the environment variable that says where to write down output.
const outputDir = "TEST_OUTPUT_DIR"

// newWorld starts a Redis and a token endpoint for a script, and puts into its
// environment what the command needs to know about them. All that the command
// writes is checked when the script is over.
func newWorld(env *testscript.Env, t *testing.T) error {
	rdb := miniredis.NewMiniRedis()
	rdb.RequireAuth(redisCanary)
	if err := rdb.Start(); err != nil {
		return err
	}
	env.Defer(rdb.Close)
	tenant := auth0test.NewServer(&auth0test.Config{
		ClientID: "client-0001", ClientSecret: secretCanary, Audiences: []string{"https://api.example"}, PerHour: 20, PerDay: 100,
	})
	env.Defer(tenant.Close)
	env.Values["tenant"] = tenant

	files := map[string]string{
		"ca.pem": string(tenant.CAPEM()), "secret.txt": secretCanary, "newline.txt": secretCanary + "\n", "blank.txt": " " + secretCanary, "wrong.txt": wrongCanary,
		"keys.txt": "# of this year\n" + sealKeyCanary + "\n\n" + otherCanary + "\n", "otherkeys.txt": otherCanary,
		"shortkeys.txt": sealKeyCanary + "\n" + shortCanary + "\n" + noKey + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	output := t.TempDir()
	env.Defer(func() { checkOutput(t, output, tenant) })
	free, err := freeAddress()
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		outputDir:                  output,
		"GORACE":                   "atexit_sleep_ms=0", // or the race detector sleeps a second at the end of each process
		"FREE_ADDRESS":             free,
		"REDIS_ADDRESS":            rdb.Addr(),
		"REDIS_PASSWORD":           inURL(redisCanary),
		"SECRET":                   secretCanary,
		"WRONG_SECRET":             wrongCanary,
		"WRONG_PASSWORD":           inURL(wrongCanary),
		"FLEETTOKEN_TOKEN_URL":     tenant.TokenURL(),
		"FLEETTOKEN_CLIENT_ID":     "client-0001",
		"FLEETTOKEN_CLIENT_SECRET": secretCanary,
		"FLEETTOKEN_AUDIENCE":      "https://api.example",
		"FLEETTOKEN_CA_FILE":       "ca.pem",
		"FLEETTOKEN_REDIS_URL":     "redis://:" + inURL(redisCanary) + "@" + rdb.Addr(),
		"FLEETTOKEN_REPLICA":       "tester",
	} {
		env.Setenv(name, value)
	}
	return nil
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// checkOutput reads all that the command has written in a script: nothing may
// hold a secret, only the command token may print one, and what is said to
// people is said in one voice.
func checkOutput(t *testing.T, dir string, tenant *auth0test.Server) {
	hidden, issued := secrets(tenant), len(tokens(tenant))
	token := regexp.MustCompile(`\.token-\d+-`) // in every token of auth0test, also of other servers
	voice := regexp.MustCompile(`^((fleettoken|hint): \S.*[^.\s]\n)*$`)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Error(err)
		}
		text := string(data)
		here := hidden
		if strings.HasSuffix(file.Name(), ".token.stdout") {
			here = hidden[:len(hidden)-issued]
		} else if token.MatchString(text) {
			t.Errorf("%s holds a token:\n%s", file.Name(), text)
		}
		canary.Check(t, file.Name(), canary.In(text), here...)
		if strings.Contains(text, "Credentials.") || strings.Contains(text, "Options.") {
			t.Errorf("%s names fields of the library in place of settings:\n%s", file.Name(), text)
		}
		if strings.HasSuffix(file.Name(), ".stderr") && !voice.MatchString(text) {
			t.Errorf("%s is not in the voice of this command:\n%s", file.Name(), text)
		}
	}
}

// issuedCommand checks how many tokens the endpoint has issued.
func issuedCommand(ts *testscript.TestScript, _ bool, args []string) {
	if got := ts.Value("tenant").(*auth0test.Server).Issued(); strconv.Itoa(got) != args[0] {
		ts.Fatalf("got %d tokens issued, want %s", got, args[0])
	}
}

// injectCommand makes the next token request fail.
func injectCommand(ts *testscript.TestScript, _ bool, args []string) {
	faults := map[string]auth0test.Fault{
		"hang":      auth0test.Hang(),
		"malformed": auth0test.Field("access_token", `""`),
		"html":      {Status: 200, Body: "<html>welcome</html>"},
		"echo":      {Status: 400, Body: fmt.Sprintf(`{"error":"invalid_request","error_description":%q}`, secretCanary)},
		"down":      auth0test.Status(503),
		"quota":     auth0test.QuotaExceeded(time.Hour),
	}
	fault, ok := faults[args[0]]
	if !ok {
		ts.Fatalf("unknown fault %q", args[0])
	}
	ts.Value("tenant").(*auth0test.Server).Inject(1, fault)
}

// awaitCommand waits until a file is there. The loop ends when it is, so the
// pauses in it synchronise nothing.
func awaitCommand(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
	}
	ts.Fatalf("%s is not there", args[0])
}

// exitsCommand runs a command that must end with the given exit code.
func exitsCommand(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("got exit code %d, want %s", got, args[0])
	}
}
