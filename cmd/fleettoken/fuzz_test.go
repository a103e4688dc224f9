package main

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/e2e/canary"
)

// Whatever the settings are, they are refused with a reason, or make a fleet that
// can be joined; and no secret among them is said, whatever stands around it.
func FuzzConfig(f *testing.F) {
	secret, password := canary.Plain(), canary.Plain()
	hidden := []canary.Secret{canary.Of("client secret", secret), canary.Of("password of Redis", password)}
	f.Add("https://tenant.example/oauth/token", "client-0001", "", "", "redis://:", "@127.0.0.1:6379/0", "a b", "resource=x", "json", "1h", "5s", "fleet", "")
	f.Add("http://127.0.0.1/", " ", " ", "\n", "redis+sentinel://a,b/m?sentinel_password=", "", "", "%zz", "xml", "-1s", "1ms", "a{b}", "env")
	f.Add("https://u:p@h/#x", "x", "\"", "\\", "rediss://h:", "", "\t", "client_secret=", "basic", "9999999h", "1e9s", "", "redis://h")
	f.Fuzz(func(t *testing.T, tokenURL, id, before, after, redisBefore, redisAfter, scopes, params, encoding, renew, request, prefix, flag string) {
		set := map[string]string{
			"FLEETTOKEN_TOKEN_URL": tokenURL, "FLEETTOKEN_CLIENT_ID": id, "FLEETTOKEN_CLIENT_SECRET": before + secret + after,
			"FLEETTOKEN_REDIS_URL": redisBefore + password + redisAfter, "FLEETTOKEN_SCOPES": scopes, "FLEETTOKEN_PARAMS": params,
			"FLEETTOKEN_ENCODING": encoding, "FLEETTOKEN_RENEW_BEFORE": renew, "FLEETTOKEN_REQUEST_TIMEOUT": request, "FLEETTOKEN_PREFIX": prefix,
		}
		a, stderr := newTestApp(set)
		a.flags.redis = flag
		c, err := a.config()
		if err != nil {
			wrong, ok := err.(*failure)
			if !ok || wrong.code != exitUsage || len(wrong.problems) == 0 || slices.ContainsFunc(wrong.problems, func(p problem) bool { return p.text == "" }) {
				t.Errorf("%q: got %v, want problems with the settings", set, err)
			}
			for _, s := range hidden { // before the last net, which is to hide what was told by mistake
				if how, around, found := canary.In(err.Error()).Find(s); found {
					t.Errorf("%q: the %s is in the error (%s): %s", set, s, how, around)
				}
			}
			a.report(newRootCommand(a), err)
		} else {
			u, err := url.Parse(c.credentials.TokenURL)
			switch {
			case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "":
				t.Errorf("%q: the token URL is %q", set, c.credentials.TokenURL)
			case c.credentials.ClientSecret != before+secret+after || strings.TrimSpace(c.credentials.ClientID) == "":
				t.Errorf("%q: the client is %q", set, c.credentials.ClientID)
			case c.options.RenewBefore < 0 || c.options.RequestTimeout < 0 || c.options.RequestTimeout > 0 && c.options.RequestTimeout < time.Second/2:
				t.Errorf("%q: the options are %+v", set, c.options)
			case len(c.redis.Addrs) == 0:
				t.Errorf("%q: Redis is nowhere", set)
			}
			for _, name := range []string{"client_id", "client_secret", "grant_type", "audience"} {
				if c.credentials.Params.Has(name) {
					t.Errorf("%q: the parameters %q have a name that has a setting", set, c.credentials.Params)
				}
			}
			fleet, err := c.join()
			if err != nil {
				t.Fatalf("%q: %v", set, err)
			}
			fleet.close()
		}
		if n := canary.Check(t, "the standard error", canary.In(stderr.String()), hidden...); n > 0 {
			t.Logf("with %q", set)
		}
	})
}

// Whatever is in a file of encryption keys, none of it is in an error, and what is
// read is a key.
func FuzzEncryptionKey(f *testing.F) {
	f.Add(strings.Repeat("ab", 32))
	f.Add("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	f.Add("a secret that is none")
	f.Fuzz(func(t *testing.T, line string) {
		key, err := parseEncryptionKey(line)
		if err == nil && len(key) != encryptionKeySize {
			t.Errorf("%q: got a key of %d bytes", line, len(key))
		}
		if err != nil && len(line) > 8 && strings.Contains(err.Error(), line) {
			t.Errorf("%q: got %v, which shows it", line, err)
		}
	})
}
