package endpoint

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"

	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
)

// TestClassify has the answers that token endpoints are known to give, each
// with its number in the taxonomy. Two of its 24 rows are no answers of a token
// endpoint, 23 (an API refuses the token) and 24 (an API limits its callers):
// they are the business of Transport, and of nobody.
func TestClassify(t *testing.T) {
	const (
		audience     quota.Scope = "audience:1"
		credentials  quota.Scope = "credentials:1"
		request      quota.Scope = "request:1"
		organization quota.Scope = "org:1"
	)
	const date = "Fri, 31 Dec 1999 22:00:00 GMT"
	const spentClient = "b=per_hour;q=42;r=0;t=774,b=per_day;q=100;r=58;t=4374"
	const fineClient = "b=per_hour;q=42;r=12;t=774,b=per_day;q=100;r=58;t=4374"
	token := `{"access_token":"abc","expires_in":86400,"token_type":"Bearer"}`
	minute := time.Minute

	for _, row := range []struct {
		name    string
		status  int
		header  string // "Name: value" lines
		body    string
		class   Class
		outcome quota.Outcome
		scope   quota.Scope
		wait    time.Duration // what the server asks for; 0: it does not
		base    time.Duration // of the first block, if it does not
		quorum  bool
	}{
		{"1 a token", 200, quota.ClientHeader + ": " + fineClient, token, "", quota.Issued, "", 0, 0, false},
		{"2 a token, and no quota header", 200, "", token, "", quota.Issued, "", 0, 0, false},
		{"3 200 with an error in it", 200, "", `{"error":"server_error"}`, ClassMalformed, quota.Unknown, quota.Tenant, 0, time.Second, false},
		{"3 200 without a token", 200, "", `{"expires_in":86400}`, ClassMalformed, quota.Unknown, quota.Tenant, 0, time.Second, false},
		{"3 200 that is a page", 200, "Content-Type: text/html", "<html>", ClassMalformed, quota.Unknown, quota.Tenant, 0, time.Second, false},
		{"3 200 with no life", 200, "", `{"access_token":"abc","expires_in":0}`, ClassMalformed, quota.Unknown, quota.Tenant, 0, time.Second, false},
		{"3 200 of a megabyte", 200, "", token + strings.Repeat(" ", 1<<20), ClassMalformed, quota.Unknown, quota.Tenant, 0, time.Second, false},
		{"4 client quota", 429, quota.ClientHeader + ": " + spentClient + "\nRetry-After: 770", `{"error":"too_many_requests","error_description":"Client quota exceeded"}`, ClassQuota, quota.Refused, quota.Client, 770 * time.Second, 0, false},
		{"4 client quota, its reset from the bucket", 429, quota.ClientHeader + ": " + spentClient, `{"error":"too_many_requests","error_description":"Client quota exceeded"}`, ClassQuota, quota.Refused, quota.Client, 774 * time.Second, 0, false},
		{"4 client quota, by its text alone", 429, "", `{"error":"too_many_requests","error_description":"Client quota exceeded"}`, ClassQuota, quota.Refused, quota.Client, 0, minute, false},
		{"5 organization quota", 429, quota.OrganizationHeader + ": " + spentClient + "\n" + quota.ClientHeader + ": " + fineClient, `{"error":"too_many_requests"}`, ClassQuota, quota.Refused, organization, 774 * time.Second, 0, false},
		{"6 a limit of this client", 429, "Auth0-RateLimit: client;q=10;t=1;r=0\nRetry-After: 1", `{"error":"too_many_requests","error_description":"Rate limit exceeded."}`, ClassLimit, quota.Refused, quota.Client, time.Second, 0, false},
		{"6 a limit of nothing at all", 429, "Auth0-RateLimit: client;q=0;t=1;r=0\nRetry-After: 1", `{"error":"too_many_requests"}`, ClassLimit, quota.Refused, quota.Client, 0, 5 * minute, false},
		{"6 a limit of this client, with a quota that is fine", 429, "Auth0-RateLimit: client;q=10;t=1;r=0\n" + quota.ClientHeader + ": " + fineClient, `{"error":"too_many_requests"}`, ClassLimit, quota.Refused, quota.Client, 0, time.Second, false},
		{"7 the tenant's limit", 429, "X-RateLimit-Reset: 1700000060\nDate: Tue, 14 Nov 2023 22:13:20 GMT", `{"statusCode":429,"error":"Too Many Requests","message":"Global limit has been reached","errorCode":"too_many_requests"}`, ClassTenant, quota.Refused, quota.Tenant, minute, 0, false},
		{"7 the tenant's limit, in other words", 429, "", "Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.", ClassTenant, quota.Refused, quota.Tenant, 0, time.Second, false},
		{"7 and in others", 429, "", `{"error":"x","error_description":"Rate limit exceeded. Please retry after some time."}`, ClassTenant, quota.Refused, quota.Tenant, 0, time.Second, false},
		{"7 the tenant's limit, with a quota that is spent and only watched", 429, quota.ClientHeader + ": " + spentClient + "\nX-RateLimit-Reset: 1700000060\nDate: Tue, 14 Nov 2023 22:13:20 GMT", `{"statusCode":429,"error":"Too Many Requests","message":"Global limit has been reached","errorCode":"too_many_requests"}`, ClassTenant, quota.Refused, quota.Tenant, minute, 0, false},
		{"6 a limit of this client, with a quota that is spent and only watched", 429, quota.ClientHeader + ": " + spentClient + "\nAuth0-RateLimit: client;q=10;t=1;r=0\nRetry-After: 1", `{"error":"too_many_requests","error_description":"Rate limit exceeded."}`, ClassLimit, quota.Refused, quota.Client, time.Second, 0, false},
		{"5 organization quota, by its text alone", 429, "", `{"error":"too_many_requests","error_description":"Organization quota exceeded"}`, ClassQuota, quota.Refused, organization, 0, minute, false},
		{"17 a CDN that counts", 429, "Content-Type: text/html", "<html><title>429 Too Many Requests</title>", ClassGateway, quota.Refused, quota.Tenant, 0, 30 * time.Second, true},
		{"17 another", 429, "Content-Type: text/html", "<html><title>Access denied | you are being rate limited (1015)</title>", ClassGateway, quota.Refused, quota.Tenant, 0, 30 * time.Second, true},
		{"21 not found, as web servers say it", 404, "Content-Type: text/html", "<html><title>404 Not Found</title>", ClassEndpoint, quota.Refused, quota.Tenant, 0, 30 * time.Second, false},
		{"21 not allowed, as web servers say it", 405, "Content-Type: text/html", "<html><title>405 Not Allowed</title>", ClassEndpoint, quota.Refused, quota.Tenant, 0, 30 * time.Second, false},
		{"8 the tenant's limit as a 500", 500, "", `{"error":"access_denied","error_description":"Global limit has been reached"}`, ClassTenant, quota.Refused, quota.Tenant, 0, time.Second, false},
		{"9 a limit made by a rule, as a 400", 400, "", `{"error":"invalid_request","error_description":"client has exceeded the rate limit of 10 tokens/28800 seconds"}`, ClassLimit, quota.Refused, quota.Client, 0, 15 * minute, false},
		{"10 a limit as a 401", 401, "", `{"error":"Rate limit reached","error_description":"Access Denied"}`, ClassLimit, quota.Refused, quota.Client, 0, time.Second, false},
		{"10 a limit as a 403", 403, "", `{"error":"Rate limit reached"}`, ClassLimit, quota.Refused, quota.Client, 0, time.Second, false},
		{"11 not authorized, or over a limit", 401, "", `{"error":"unauthorized_client"}`, ClassCredentials, quota.Refused, credentials, 0, 5 * minute, false},
		{"12 wrong credentials", 401, "", `{"error":"invalid_client"}`, ClassCredentials, quota.Refused, credentials, 0, minute / 2, false},
		{"12 wrong credentials, as Auth0 says it", 401, "", `{"error":"access_denied","error_description":"Unauthorized"}`, ClassCredentials, quota.Refused, credentials, 0, minute / 2, false},
		{"13 unknown audience", 403, "", `{"error":"access_denied","error_description":"Service not enabled within domain: api"}`, ClassAudience, quota.Refused, audience, 0, minute / 2, false},
		{"14 no grant", 403, "", `{"error":"access_denied","error_description":"Client is not authorized to access \"api\". You need to create a \"client-grant\" associated to this API."}`, ClassGrant, quota.Refused, audience, 0, minute / 2, false},
		{"15 grant type not allowed", 403, "", `{"error":"unauthorized_client","error_description":"Grant type 'client_credentials' not allowed for the client."}`, ClassClient, quota.Refused, quota.Client, 0, minute / 2, false},
		{"16 invalid scope", 400, "", `{"error":"invalid_scope"}`, ClassRequest, quota.Refused, audience, 0, minute / 2, false},
		{"16 unsupported grant type", 400, "", `{"error":"unsupported_grant_type"}`, ClassRequest, quota.Refused, audience, 0, minute / 2, false},
		{"16 an error that is an object", 403, "", `{"error":{"message":"no","status":403,"code":"access_denied"}}`, ClassRequest, quota.Refused, request, 0, minute / 2, false},
		{"17 a firewall", 403, "Content-Type: text/html", "<html><title>Access Denied</title>", ClassGateway, quota.Refused, quota.Tenant, 0, minute / 2, true},
		{"17 a firewall that counts", 429, "Content-Type: text/html\nRetry-After: 60", "<html>", ClassGateway, quota.Refused, quota.Tenant, minute, 0, true},
		{"18 out of order", 503, "", "", ClassUnavailable, quota.Refused, quota.Tenant, 0, time.Second, false},
		{"18 out of order, and for how long", 503, "Retry-After: 20", "", ClassUnavailable, quota.Refused, quota.Tenant, 20 * time.Second, 0, false},
		{"18 a gateway gave up", 504, "Retry-After: 20", "<html>", ClassUnavailable, quota.Unknown, quota.Tenant, 20 * time.Second, 0, false},
		{"18 a gateway without an answer", 502, "", "<html>", ClassUnavailable, quota.Unknown, quota.Tenant, 0, time.Second, false},
		{"18 temporarily_unavailable", 500, "", `{"error":"temporarily_unavailable"}`, ClassUnavailable, quota.Refused, quota.Tenant, 0, time.Second, false},
		{"21 moved", 308, "Location: https://elsewhere.test/", "", ClassEndpoint, quota.Refused, quota.Tenant, 0, minute / 2, false},
		{"21 not found", 404, "", "404 page not found", ClassEndpoint, quota.Refused, quota.Tenant, 0, minute / 2, false},
		{"21 not allowed", 405, "", "", ClassEndpoint, quota.Refused, quota.Tenant, 0, minute / 2, false},
		{"21 wrong media type", 415, "", "", ClassRequest, quota.Refused, credentials, 0, minute / 2, false},
		{"22 the month's allotment", 403, "", `{"error":"access_denied","error_description":"You have exceeded your monthly M2M token allotment"}`, ClassLimit, quota.Refused, quota.Client, 0, 15 * minute, false},
		{"an error that is a number", 429, "", `{"error":429,"reason":"TOO_MANY_REQUESTS","detail":"x"}`, ClassTenant, quota.Refused, quota.Tenant, 0, time.Second, false},
		{"an error that is null", 429, "", `{"error":null}`, ClassLimit, quota.Refused, quota.Client, 0, time.Second, false},
		{"429 and nothing else", 429, "", "", ClassLimit, quota.Refused, quota.Client, 0, time.Second, false},
		{"429 for an hour", 429, "Retry-After: 3600", "", ClassLimit, quota.Refused, quota.Client, time.Hour, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := Answer{Status: row.status, Header: http.Header{"Date": {date}}, Body: []byte(row.body), Sent: true}
			for line := range strings.Lines(row.header) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				a.Header.Set(name, value)
			}
			v := Classify(a, Scopes{Audience: audience, Credentials: credentials, Request: request, Organization: organization})
			if v.Class != row.class || v.Outcome != row.outcome {
				t.Errorf("got %q, %v, want %q, %v", v.Class, v.Outcome, row.class, row.outcome)
			}
			if row.class == "" {
				if v.Token.AccessToken != "abc" || len(v.Blocks) != 0 {
					t.Errorf("got token %q and blocks %v, want abc and none", v.Token.AccessToken, v.Blocks)
				}
				return
			}
			if len(v.Blocks) != 1 || v.Detail == "" {
				t.Fatalf("got blocks %+v, detail %q, want one, and a detail", v.Blocks, v.Detail)
			}
			b := v.Blocks[0]
			if b.Scope != row.scope || b.Wait != row.wait || b.Quorum != row.quorum || row.wait == 0 && b.Base != row.base {
				t.Errorf("got block %+v, want scope %s, wait %v, base %v, quorum %v", b, row.scope, row.wait, row.base, row.quorum)
			}
			if b.Wait == 0 && (b.Base <= 0 || b.Cap < b.Base) {
				t.Errorf("block %+v has no length", b)
			}
		})
	}

	t.Run("19 not sent", func(t *testing.T) {
		v := Classify(Answer{Err: errors.New("connection refused")}, Scopes{})
		if v.Class != ClassUnreachable || v.Outcome != quota.Unsent || !v.Blocks[0].Quorum {
			t.Errorf("got %+v", v)
		}
	})
	t.Run("20 sent, and no answer", func(t *testing.T) {
		v := Classify(Answer{Err: errors.New("EOF"), Sent: true}, Scopes{})
		if v.Class != ClassNoAnswer || v.Outcome != quota.Unknown || v.Blocks[0].Quorum {
			t.Errorf("got %+v", v)
		}
	})
	t.Run("20 sent, and half an answer", func(t *testing.T) {
		v := Classify(Answer{Status: 200, Err: errors.New("unexpected EOF"), Sent: true, Body: []byte(token)}, Scopes{})
		if v.Class != ClassNoAnswer || v.Outcome != quota.Unknown {
			t.Errorf("got %+v", v)
		}
	})
}

