package auth0test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// decide judges a token request in the ordinary way: checks it, compares it
// with the quotas, and issues a token. All of this is one step, so that
// requests at the same moment cannot both have the last token.
func (s *Server) decide(row *Request, f form, cfg Config, fault Fault) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	a := check(row.Method, f, cfg)
	if a == nil {
		a = s.grant(row, f, cfg, fault, at)
	}
	if a.header.Get("X-RateLimit-Limit") == "" {
		tenantLimit(a.header, at)
	}
	return *a
}

// check finds what is wrong with a request whatever was issued before. It
// returns nil if a token may be issued.
func check(method string, f form, cfg Config) *answer {
	refuse := func(status int, code, description string) *answer {
		a := oauthError(status, code, description)
		return &a
	}
	switch {
	case method != http.MethodPost:
		a := refuse(http.StatusMethodNotAllowed, "invalid_request", "Method not allowed: "+method)
		a.header.Set("Allow", http.MethodPost)
		return a
	case f.malformed != "":
		return refuse(http.StatusBadRequest, "invalid_request", f.malformed)
	case f.grantType == "":
		return refuse(http.StatusBadRequest, "invalid_request", "Missing required parameter: grant_type")
	case f.clientID != cfg.ClientID || !f.secretOK(cfg):
		return refuse(http.StatusUnauthorized, "access_denied", "Unauthorized")
	case f.grantType != "client_credentials":
		return refuse(http.StatusForbidden, "unauthorized_client",
			fmt.Sprintf("Grant type '%s' not allowed for the client.", f.grantType))
	case len(cfg.Audiences) == 0 || slices.Contains(cfg.Audiences, f.audience):
		return nil
	case f.audience == "":
		return refuse(http.StatusForbidden, "access_denied",
			"No audience parameter was provided, and no default audience has been configured")
	default:
		return refuse(http.StatusForbidden, "access_denied", "Service not enabled within domain: "+f.audience)
	}
}

// grant issues a token, or refuses to if no quota is left. The caller holds s.mu.
func (s *Server) grant(row *Request, f form, cfg Config, fault Fault, at time.Time) *answer {
	exact := s.tally(cfg, f.organization, at, at)
	if fault.QuotaExceeded {
		exact.spendAll()
	}
	if _, exhausted := exact.exhausted(); fault.QuotaExceeded || exhausted && !cfg.Monitor {
		a := exact.refusal(cfg.Header, at)
		return &a
	}

	seconds := int64(cfg.TTL / time.Second)
	token := mintToken(row.Number)
	row.Issued = true
	row.Expires = at.Add(time.Duration(seconds) * time.Second)
	s.tokens[token] = &issued{expires: row.Expires}

	before := s.tally(cfg, f.organization, at, at.Add(-cfg.Lag))
	s.spend(f.organization, at)
	after := s.tally(cfg, f.organization, at, at.Add(-cfg.Lag))

	a := newAnswer(http.StatusOK)
	if cfg.RemainingBefore {
		after = before
	}
	cfg.Header.write(a.header, after, at)
	a.fields = map[string]json.RawMessage{
		"access_token": marshal(token),
		"expires_in":   marshal(seconds),
		"token_type":   marshal("Bearer"),
	}
	if f.scope != "" {
		a.fields["scope"] = marshal(f.scope)
	}
	return &a
}
