// Package canary looks for secrets where none may be. A test gives its secrets
// the form of a canary, lets happen what may, and searches all that was said,
// stored or sent: for the secret itself, and for what encodings make of it.
package canary

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// New returns a secret that is nowhere else. It has characters in it which
// encodings change, so that a search for the secret alone would miss it.
func New() string { return "c4n" + rand.Text() + `%+/=&<"\é: ` + rand.Text() }

// Plain returns one of letters and digits alone, for where others cannot be.
func Plain() string { return "c4n" + rand.Text() + rand.Text() }

// A Secret is what must not be found.
type Secret struct {
	name  string
	forms []form
}

// A form is one way to write a secret down: the beginning of it, and bare.
type form struct{ name, text string }

// longest is how much of a form is looked for. A part is bad enough.
const longest = 48

// shortest is how short a secret can be: less would be found by chance.
const shortest = 8

// Of returns a secret, and what people call it.
func Of(name, secret string) Secret {
	if len(secret) < shortest {
		panic(fmt.Sprintf("canary: the %s has %d bytes: less than %d are found by chance", name, len(secret), shortest))
	}
	raw := []byte(secret)
	quoted, _ := json.Marshal(secret)
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(secret) // a string can always be encoded
	texts := map[string]string{
		"raw":                    secret,
		"hex":                    hex.EncodeToString(raw),
		"upper-case hex":         strings.ToUpper(hex.EncodeToString(raw)),
		"hex with blanks":        fmt.Sprintf("% x", raw),
		"numbers":                strings.Trim(fmt.Sprint(raw), "[]"),
		"Go bytes":               strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", raw), "[]byte{"), "}"),
		"JSON":                   inner(string(quoted)),
		"JSON, not for HTML":     inner(strings.TrimSpace(plain.String())),
		"JSON in ASCII":          inner(strconv.QuoteToASCII(secret)),
		"quoted":                 inner(strconv.Quote(secret)),
		"HTML":                   html.EscapeString(secret),
		"query-escaped":          url.QueryEscape(secret),
		"path-escaped":           url.PathEscape(secret),
		"escaped as a user":      url.User(secret).String(),
		"lower-case URL-escaped": lowerEscapes(url.QueryEscape(secret)),
	}
	for shift := range 3 {
		texts[fmt.Sprintf("base64, shifted by %d", shift)] = aligned(base64.StdEncoding, raw, shift)
		texts[fmt.Sprintf("URL base64, shifted by %d", shift)] = aligned(base64.URLEncoding, raw, shift)
	}
	if part := 16; len(secret) >= 2*part {
		texts["its beginning"], texts["its end"] = secret[:part], secret[len(secret)-part:]
		texts["its middle"] = secret[len(secret)/2-part/2:][:part]
	}
	s := Secret{name: name}
	known := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := bare(texts[name])
		text = text[:min(len(text), longest)]
		if len(text) >= shortest && !known[text] { // else nothing is left of it
			known[text] = true
			s.forms = append(s.forms, form{name, text})
		}
	}
	return s
}

// inner returns what is between the quotes.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// lowerEscapes writes %2f for %2F.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '%' {
			copy(b[i:i+3], strings.ToLower(string(b[i:i+3])))
		}
	}
	return string(b)
}

// aligned returns the part of the base64 of a longer text that raw alone
// decides, if it stands there after a multiple of three bytes and shift more. It
// is in the padded form as well as in the other one.
func aligned(encoding *base64.Encoding, raw []byte, shift int) string {
	whole := encoding.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, shift), raw...))
	from := []int{0, 2, 3}[shift]
	to := (shift + len(raw)) * 8 / 6 // the last character may hold bits of what follows
	return whole[from:to]
}

// bare takes out what tears a secret apart: quotes, the backslashes of however
// many rounds of quoting, blanks, and the ends of lines.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '"', '\'', '\\', '`', ' ', '\t', '\r', '\n':
			return -1
		}
		return r
	}, s)
}

// A Text is something to be searched, for many secrets.
type Text struct{ bare string }

// In returns the text that was written somewhere.
func In[T string | []byte](text T) Text { return Text{bare(string(text))} }

// Find returns how the secret is written in a text, and what is around it. It
// returns false if it is not there.
func (t Text) Find(s Secret) (how, around string, found bool) {
	for _, f := range s.forms {
		if i := strings.Index(t.bare, f.text); i >= 0 {
			return f.name, t.bare[max(0, i-150):min(len(t.bare), i+len(f.text)+50)], true
		}
	}
	return "", "", false
}

// Check fails the test for each secret that is in the text. Its result is how
// many there are.
func Check(t testing.TB, where string, text Text, secrets ...Secret) (leaks int) {
	t.Helper()
	for _, s := range secrets {
		if how, around, found := text.Find(s); found {
			leaks++
			t.Errorf("%s: the %s is there (%s): …%.600s…", cmp.Or(where, "somewhere"), s.name, how, around)
		}
	}
	return leaks
}

// String returns what people call it.
func (s Secret) String() string { return s.name }

// Format prints String, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.name)) }
