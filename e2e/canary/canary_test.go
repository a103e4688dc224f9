package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// Whatever is made of a secret, it is found, wherever it stands.
func TestFind(t *testing.T) {
	type encoding = func(string) string
	in := func(e *base64.Encoding) encoding { return func(s string) string { return e.EncodeToString([]byte(s)) } }
	text := func(format string) encoding { return func(s string) string { return fmt.Sprintf(format, s) } }
	bytes := func(format string) encoding { return func(s string) string { return fmt.Sprintf(format, []byte(s)) } }
	marshal := func(v any) string { data, _ := json.Marshal(v); return string(data) }
	for name, encode := range map[string]encoding{
		"nothing":      text("%s"),
		"%q":           text("%q"),
		"%+q":          text("%+q"),
		"%x":           text("%x"),
		"%X":           text("%X"),
		"% x of bytes": bytes("% x"),
		"%v of bytes":  bytes("%v"),
		"%#v of bytes": bytes("%#v"),
		"%q twice":     func(s string) string { return fmt.Sprintf("%q", fmt.Sprintf("%q", s)) },
		"hex":          func(s string) string { return hex.EncodeToString([]byte(s)) },
		"JSON":         func(s string) string { return marshal(s) },
		"JSON of JSON": func(s string) string { return marshal(marshal(s)) },
		"JSON of bytes": func(s string) string {
			return marshal(map[string][]byte{"k": []byte(s)})
		},
		"base64":            in(base64.StdEncoding),
		"base64, no pad":    in(base64.RawStdEncoding),
		"URL base64":        in(base64.URLEncoding),
		"URL base64 no pad": in(base64.RawURLEncoding),
		"lines of base64": func(s string) string {
			return strings.Join(strings.SplitAfter(base64.StdEncoding.EncodeToString([]byte(s)), "4"), "\r\n")
		},
		"a query":      url.QueryEscape,
		"a path":       url.PathEscape,
		"a user":       func(s string) string { return url.UserPassword("u", s).String() },
		"lower-case":   func(s string) string { return lowerEscapes(url.QueryEscape(s)) },
		"torn apart":   func(s string) string { return s[:9] + "\"\n\t\"" + s[9:] },
		"its half":     func(s string) string { return s[:len(s)/2] },
		"its end only": func(s string) string { return s[len(s)-16:] },
	} {
		for _, secret := range []string{New(), Plain()} {
			for shift := range 4 { // 'x' moves what is encoded along, where it is encoded as a whole
				for _, whole := range []string{strings.Repeat("x", shift) + secret, strings.Repeat("x", shift) + secret + "yy"} {
					if shift > 0 && (name == "its half" || name == "torn apart") || whole != secret && name == "its end only" {
						continue
					}
					said := "before " + encode(whole) + " after"
					if _, _, found := In(said).Find(Of("secret", secret)); !found {
						t.Errorf("%s, shifted by %d: %q is not found in %s", name, shift, secret, said)
					}
				}
			}
		}
	}
}

func TestFindNothing(t *testing.T) {
	for range 100 {
		said := fmt.Sprintf("%s %q %x %v", Plain(), New(), Plain(), []byte(New()))
		for _, secret := range []string{Plain(), New()} {
			if how, around, found := In(said).Find(Of("secret", secret)); found {
				t.Errorf("%q is found (%s) in %q", secret, how, around)
			}
		}
	}
}

// A secret does not give itself away when a test prints it.
func TestSecretIsNotShown(t *testing.T) {
	secret := New()
	s := Of("password", secret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		Check(t, verb, In(fmt.Sprintf(verb, s)), s)
	}
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "found by chance") || strings.Contains(text, "short") {
			t.Errorf("of a short one: got %s", text)
		}
	}()
	Of("password", "short")
}
