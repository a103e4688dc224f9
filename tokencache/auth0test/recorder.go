package auth0test

import (
	"bufio"
	"net"
	"net/http"
)

// A recorder records in the ledger what a fault's handler answers, before the client
// can see it.
type recorder struct {
	http.ResponseWriter
	answered func(status int)
	done     bool
	body     []byte
}

// WriteHeader reports the status.
func (r *recorder) WriteHeader(status int) {
	if !r.done {
		r.done = true
		r.answered(status)
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write keeps the beginning of the body, which may hold an error code.
func (r *recorder) Write(p []byte) (int, error) {
	if !r.done {
		r.WriteHeader(http.StatusOK)
	}
	r.body = append(r.body, p[:min(len(p), maxBody-len(r.body))]...)
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find the other abilities of the writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Hijack hands over the connection. The ledger then shows no answer.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.done = true
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// finish does what net/http would do for a handler that wrote nothing.
func (r *recorder) finish() {
	if !r.done {
		r.WriteHeader(http.StatusOK)
	}
}
