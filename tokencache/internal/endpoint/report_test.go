package endpoint

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// TestReport has what users of other token clients have reported of their providers. Each
// row has the number of its report.
//
//	go test ./... -run Report/A4
func TestReport(t *testing.T) {
	const (
		audience    quota.Scope = "audience:1"
		credentials quota.Scope = "credentials:1"
		request     quota.Scope = "request:1"
	)
	in := Scopes{Audience: audience, Credentials: credentials, Request: request}
	good := func(token, rest string) string { return `{"access_token":"` + token + `"` + rest + `}` }
	exp := func(d time.Duration) string { return jwt(time.Unix(1700000000, 0).Add(d).Unix()) }

	for _, row := range []struct {
		name, body string
		status     int
		unsaid     time.Duration
		lifetime   time.Duration // 0: malformed
	}{
		{"A1 Salesforce", good(`00D5g!AQ0AQ.x_y`, `,"expires_in":60`), 200, 0, time.Minute},
		{"A1 eBay", good(`v^1.1#i^1#p^3#r^1#I^3#f^0#t^Ul4xMF8`, `,"expires_in":60`), 200, 0, time.Minute},
		{"A1 quotes and brackets", good(`{\"a\":[1]}`, `,"expires_in":60`), 200, 0, time.Minute},
		{"A1 a blank", good(`a b`, `,"expires_in":60`), 200, 0, 0},
		{"A2 Apigee", good("a", `,"expires_in":60,"token_type":"BearerToken"`), 200, 0, time.Minute},
		{"A2 eBay", good("a", `,"expires_in":60,"token_type":"Application Access Token"`), 200, 0, time.Minute},
		{"A2 in capitals", good("a", `,"expires_in":60,"token_type":"BEARER"`), 200, 0, time.Minute},
		{"A2 another scheme", good("a", `,"expires_in":60,"token_type":"DPoP"`), 200, 0, 0},
		{"A2 and another", good("a", `,"expires_in":60,"token_type":"N_A"`), 200, 0, 0},
		{"A3 not said", good("a", ``), 200, 0, 0},
		{"A3 not said, with a default", good("a", ``), 200, time.Hour, time.Hour},
		{"A3 an empty text, with a default", good("a", `,"expires_in":""`), 200, time.Hour, time.Hour},
		{"A3 zero, with a default", good("a", `,"expires_in":0`), 200, time.Hour, time.Hour},
		{"A3 null, with a default", good("a", `,"expires_in":null`), 200, time.Hour, time.Hour},
		{"A3 never, with a default", good("a", `,"expires_in":-1`), 200, time.Hour, time.Hour},
		{"A3 said, with a default", good("a", `,"expires_in":60`), 200, time.Hour, time.Minute},
		{"A3 a JWT beside zero", good(exp(time.Hour), `,"expires_in":0`), 200, 0, time.Hour},
		{"A3 a JWT beside nothing, with a default", good(exp(time.Hour), ``), 200, 2 * time.Hour, time.Hour},
		{"A3 expires_on", good("a", `,"expires_on":"1700003600"`), 200, 0, time.Hour},
		{"A3 expires_at, in milliseconds", good("a", `,"expires_at":1700003600000`), 200, 0, time.Hour},
		{"A3 expires_at, as a date", good("a", `,"expires_at":"2023-11-14T23:13:20Z"`), 200, 0, time.Hour},
		{"A3 expired", good(exp(-time.Hour), ``), 200, time.Hour, 0},
		{"A4 201", good("a", `,"expires_in":60`), 201, 0, time.Minute},
		{"A4 203", good("a", `,"expires_in":60`), 203, 0, time.Minute},
		{"A4 204", "", 204, 0, 0},
		{"A4 202 without a token", `{"status":"pending"}`, 202, 0, 0},
		{"A6 an empty error", good("a", `,"expires_in":60,"error":""`), 200, 0, time.Minute},
		{"A6 an error that is null", good("a", `,"expires_in":60,"error":null`), 200, 0, time.Minute},
		{"A6 an error that is false", good("a", `,"expires_in":60,"error":false`), 200, 0, time.Minute},
		{"A6 an error that is empty", good("a", `,"expires_in":60,"error":{}`), 200, 0, time.Minute},
		{"A6 an error", good("a", `,"expires_in":60,"error":"x"`), 200, 0, 0},
		{"A7 a byte order mark", "\xef\xbb\xbf" + good("a", `,"expires_in":60`), 200, 0, time.Minute},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := Answer{Status: row.status, Header: http.Header{"Date": {"Tue, 14 Nov 2023 22:13:20 GMT"}}, Body: []byte(row.body), Sent: true, DefaultLifetime: row.unsaid}
			v := Classify(a, in)
			if row.lifetime > 0 && (v.Class != "" || v.Token.Lifetime != row.lifetime || v.Outcome != quota.Issued) {
				t.Errorf("got %q (%s) and a lifetime of %v, want a token that lives %v", v.Class, v.Detail, v.Token.Lifetime, row.lifetime)
			}
			if row.lifetime == 0 && (v.Class != ClassMalformed || v.Outcome != quota.Unknown) {
				t.Errorf("got %q, %v, want an answer that may have cost a token", v.Class, v.Outcome)
			}
			if row.lifetime == 0 && strings.HasPrefix(row.name, "A3 not said") && !strings.Contains(v.Detail, "DefaultLifetime") {
				t.Errorf("got %q, which does not name the field to set", v.Detail)
			}
		})
	}

	for _, row := range []struct {
		name   string
		status int
		body   string
		class  Class
		scope  quota.Scope
		base   time.Duration
		detail string // is in it
		code   string
	}{
		{"A8 Keycloak", 400, `{"error":"unauthorized_client","error_description":"Invalid client secret"}`, ClassCredentials, credentials, 30 * time.Second, "client secret", "unauthorized_client"},
		{"A8 Keycloak, newer", 401, `{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}`, ClassCredentials, credentials, 30 * time.Second, "client secret", "unauthorized_client"},
		{"A8 without words", 400, `{"error":"unauthorized_client"}`, ClassCredentials, credentials, 30 * time.Second, "", "unauthorized_client"},
		{"A8 as invalid_grant", 400, `{"error":"invalid_grant","error_description":"Client authentication failed"}`, ClassCredentials, credentials, 30 * time.Second, "", "invalid_grant"},
		{"A8 as invalid_request", 400, `{"error":"invalid_request","error_description":"Invalid client_secret"}`, ClassCredentials, credentials, 30 * time.Second, "", ""},
		{"A8 as 403", 403, `{"message":"Invalid credentials"}`, ClassCredentials, credentials, 30 * time.Second, "", ""},
		{"A8 as 422", 422, `{"errors":[{"message":"bad client credentials"}]}`, ClassCredentials, credentials, 30 * time.Second, "", ""},
		{"A8 Apigee", 401, `{"ErrorCode":"invalid_client","Error":"ClientId is Invalid"}`, ClassCredentials, credentials, 30 * time.Second, "", ""},
		{"A8 a grant that is not allowed is the client's", 400, `{"error":"unauthorized_client","error_description":"Client not enabled to use grant type client_credentials"}`, ClassClient, quota.Client, 30 * time.Second, "", ""},
		{"A8 something else", 403, `{"error":"access_denied","error_description":"no"}`, ClassRequest, request, 30 * time.Second, "", "access_denied"},
		{"A9 AWS", 400, `{"message":"Rate exceeded"}`, ClassLimit, quota.Client, time.Second, "", ""},
		{"A9 AWS, 429", 429, `{"message":"Rate exceeded"}`, ClassLimit, quota.Client, time.Second, "", ""},
		{"A9 403", 403, `{"error":"rate_limit_exceeded"}`, ClassLimit, quota.Client, time.Second, "", "rate_limit_exceeded"},
		{"A9 throttled", 400, `{"__type":"ThrottlingException","message":"Request throttled"}`, ClassLimit, quota.Client, time.Second, "", ""},
		{"A9 a quota", 403, `{"message":"Your quota has been exceeded"}`, ClassLimit, quota.Client, 15 * time.Minute, "", ""},
		{"A9 a month", 403, `{"message":"Monthly limit reached"}`, ClassLimit, quota.Client, 15 * time.Minute, "", ""},
		{"A9 a day", 400, `{"message":"limit of 50 tokens per day exceeded"}`, ClassLimit, quota.Client, 15 * time.Minute, "", ""},
		{"A11 Entra, no such client", 400, `{"error":"unauthorized_client","error_description":"AADSTS700016: Application with identifier was not found","error_codes":[700016]}`, ClassCredentials, credentials, 30 * time.Second, "AADSTS700016", "unauthorized_client"},
		{"A11 Entra, no such tenant", 400, `{"error":"invalid_request","error_description":"AADSTS90002: Tenant not found","error_codes":[90002]}`, ClassCredentials, credentials, 30 * time.Second, "AADSTS90002", "invalid_request"},
		{"A11 Entra, a wrong secret", 401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided","error_codes":[7000215]}`, ClassCredentials, credentials, 30 * time.Second, "", "invalid_client"},
		{"A12 a link", 401, `{"error":"invalid_client","error_description":"See https://docs.example/access-tokens/limits"}`, ClassCredentials, credentials, 30 * time.Second, "", "invalid_client"},
		{"A12 a link, without a code", 401, `{"message":"See https://docs.example/access-tokens/quotas"}`, ClassCredentials, credentials, 30 * time.Second, "", ""},
		{"A12 a word in a word", 400, `{"error":"invalid_scope","error_description":"unexceeded"}`, ClassRequest, audience, 30 * time.Second, "", "invalid_scope"},
		{"A13 Okta", 400, `{"errorCode":"E0000022","errorSummary":"no"}`, ClassRequest, request, 30 * time.Second, "", "E0000022"},
		{"A13 an own code", 403, `{"error":"tenant.suspended"}`, ClassRequest, request, 30 * time.Second, "", "tenant.suspended"},
		{"A13 no code", 403, `{"error":"a sentence that may be an echo"}`, ClassRequest, request, 30 * time.Second, "", ""},
		{"A14 a form is wanted", 415, ``, ClassRequest, credentials, 30 * time.Second, "the encoding json", ""},
		{"A14 nothing was found in the body", 400, `{"error":"invalid_request","error_description":"Missing required parameter: grant_type"}`, ClassRequest, credentials, 30 * time.Second, "the encoding json", ""},
		{"A14 an invalid request", 400, `{"error":"invalid_request"}`, ClassRequest, request, 30 * time.Second, "the encoding json", ""},
		{"A14 the header is wanted", 401, `{"error":"invalid_client","error_description":"No client authentication included"}`, ClassCredentials, credentials, 30 * time.Second, "the encoding json", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := Classify(Answer{Status: row.status, Header: http.Header{}, Body: []byte(row.body), Sent: true}, in)
			if v.Class != row.class || v.Outcome != quota.Refused || v.Blocks[0].Scope != row.scope || v.Blocks[0].Base != row.base {
				t.Errorf("got %s, %v, block %+v, want %s and a block of %s from %v", v.Class, v.Outcome, v.Blocks, row.class, row.scope, row.base)
			}
			if !strings.Contains(v.Detail, row.detail) {
				t.Errorf("got %q, want %q in it", v.Detail, row.detail)
			}
			if row.code != "" && v.Code != row.code || strings.Contains(v.Code, " ") {
				t.Errorf("got code %q, want %q", v.Code, row.code)
			}
		})
	}

	t.Run("A5 a compressed body", func(t *testing.T) {
		plain := good("a", `,"expires_in":60`)
		for name, encoded := range map[string][]byte{"gzip": compressed(t, gzip.NewWriter, plain), "x-gzip": compressed(t, gzip.NewWriter, plain), "": compressed(t, gzip.NewWriter, plain), "deflate": compressed(t, zlib.NewWriter, plain), "identity": []byte(plain), "br": []byte(plain)} {
			h := http.Header{}
			h.Set("Content-Encoding", name)
			if got := decoded(h, encoded); string(got) != plain {
				t.Errorf("%q: got %q", name, got)
			}
		}
		if got := decoded(http.Header{"Content-Encoding": {"gzip"}}, compressed(t, gzip.NewWriter, strings.Repeat(" ", 1<<20))); len(got) != maxResponse+1 {
			t.Errorf("a megabyte of blanks becomes %d bytes, want more than are read", len(got))
		}
		cut := compressed(t, gzip.NewWriter, plain)[:20]
		if got := decoded(http.Header{"Content-Encoding": {"gzip"}}, cut); !bytes.Equal(got, cut) {
			t.Errorf("half of it becomes %q", got)
		}
	})
}

func compressed[W io.WriteCloser](t *testing.T, newWriter func(io.Writer) W, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := newWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
