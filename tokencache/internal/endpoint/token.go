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

// parseToken reads the body of a response with status 200, and believes nothing that
// it has not checked. Its errors hold nothing of the body. date is the response's own,
// which makes the token's own expiry a duration; zero if it has none.
func parseToken(data []byte, date time.Time) (Token, error) {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil || fields == nil {
		return Token{}, errors.New("it is not a JSON object")
	}
	if fields["error"] != nil {
		return Token{}, errors.New("it has an error in it, in spite of its status")
	}
	token, ok := fields["access_token"].(string)
	switch {
	case !ok || token == "":
		return Token{}, errors.New("it has no access_token")
	case len(token) > bearer.MaxSize:
		return Token{}, fmt.Errorf("its access_token has more than %d bytes", bearer.MaxSize)
	case !bearer.Valid(token):
		return Token{}, errors.New("its access_token has characters that RFC 6750 does not allow")
	}
	kind, _ := fields["token_type"].(string)
	if kind == "" {
		kind = bearer.Type // RFC 6749 wants it said, and some do not say it
	}
	if !strings.EqualFold(kind, bearer.Type) {
		return Token{}, errors.New("its token_type is not Bearer")
	}
	life, err := lifetime(fields["expires_in"], token, date)
	if err != nil {
		return Token{}, err
	}
	delete(fields, "access_token")
	floats(fields)
	return Token{AccessToken: token, Type: bearer.Type, Lifetime: life, Extra: fields}, nil
}

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

// lifetime returns how long a token lives from when it was asked for: what
// expires_in says, and no longer than the token itself does, if it is a JWT.
func lifetime(expiresIn any, token string, date time.Time) (time.Duration, error) {
	own, hasOwn := jwtLife(token, date)
	var life time.Duration
	switch v := expiresIn.(type) {
	case nil:
		if !hasOwn {
			return 0, errors.New("it has no expires_in, and its access_token does not tell either")
		}
		life = own
	case json.Number:
		life = seconds(string(v))
	case string: // seen in the wild
		life = seconds(v)
	}
	if hasOwn {
		life = min(life, own)
	}
	if life < time.Second {
		return 0, errors.New("its expires_in is not a number of seconds, or is less than one")
	}
	return min(life, bearer.MaxLifetime), nil
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

// jwtLife returns how long a JWT lives by its own exp claim, measured by the
// clock of the server that issued it. The token is not verified: that is for the
// API that it is meant for.
func jwtLife(token string, date time.Time) (time.Duration, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || date.IsZero() {
		return 0, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Exp <= 0 || claims.Exp > 1e11 {
		return 0, false
	}
	return time.Unix(int64(claims.Exp), 0).Sub(date), true
}
