package endpoint

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// A Request is what one token request asks for, and with which credentials. It cannot
// be printed with its secret.
type Request struct {
	URL          string
	ClientID     string
	ClientSecret string
	Audience     string
	Organization string
	Scopes       []string
	Params       url.Values
	Encoding     Encoding

	GrantType string      // empty: client_credentials
	Header    http.Header // further fields

	// DefaultLifetime is how long a token lives if the response does not say it. Zero
	// means that such a response is an error.
	DefaultLifetime time.Duration
}

// An Encoding is how a request is written, and where its credentials are in it.
type Encoding int

const (
	JSON       Encoding = iota // an object with the credentials in it, as Auth0 documents it
	Form                       // a form with the credentials in it (client_secret_post)
	Basic                      // a form, the credentials in the Authorization header (client_secret_basic)
	BasicPlain                 // the same, without the encoding of RFC 6749 section 2.3.1
)

// String returns the name of the encoding.
func (e Encoding) String() string {
	if e < JSON || e > BasicPlain {
		return "unknown"
	}
	return [...]string{"json", "form", "basic", "basic-plain"}[e]
}

// String returns where the request goes.
func (r Request) String() string { return "token request to " + r.URL }

// Format prints String, whatever the verb.
func (r Request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// GoString returns String.
func (r Request) GoString() string { return r.String() }

// LogValue returns String.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText returns String. It is what encoding/json and others write.
func (r Request) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
