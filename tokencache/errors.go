package tokencache

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
)

var (
	// ErrNoToken is what every error of Token is: there is no valid token, and
	// none could be had.
	ErrNoToken = errors.New("no token")

	// ErrRedis is what every [*RedisError] is.
	ErrRedis = errors.New("redis")

	// ErrEncryptionKey means that the fleet's token is encrypted with a key that this
	// replica does not have. No token request is made for it: that would be a
	// request for each replica with a wrong key.
	ErrEncryptionKey = errors.New("the fleet's token is encrypted with a key that this replica does not have: give all replicas the same encryption keys")

	// ErrClosed means that the Cache or the Source was closed.
	ErrClosed = errors.New("the cache or the source is closed")
)

// An Error says why a call of a Source failed. What went wrong is in Err: a
// [*quota.DeniedError], a [*RequestError], a [*RedisError], [ErrEncryptionKey],
// [ErrClosed], or the error of the caller's context.
type Error struct {
	// Op is what was called: "token", "invalidate", "rotate" or "settle".
	Op string

	// Client and Audience say which token it is about. Client is the end of
	// the client id.
	Client, Audience string

	// ValidUntil is when the token that this replica goes on serving expires.
	// It is zero if it has none.
	ValidUntil time.Time

	Err error
}

// Error returns what happened and what to do about it, in one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op == "token" {
		fmt.Fprintf(&b, "tokencache: no token for client %s", e.Client)
	} else {
		fmt.Fprintf(&b, "tokencache: %s: the token of client %s", e.Op, e.Client)
	}
	if e.Audience != "" {
		fmt.Fprintf(&b, ", audience %q", e.Audience)
	}
	if e.Op != "token" {
		b.WriteString(" was not replaced")
	}
	if !e.ValidUntil.IsZero() {
		fmt.Fprintf(&b, " and is valid until %s", e.ValidUntil.UTC().Format("2006-01-02 15:04:05Z"))
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is [ErrNoToken] and there is none.
func (e *Error) Is(target error) bool { return target == ErrNoToken && e.Op == "token" }

// A RequestError is a token request that brought no token. It unwraps to an
// [*oauth2.RetrieveError], for code that looks for one, without the body: a
// server may echo the secret.
type RequestError struct {
	Class Class

	// Status is the status of the response, zero if none came. Code is its
	// RFC 6749 error code, empty if it had none that reads like one.
	Status int
	Code   string

	// RetryAt is when the fleet asks next, by this host's clock.
	RetryAt time.Time

	detail string
	header http.Header
	err    error
}

// Error returns what happened and what to do about it, in one line.
func (e *RequestError) Error() string {
	var b strings.Builder
	b.WriteString("the token request failed: ")
	b.WriteString(e.detail)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (status %d", e.Status)
		if e.Code != "" {
			fmt.Fprintf(&b, " %s", e.Code)
		}
		b.WriteString(")")
	}
	if e.err != nil {
		fmt.Fprintf(&b, ": %v", e.err)
	}
	if advice := e.Class.Advice(); advice != "" {
		fmt.Fprintf(&b, "; %s", advice)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](e.err); ok {
		b.WriteString("; if the token endpoint has a certificate authority of its own, give it in the RootCAs of the options (FLEETTOKEN_CA_FILE)")
	}
	if !e.RetryAt.IsZero() {
		fmt.Fprintf(&b, "; next attempt at %s", clock(e.RetryAt))
	}
	return b.String()
}

// Unwrap returns what users of golang.org/x/oauth2 expect, and the error of the
// network if there was one. A request that took longer than Options.RequestTimeout is
// not [context.DeadlineExceeded], which is for the caller's own deadline.
func (e *RequestError) Unwrap() []error {
	var errs []error
	if e.err != nil && !ofContext(e.err) {
		errs = append(errs, e.err)
	}
	if e.Status != 0 {
		errs = append(errs, &oauth2.RetrieveError{
			Response:  &http.Response{StatusCode: e.Status, Status: fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)), Header: e.header, Body: http.NoBody},
			ErrorCode: e.Code,
		})
	}
	return errs
}

// ClassOf returns the class of the token request that failed, if err is, or wraps, a
// [*RequestError], or a [*quota.DeniedError] for a block that a failed request left. It
// returns "" if no failed request is the reason.
func ClassOf(err error) Class {
	if failed, ok := errors.AsType[*RequestError](err); ok {
		return failed.Class
	}
	if denied, ok := errors.AsType[*quota.DeniedError](err); ok && denied.Bucket == "" {
		if class := Class(denied.Reason); slices.Contains(classes, class) {
			return class
		}
	}
	return ""
}

// ofContext reports whether an error is, or wraps, that of a context.
func ofContext(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// newRequestError makes the error of a failed answer.
func newRequestError(a endpoint.Answer, v endpoint.Verdict, retryAt time.Time) *RequestError {
	return &RequestError{Class: Class(v.Class), Status: a.Status, Code: v.Code, RetryAt: retryAt, detail: v.Detail, header: shownHeader(a.Header), err: a.Err}
}

// shownHeader returns what of a response's header may be shown: the fields that
// speak of waiting. Others may echo the request, as its body may.
func shownHeader(h http.Header) http.Header {
	shown := make(http.Header)
	for _, name := range []string{
		"Date", "Retry-After", quota.ClientHeader, quota.OrganizationHeader,
		"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "Auth0-Ratelimit",
	} {
		if values := h.Values(name); len(values) > 0 {
			shown[http.CanonicalHeaderKey(name)] = values
		}
	}
	return shown
}

// clock formats a time for people.
func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// retryAt returns the time that an error names for the next attempt.
func retryAt(err error) (time.Time, bool) {
	if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
		return denied.RetryAt, true
	}
	if failed, ok := errors.AsType[*RequestError](err); ok && !failed.RetryAt.IsZero() {
		return failed.RetryAt, true
	}
	return time.Time{}, false
}
