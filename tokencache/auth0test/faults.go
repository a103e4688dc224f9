package auth0test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Status returns a fault that answers with a status and its text, as a proxy in
// front of the endpoint would.
func Status(code int) Fault {
	return Fault{
		Name:            fmt.Sprintf("status %d", code),
		Status:          code,
		Body:            http.StatusText(code),
		SkipQuotaHeader: true,
	}
}

// OAuthError returns a fault that refuses with an error code and a description,
// such as 401 "invalid_client".
func OAuthError(status int, code, description string) Fault {
	return Fault{
		Name:   fmt.Sprintf("%d %s", status, code),
		Status: status,
		Body:   string(oauthError(status, code, description).body),
	}
}

// QuotaExceeded returns a fault that refuses as if the client's quota were
// spent: 429, and r=0 in every bucket. Retry-After is the given time in whole
// seconds, or, if that is zero, the reset of the last bucket.
func QuotaExceeded(retryAfter time.Duration) Fault {
	f := Fault{Name: "quota exceeded", QuotaExceeded: true}
	if retryAfter > 0 {
		f.Header = http.Header{"Retry-After": {seconds(retryAfter)}}
	}
	return f
}

// ApplicationLimit returns a fault that refuses for a rate limit of this
// application: a 429 that shares its error code with a spent quota and has
// nothing to do with it.
func ApplicationLimit(retryAfter time.Duration) Fault {
	f := OAuthError(http.StatusTooManyRequests, "too_many_requests", "Rate limit exceeded.")
	f.Name = "application limit"
	f.SkipQuotaHeader = true
	f.Header = http.Header{
		"Auth0-Ratelimit": {"client;q=10;t=" + seconds(retryAfter) + ";r=0"},
		"Retry-After":     {seconds(retryAfter)},
	}
	return f
}

// TenantLimit returns a fault that refuses for the general rate limit of the
// tenant, which others may have spent. The only hint at the time to wait is
// X-RateLimit-Reset, a point in time.
func TenantLimit(resetIn time.Duration) Fault {
	return Fault{
		Name: "tenant limit",
		Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			rateLimit(w.Header(), 100, 0, now().Add(resetIn))
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"statusCode":429,"error":"Too Many Requests",`+
				`"message":"Global limit has been reached","errorCode":"too_many_requests"}`)
		},
	}
}

// Hang returns a fault that never answers. No token is issued.
func Hang() Fault { return Fault{Name: "hang", Hang: true} }

// LostAnswer returns a fault that issues and counts a token and never answers.
func LostAnswer() Fault { return Fault{Name: "lost answer", Hang: true, Issue: true} }

// Cut returns a fault that closes the connection instead of answering. No token
// is issued.
func Cut() Fault { return Fault{Name: "cut", Cut: true} }

// Slow returns a fault that answers in the ordinary way after some time.
func Slow(latency time.Duration) Fault {
	return Fault{Name: "slow " + latency.String(), Latency: latency}
}

// Redirect returns a fault that sends the client elsewhere.
func Redirect(status int, location string) Fault {
	return Fault{
		Name:   fmt.Sprintf("redirect %d", status),
		Status: status,
		Header: http.Header{"Location": {location}},
	}
}

// Field returns a fault that replaces one field of a token answer by raw JSON,
// for example "expires_in" by `"3600"`, or removes it if raw is empty.
func Field(name, raw string) Fault {
	return Fault{Name: "field " + name, Fields: map[string]string{name: raw}}
}

// seconds writes a duration in whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}
