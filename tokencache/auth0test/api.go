package auth0test

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const (
	keepCalls = 1000 // how many calls are remembered
	keepBody  = 4096 // how many bytes of a body
)

// APICalls returns how often the API was called with tokens of each state.
func (s *Server) APICalls() map[TokenState]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := maps.Clone(s.api.counts)
	if counts == nil {
		counts = make(map[TokenState]int)
	}
	return counts
}

// RecentAPICalls returns the latest 1000 calls of the API, the oldest first.
func (s *Server) RecentAPICalls() []APICall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.api.recent)
}

// RejectAll makes the API answer 401 to every token, also to valid ones, until
// it is called with false.
func (s *Server) RejectAll(reject bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.api.rejectAll = reject
}

// serveAPI answers 200 to a valid token and 401 to any other, as RFC 6750 has
// it.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, keepBody))
	rest, errRest := io.Copy(io.Discard, r.Body)
	if err != nil || errRest != nil {
		abort() // the client went away: there was no whole request to judge
	}
	call := APICall{
		Method: r.Method,
		Path:   r.URL.Path,
		Body:   body,
		Length: int64(len(body)) + rest,
	}
	s.judge(&call, bearer(r))

	w.Header().Set("Content-Type", "application/json")
	if call.Status == http.StatusOK {
		_, _ = io.WriteString(w, `{"ok":true}`)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	w.WriteHeader(call.Status)
	_, _ = io.WriteString(w, `{"error":"invalid_token"}`)
}

// judge completes a call and remembers it.
func (s *Server) judge(call *APICall, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.Time = now()
	call.Token = s.check(token)
	call.Status = http.StatusUnauthorized
	if call.Token == TokenValid && !s.api.rejectAll {
		call.Status = http.StatusOK
	}
	if s.api.counts == nil {
		s.api.counts = make(map[TokenState]int)
	}
	s.api.counts[call.Token]++
	if len(s.api.recent) == keepCalls {
		s.api.recent = s.api.recent[1:]
	}
	s.api.recent = append(s.api.recent, *call)
}

// bearer returns the token of an Authorization header, or nothing.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}
