package auth0test

import (
	"encoding/json"
	"net/http"
)

// The ledger is written in steps, each as soon as it is known, so that a
// request that goes wrong half-way still leaves what was known of it.

// arrive opens a row for a request and says how it will be treated: by the
// configuration and the fault of this moment.
func (s *Server) arrive(r *http.Request) (*Request, Config, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.nextFault()
	s.inFlight++
	row := &Request{
		Number:     len(s.rows) + 1,
		Arrived:    now(),
		Concurrent: s.inFlight,
		Method:     r.Method,
		Path:       r.URL.Path,
		RemoteAddr: r.RemoteAddr,
		UserAgent:  r.UserAgent(),
		Fault:      fault.Name,
	}
	s.rows = append(s.rows, row)
	return row, s.cfg.withDefaults(), fault
}

// describe writes down what the request asks for.
func (s *Server) describe(row *Request, f form, cfg Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row.Encoding = f.encoding
	row.Authentication = f.authentication
	row.ClientID = f.clientID
	row.SecretOK = f.secretOK(cfg)
	row.GrantType = f.grantType
	row.Audience = f.audience
	row.Organization = f.organization
	row.Scope = f.scope
}

// answered writes down the head of the answer.
func (s *Server) answered(row *Request, status int, h http.Header, form HeaderForm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row.Status = status
	row.ClientQuota, row.OrganizationQuota = form.read(h)
}

// explain writes down the error code in the body of the answer, if any.
func (s *Server) explain(row *Request, body []byte) {
	var in struct {
		Error any `json:"error"`
	}
	_ = json.Unmarshal(body, &in) // a body that is no JSON holds no error code
	code, _ := in.Error.(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	row.Error = code
}

// leave closes the row. It may be called twice; the first time counts.
func (s *Server) leave(row *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if row.Ended.IsZero() {
		row.Ended = now()
		s.inFlight--
	}
}
