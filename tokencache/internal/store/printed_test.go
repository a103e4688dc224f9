package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/fleettoken/fleettoken/e2e/canary"
)

// No way to print a record shows its token.
func TestRecordIsNotPrinted(t *testing.T) {
	secret := canary.New()
	r := Record{Issued: 1, Expires: 2, AccessToken: secret, Type: "Bearer", Extra: map[string]any{"id_token": secret}}
	var shown bytes.Buffer
	for _, v := range []any{r, &r, []Record{r}, TokenSnapshot{Record: &r}, struct{ R Record }{r}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&shown, verb, v)
		}
		data, _ := json.Marshal(v)
		shown.Write(data)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "v", v)
	}
	canary.Check(t, "a record", canary.In(shown.String()), canary.Of("access token", secret))
}

// What is too large says so, and how large it is, also if it is not the token.
func TestRecordIsTooLarge(t *testing.T) {
	key, _ := DeriveEncryptionKey("secret", "context")
	r := testRecord(1, 2, false)
	r.Extra = map[string]any{"x": string(bytes.Repeat([]byte("y"), MaxRecordSize))}
	_, err := seal(KeyRing{key}, "key", r)
	if !errors.Is(err, ErrTooLarge) || !bytes.Contains([]byte(err.Error()), []byte("it has 131")) {
		t.Errorf("got %v, want ErrTooLarge with the size of the record", err)
	}
}
