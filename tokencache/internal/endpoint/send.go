package endpoint

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// NewTransport returns a transport for token requests, which trusts the given
// certificate authorities; nil means those of the host. It is used once in hours, so
// a kept connection would always be a dead one. And on a new connection over
// HTTP/1.1, net/http never sends a request twice.
func NewTransport(roots *x509.CertPool) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		DisableKeepAlives:      true,
		DisableCompression:     true, // a small answer, and no bomb
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              &protocols,
	}
}

// An Answer is what came of one token request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error         // why there is no answer, or no whole one
	Sent   bool          // the request, or a part of it, may have reached the server
	Took   time.Duration // until the answer was read

	// DefaultLifetime and Encoding are those of the request.
	DefaultLifetime time.Duration
	Encoding        Encoding
}

// String shows nothing of the body, which may hold a token.
func (a Answer) String() string {
	return fmt.Sprintf("answer with status %d and %d bytes", a.Status, len(a.Body))
}

// GoString returns String.
func (a Answer) GoString() string { return a.String() }

// Format prints String, whatever the verb.
func (a Answer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue returns String.
func (a Answer) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText returns String. It is what encoding/json and others write.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Send sends one token request: once, whatever happens. It follows no redirect, since
// the client secret is in it.
func (r Request) Send(ctx context.Context, rt http.RoundTripper) Answer {
	start := time.Now()
	var written, traced atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { traced.Store(true) },
		WroteHeaders: func() { written.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { written.Store(true) },
	})
	req, err := r.newRequest(ctx)
	if err != nil {
		return Answer{Err: err}
	}
	resp, err := rt.RoundTrip(req)
	a := Answer{Err: err, DefaultLifetime: r.DefaultLifetime, Encoding: r.Encoding}
	if err == nil {
		a.Status, a.Header = resp.StatusCode, resp.Header
		a.Body, a.Err = io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
		_ = resp.Body.Close()
		if a.Err == nil && len(a.Body) <= maxResponse {
			a.Body = decoded(a.Header, a.Body)
		}
	}
	// A transport that does not trace may have sent the request. That of net/http
	// traces, and may fail before, as with an unusable proxy.
	_, traces := rt.(*http.Transport)
	a.Sent = written.Load() || !traced.Load() && !traces || a.Status != 0
	// The errors of net/http quote an answer that is not HTTP, and that may repeat
	// the request.
	if a.Err != nil && (written.Load() && !quotesNothing(a.Err) || r.Echoed(a.Err.Error())) {
		a.Err = errors.New("the answer is not HTTP, and is not shown, as it may repeat the request")
	}
	maps.DeleteFunc(a.Header, func(_ string, values []string) bool { return slices.ContainsFunc(values, r.Echoed) })
	a.Took = time.Since(start)
	return a
}

// quotesNothing reports whether an error is of a kind that quotes nothing of the
// server: of the network, of TLS, of time.
func quotesNothing(err error) bool {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &network) || errors.As(err, &certificate) || errors.As(err, &record) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Echoed reports whether text has the client secret in it, in one of the forms in which
// it was sent.
func (r Request) Echoed(text string) bool {
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(r.ClientID) + ":" + url.QueryEscape(r.ClientSecret)))
	plain := base64.StdEncoding.EncodeToString([]byte(r.ClientID + ":" + r.ClientSecret))
	quoted, _ := json.Marshal(r.ClientSecret)
	for _, form := range []string{r.ClientSecret, url.QueryEscape(r.ClientSecret), basic, plain, string(quoted[1 : len(quoted)-1])} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func (r Request) newRequest(ctx context.Context) (*http.Request, error) {
	fields := url.Values{"grant_type": {cmp.Or(r.GrantType, "client_credentials")}}
	maps.Copy(fields, r.Params)
	if r.Encoding == JSON || r.Encoding == Form {
		fields.Set("client_id", r.ClientID)
		fields.Set("client_secret", r.ClientSecret)
	}
	for name, value := range map[string]string{
		"audience": r.Audience, "organization": r.Organization, "scope": strings.Join(r.Scopes, " "),
	} {
		if value != "" {
			fields.Set(name, value)
		}
	}

	contentType, body := "application/x-www-form-urlencoded", []byte(fields.Encode())
	if r.Encoding == JSON {
		object := make(map[string]any, len(fields))
		for name, values := range fields {
			object[name] = values[0]
			if len(values) > 1 {
				object[name] = values
			}
		}
		var err error
		contentType = "application/json"
		if body, err = json.Marshal(object); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // a body that cannot be read again is not sent again
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "fleettoken")
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	switch r.Encoding {
	case Basic: // RFC 6749 section 2.3.1: both are encoded as in a form first
		req.SetBasicAuth(url.QueryEscape(r.ClientID), url.QueryEscape(r.ClientSecret))
	case BasicPlain:
		req.SetBasicAuth(r.ClientID, r.ClientSecret)
	}
	return req, nil
}
