package tokencache

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
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

// maxResponse is how much of a token response is read.
const maxResponse = 64 << 10

// endpointTransport returns the transport for token requests. It is used once
// in hours, so a kept connection would always be a dead one; and on a fresh
// connection over HTTP/1.1, net/http never sends a request twice.
func endpointTransport(roots *x509.CertPool) *http.Transport {
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

// An answer is what came of one token request.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error         // why there is no answer, or no whole one
	sent   bool          // the request, or a part of it, may have reached the server
	took   time.Duration // until the answer was read
}

// request sends one token request: once, whatever happens. It follows no
// redirect, since the client secret is in it.
func (c Credentials) request(ctx context.Context, rt http.RoundTripper) answer {
	start := time.Now()
	var written, traced atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { traced.Store(true) },
		WroteHeaders: func() { written.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { written.Store(true) },
	})
	req, err := c.newRequest(ctx)
	if err != nil {
		return answer{err: err}
	}
	resp, err := rt.RoundTrip(req)
	a := answer{err: err}
	if err == nil {
		a.status, a.header = resp.StatusCode, resp.Header
		a.body, a.err = io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
		_ = resp.Body.Close()
	}
	// A transport that does not trace may have sent it. That of net/http does, and
	// may fail before it, as when it is told of no good proxy.
	_, traces := rt.(*http.Transport)
	a.sent = written.Load() || !traced.Load() && !traces || a.status != 0
	// What is no HTTP is quoted by net/http in its errors, and may be what was
	// sent, quoted once more.
	if a.err != nil && (written.Load() && !wordless(a.err) || c.repeatedIn(a.err.Error())) {
		a.err = errors.New("what came is no HTTP, and is not shown, as it may repeat the request")
	}
	maps.DeleteFunc(a.header, func(_ string, values []string) bool { return slices.ContainsFunc(values, c.repeatedIn) })
	a.took = time.Since(start)
	return a
}

// wordless reports whether an error is of a kind that has no word of the server's
// in it: of the network, of TLS, of time.
func wordless(err error) bool {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &network) || errors.As(err, &certificate) || errors.As(err, &record) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// repeatedIn reports whether the secret is in text, in one of the ways in which it
// was sent.
func (c Credentials) repeatedIn(text string) bool {
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.ClientID) + ":" + url.QueryEscape(c.ClientSecret)))
	quoted, _ := json.Marshal(c.ClientSecret)
	for _, form := range []string{c.ClientSecret, url.QueryEscape(c.ClientSecret), basic, string(quoted[1 : len(quoted)-1])} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func (c Credentials) newRequest(ctx context.Context) (*http.Request, error) {
	fields := url.Values{"grant_type": {"client_credentials"}}
	maps.Copy(fields, c.Params)
	if c.Encoding != FormBasic {
		fields.Set("client_id", c.ClientID)
		fields.Set("client_secret", c.ClientSecret)
	}
	for name, value := range map[string]string{
		"audience": c.Audience, "organization": c.Organization, "scope": strings.Join(c.Scopes, " "),
	} {
		if value != "" {
			fields.Set(name, value)
		}
	}

	contentType, body := "application/x-www-form-urlencoded", []byte(fields.Encode())
	if c.Encoding == JSON {
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
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.TokenURL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // what cannot be read again is not sent again
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "fleettoken")
	if c.Encoding == FormBasic {
		// RFC 6749 section 2.3.1: both are encoded as in a form first.
		req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	}
	return req, nil
}
