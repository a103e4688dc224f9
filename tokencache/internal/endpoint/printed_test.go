package endpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/fleettoken/fleettoken/e2e/canary"
)

// No way to print what comes of a token request, or goes into it, shows a secret.
func TestNothingIsPrinted(t *testing.T) {
	secret := canary.New()
	token := Token{AccessToken: secret, Extra: map[string]any{"id_token": secret}}
	answer := Answer{Status: 200, Body: []byte(secret)}
	request := Request{URL: "https://tenant.test", ClientID: "id", ClientSecret: secret}
	var shown bytes.Buffer
	for _, v := range []any{token, &token, answer, &answer, request, Verdict{Token: token}, []Token{token}, struct{ A Answer }{answer}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&shown, verb, v)
		}
		data, _ := json.Marshal(v)
		shown.Write(data)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "v", v)
	}
	canary.Check(t, "a token request", canary.In(shown.String()), canary.Of("secret", secret))
}