// Whatever a server answers, there is a verdict, and never a retry at once.
// A refusal whose body breaks off is a refusal all the same.
func TestClassifyHalfARefusal(t *testing.T) {
	a := Answer{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3600"}}, Err: io.ErrUnexpectedEOF, Sent: true}
	if v := Classify(a, Scopes{}); v.Outcome != quota.Refused || v.Blocks[0].Wait != time.Hour {
		t.Errorf("429 with Retry-After 3600 and half a Body: got %s, %s, wait %v, want a refusal for an hour", v.Class, v.Outcome, v.Blocks[0].Wait)
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(429, `{"error":"too_many_requests"}`, "b=per_hour;q=1;r=0;t=1", "5")
	f.Add(200, `{"access_token":"abc","expires_in":"86400"}`, "", "")
	f.Add(500, `{"error":{"error":{"error":[]}}}`, "", "x")
	f.Fuzz(func(t *testing.T, status int, body, limits, retryAfter string) {
		a := Answer{Status: status, Header: http.Header{}, Body: []byte(body), Sent: true}
		a.Header.Set(quota.ClientHeader, limits)
		a.Header.Set("Retry-After", retryAfter)
		v := Classify(a, Scopes{Audience: "Audience:1", Credentials: "Credentials:1"})
		if v.Class == "" {
			if status != 200 || !bearer.Valid(v.Token.AccessToken) || v.Token.Lifetime < time.Second || v.Token.Lifetime > bearer.MaxLifetime {
				t.Errorf("status %d, body %q: granted %+v", status, body, v.Token)
			}
			return
		}
		if len(v.Blocks) != 1 || v.Blocks[0].Backoff(1) < time.Second || v.Blocks[0].Backoff(1<<20) > quota.MaxWait || v.Blocks[0].Scope == "" {
			t.Errorf("status %d, body %q: blocks %+v", status, body, v.Blocks)
		}
		if v.Code != "" && !isErrorCode(v.Code) {
			t.Errorf("status %d, body %q: code %q", status, body, v.Code)
		}
		if len(body) > 12 && strings.Contains(v.Detail, body) {
			t.Errorf("status %d, body %q: it is shown: %s", status, body, v.Detail)
		}
	})
}
