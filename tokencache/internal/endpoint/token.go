package endpoint

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
)

// A Token is what a successful token response says (RFC 6749 section 5.1).
type Token struct {
	AccessToken string
	Type        string         // bearer.Type
	Lifetime    time.Duration  // from when it was requested
	Extra       map[string]any // the response's other fields
}

// String shows nothing of the token.
func (t Token) String() string { return "an access token" }

// GoString returns String.
func (t Token) GoString() string { return t.String() }

// Format prints String, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue returns String.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText returns String. It is what encoding/json and others write.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// parseToken reads the body of a response with a status of success, and believes nothing
// that it has not checked. Its errors hold nothing of the body. date is the response's
// own, which makes an expiry a duration; zero if it has none. unsaid is the lifetime of a
// token whose lifetime the response does not say; zero if that is an error.
func parseToken(data []byte, date time.Time, unsaid time.Duration) (Token, error) {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(withoutBOM(data)))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil || fields == nil {
		return Token{}, errors.New("it is not a JSON object")
	}
	if meansError(fields["error"]) {
		return Token{}, errors.New("it has an error in it, in spite of its status")
	}
	token, ok := fields["access_token"].(string)
	switch {
	case !ok || token == "":
		return Token{}, errors.New("it has no access_token")
	case len(token) > bearer.MaxSize:
		return Token{}, fmt.Errorf("its access_token has more than %d bytes", bearer.MaxSize)
	case !bearer.Valid(token):
		return Token{}, errors.New("its access_token has characters that an Authorization header cannot hold")
	}
	if kind, _ := fields["token_type"].(string); slices.Contains(otherSchemes, strings.ToLower(strings.TrimSpace(kind))) {
		return Token{}, errors.New("its token_type is not Bearer")
	}
	life, err := lifetime(fields, token, date, unsaid)
	if err != nil {
		return Token{}, err
	}
	delete(fields, "access_token")
	floats(fields)
	return Token{AccessToken: token, Type: bearer.Type, Lifetime: life, Extra: fields}, nil
}

// otherSchemes are the token types that are not used as Bearer tokens are, in lower case.
// RFC 6749 requires a token_type, and providers leave it out or have names of their own,
// such as "BearerToken" or "Application Access Token".
var otherSchemes = []string{"mac", "dpop", "pop", "n_a", "hotk"}

// meansError reports whether the field "error" of a response says that it is one. Some
// providers write "", null or false beside a good token.
func meansError(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case bool:
		return v
	case json.Number:
		return v.String() != "0"
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return true
}

// withoutBOM returns data without the mark with which some servers begin UTF-8.
func withoutBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

// floats makes numbers of all that read like one, as golang.org/x/oauth2 has it. One
// that is none to Go is left out, as it could not be written into the record.
func floats(value any) (any, bool) {
	switch v := value.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case map[string]any:
		for name, member := range v {
			if f, ok := floats(member); ok {
				v[name] = f
			} else {
				delete(v, name)
			}
		}
	case []any:
		for i, member := range v {
			if f, ok := floats(member); ok {
				v[i] = f
			} else {
				v[i] = nil
			}
		}
	}
	return value, true
}

// lifetime returns how long a token lives from when it was requested: what the response
// says, and no longer than the token itself does, if it is a JWT. If neither says it, it is
// unsaid.
func lifetime(fields map[string]any, token string, date time.Time, unsaid time.Duration) (time.Duration, error) {
	said, any := expiresIn(fields, date)
	own, hasOwn := jwtLifetime(token, date)
	switch {
	case any && hasOwn:
		said = min(said, own)
	case hasOwn:
		said = own
	case !any && unsaid > 0:
		said = unsaid
	case !any:
		return 0, errors.New("it does not say how long the token lives: set the DefaultLifetime of the credentials (FLEETTOKEN_DEFAULT_LIFETIME) to what the provider documents")
	}
	if said < time.Second {
		return 0, errors.New("the token has expired, or expires within a second")
	}
	return min(said, bearer.MaxLifetime), nil
}

// expiresIn returns the lifetime that a response says, in expires_in or, by the clock of
// the server, in expires_on or expires_at. It returns false if it says none: some providers
// write "", 0, -1 or null, for what they do not know or for never.
func expiresIn(fields map[string]any, date time.Time) (time.Duration, bool) {
	for _, name := range []string{"expires_in", "expiresIn"} {
		if d := seconds(text(fields[name])); d > 0 {
			return d, true
		}
	}
	if date.IsZero() {
		return 0, false
	}
	for _, name := range []string{"expires_on", "expires_at"} {
		if at, ok := instant(text(fields[name])); ok {
			return at.Sub(date), true
		}
	}
	return 0, false
}

// text returns a number or a string as it was written, and "" for anything else.
func text(v any) string {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case string: // as several providers write numbers
		return strings.TrimSpace(v)
	}
	return ""
}

// instant reads a time: Unix seconds or milliseconds, or RFC 3339.
func instant(s string) (time.Time, bool) {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil || n < 1e9 || n >= 1e14:
		return time.Time{}, false
	case n >= 1e12:
		return time.UnixMilli(n), true
	}
	return time.Unix(n, 0), true
}

// seconds reads a number of seconds, and returns 0 for what is none. A fraction
// is cut off: a token may die early, never late.
func seconds(s string) time.Duration {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(f) || f < 0 {
		return 0
	}
	if f > bearer.MaxLifetime.Seconds() { // before it overflows a Duration
		return bearer.MaxLifetime
	}
	return time.Duration(f) * time.Second
}

// jwtLifetime returns how long a JWT lives by its own exp claim, measured by the clock of
// the server that issued it: the Date of the response, or the iat claim if there is none.
// The token is not verified: that is for the API that it is meant for.
func jwtLifetime(token string, date time.Time) (time.Duration, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
		Iat float64 `json:"iat"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Exp <= 0 || claims.Exp > 1e11 {
		return 0, false
	}
	if date.IsZero() {
		if claims.Iat <= 0 || claims.Iat >= claims.Exp {
			return 0, false
		}
		date = time.Unix(int64(math.Ceil(claims.Iat)), 0)
	}
	return time.Unix(int64(claims.Exp), 0).Sub(date), true
}
