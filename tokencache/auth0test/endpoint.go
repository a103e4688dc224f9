package auth0test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
)

// serveToken is the life of one token request: it is written down, read,
// judged, delayed, spoiled by a fault if there is one, and answered.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	row, cfg, fault := s.arrive(r)
	defer s.leave(row)

	body, err := readBody(r)
	if err != nil {
		abort()
	}
	f := parse(r, body)
	s.describe(row, f, cfg)

	var a answer
	if fault.Issue || !fault.replaces() {
		a = s.decide(row, f, cfg, fault)
	}
	if fault.Hang {
		s.hang(r.Context())
		abort()
	}
	latency := cfg.Latency
	if fault.Latency > 0 {
		latency = fault.Latency
	}
	if !s.wait(r.Context(), latency) || fault.Cut {
		abort()
	}
	if fault.Handler != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := &recorder{ResponseWriter: w, answered: func(status int) {
			s.answered(row, status, w.Header(), cfg.Header)
		}}
		fault.Handler(rec, r)
		rec.finish()
		s.explain(row, rec.body)
		return
	}
	if fault.replaces() {
		a = fault.answer()
		s.report(a, f, cfg)
	}
	if fault.SkipQuotaHeader {
		cfg.Header.remove(a.header)
	}
	fault.spoil(&a)
	s.send(w, r, row, a, cfg, fault)
}

// hang waits until the client goes away or the server closes. There is no
// timer: in a synctest bubble it would be one more moment to jump to.
func (s *Server) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.closing:
	}
}

// report adds the quota headers to the answer of a fault, if its status is one
// that has them.
func (s *Server) report(a answer, f form, cfg Config) {
	if a.status != http.StatusOK && a.status != http.StatusTooManyRequests {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	cfg.Header.write(a.header, s.tally(cfg, f.organization, at, at.Add(-cfg.Lag)), at)
}

// send writes the answer. The ledger is complete before the client can have
// seen all of it: a test that has its answer finds it in the ledger, and its
// next request does not seem to overlap with this one.
func (s *Server) send(w http.ResponseWriter, r *http.Request, row *Request, a answer, cfg Config, fault Fault) {
	body := a.bytes()
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	maps.Copy(w.Header(), a.header)
	s.answered(row, a.status, w.Header(), cfg.Header)
	s.explain(row, body)

	switch {
	case fault.CutBody:
		w.WriteHeader(a.status)
		_, _ = w.Write(body[:len(body)/2])
		flush(w)
		abort()
	case fault.Trickle > 0:
		w.WriteHeader(a.status)
		flush(w)
		for i := range body {
			if !s.wait(r.Context(), fault.Trickle) {
				abort()
			}
			if i == len(body)-1 {
				s.leave(row)
			}
			_, _ = w.Write(body[i : i+1])
			flush(w)
		}
	default:
		s.leave(row)
		w.WriteHeader(a.status)
		_, _ = w.Write(body)
	}
}

// flush sends what was written so far. It fails only if the client is gone.
func flush(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
}
