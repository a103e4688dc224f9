package auth0test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// An answer is what the token endpoint says, before a fault spoils it.
type answer struct {
	status int
	header http.Header
	fields map[string]json.RawMessage // of a token answer; nil for any other
	body   []byte                     // of any other answer
}

// newAnswer returns an empty answer with the headers that all of them have.
func newAnswer(status int) answer {
	h := make(http.Header)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	return answer{status: status, header: h}
}

// oauthError is an error answer as in RFC 6749 section 5.2.
func oauthError(status int, code, description string) answer {
	a := newAnswer(status)
	a.body = marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
	return a
}

// bytes returns the body of the answer.
func (a answer) bytes() []byte {
	if a.fields == nil {
		return a.body
	}
	// Fields may hold JSON that a fault has made invalid on purpose, so they
	// are put together by hand.
	out := []byte("{")
	for i, name := range slices.Sorted(maps.Keys(a.fields)) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, marshal(name)...)
		out = append(out, ':')
		out = append(out, a.fields[name]...)
	}
	return append(out, '}')
}

// marshal encodes strings, numbers and structs of them, which cannot fail.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("auth0test: %v", err))
	}
	return b
}

// refusal is the answer to a request for which no quota is left.
func (t tally) refusal(form HeaderForm, at time.Time) answer {
	what := "Client"
	if !slices.ContainsFunc(t.client, bucket.exhausted) && slices.ContainsFunc(t.organization, bucket.exhausted) {
		what = "Organization"
	}
	a := oauthError(http.StatusTooManyRequests, "too_many_requests", what+" quota exceeded")
	form.write(a.header, t, at)
	if b, found := t.exhausted(); found {
		a.header.Set("Retry-After", strconv.Itoa(b.resetsIn(at)))
		rateLimit(a.header, b.quota, 0, b.ends)
	}
	return a
}
