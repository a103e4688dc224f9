package tokencache

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Client returns an HTTP client that authorizes its requests with the fleet's
// token; see [Source.Transport]. The transport below it is that of the
// *http.Client that ctx holds under oauth2.HTTPClient, and http.DefaultTransport
// if it holds none. Nothing else of ctx is used.
func (s *Source) Client(ctx context.Context) *http.Client {
	client := &http.Client{}
	if given, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok && given != nil {
		*client = *given
	}
	client.Transport = s.Transport(client.Transport)
	return client
}

// Transport returns a RoundTripper that adds the fleet's token to requests and
// sends them through base; nil means http.DefaultTransport. It waits for a token
// as long as the request's own context lets it, and fails if none can be had:
// it never sends a request without.
//
// It takes HTTPS only. A request that an http.Client has redirected to another
// scheme, host or port is sent on without the token, and so are those that
// follow it.
//
// An answer with status 401 means that the API refused the token; see
// [Source.Invalidate]. One whose WWW-Authenticate field has the error of something else,
// such as insufficient_scope (RFC 6750 section 3.1), does not, and goes to the caller.
// [Options].TokenRefused decides otherwise. A token that was issued in the last five seconds
// is not replaced: the request is sent again, with the token before it if that is valid,
// and with the same one, since an API may hear of a token late. If the fleet gets another token, the request is
// sent once more, provided that its body can be (there is none, or GetBody is set).
// Otherwise the caller gets the answer as it came.
func (s *Source) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{s, base}
}

type transport struct {
	source *Source
	base   http.RoundTripper
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if strayed(req) {
		return t.base.RoundTrip(req)
	}
	if err := t.source.mayTravel(req.URL); err != nil {
		closeBody(req)
		return nil, err
	}
	ctx := req.Context()
	h := t.source.held.Load()
	if h == nil || !h.fresh() {
		var err error
		if h, err = t.source.client.obtain(ctx, &t.source.source); err != nil {
			closeBody(req)
			return nil, t.source.fail("token", err)
		}
	}
	resp, err := t.base.RoundTrip(authorized(req, h))
	if err != nil || !t.source.client.host.opts.TokenRefused(resp) {
		return resp, err
	}
	return t.unauthorized(req, resp, h)
}

// unsettled tries again while h is so young that an API may refuse it for that: with the
// token before it if that is valid, and with h after a pause. It returns the answer, and
// whether that means that the token is to be replaced.
func (t *transport) unsettled(req *http.Request, resp *http.Response, h *held) (*http.Response, bool) {
	again, ok := replay(req)
	host := t.source.client.host
	try := h.previous.Load()
	for pause := 100 * time.Millisecond; h.settles(host.now()) > 0; pause *= 2 {
		if !ok {
			return resp, false
		}
		if try == nil || try == h || !try.Valid(host.now()) {
			try = h
			select {
			case <-time.After(min(pause, h.settles(host.now()))):
			case <-req.Context().Done():
				return resp, false
			}
		}
		body, err := again()
		if err != nil {
			return resp, false
		}
		retry := authorized(req, try)
		retry.Body = body
		next, err := t.base.RoundTrip(retry)
		if err != nil { // the answer that there is says more
			return resp, false
		}
		drop(resp)
		if resp = next; !host.opts.TokenRefused(resp) {
			return resp, false
		}
		try = h
	}
	return resp, true
}

// unauthorized deals with an API that refused h.
func (t *transport) unauthorized(req *http.Request, resp *http.Response, h *held) (*http.Response, error) {
	resp, replace := t.unsettled(req, resp, h)
	if !replace {
		return resp, nil
	}
	rejected := t.source.client.invalidate(&t.source.source, h.token.AccessToken)
	again, ok := replay(req)
	if !ok {
		return resp, nil
	}
	if rejected != nil {
		// A token request takes RequestTimeout at most. If the fleet has no
		// other token by then, the API's answer is the one to give.
		ctx, cancel := context.WithTimeout(req.Context(), t.source.client.host.opts.RequestTimeout)
		defer cancel()
		if t.source.client.replaced(ctx, &t.source.source, rejected) != nil {
			return resp, nil
		}
	}
	other, err := t.source.client.obtain(req.Context(), &t.source.source)
	if err != nil || other.same(h) {
		return resp, nil
	}
	body, err := again()
	if err != nil {
		return resp, nil
	}
	drop(resp)
	second := authorized(req, other)
	second.Body = body
	return t.base.RoundTrip(second)
}

// drop closes an answer that the caller does not get. Its body is not read: an API may
// never send the end of it.
func drop(resp *http.Response) { _ = resp.Body.Close() }

// authorized returns a copy of req with the token in its header. Nothing of the
// copy is written to but the header's map, so that is what is copied.
func authorized(req *http.Request, h *held) *http.Request {
	out := *req
	if out.Header = maps.Clone(req.Header); out.Header == nil {
		out.Header = make(http.Header, 1)
	}
	out.Header["Authorization"] = h.header
	return &out
}

// replay returns a function for the body of a second attempt, if there can be
// one.
func replay(req *http.Request) (func() (io.ReadCloser, error), bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return func() (io.ReadCloser, error) { return req.Body, nil }, true
	}
	return req.GetBody, req.GetBody != nil
}

// strayed reports whether an http.Client was redirected on its way to req, to
// somewhere else than the first request of the chain went.
func strayed(req *http.Request) bool {
	for hop := req; hop.Response != nil; {
		if hop.Response.Request == nil { // a transport that does not say where it has been
			return true
		}
		previous := hop.Response.Request
		if origin(previous.URL) != origin(hop.URL) {
			return true
		}
		hop = previous
	}
	return false
}

// origin is the scheme, host and port of a URL.
func origin(u *url.URL) [3]string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return [3]string{u.Scheme, strings.ToLower(u.Hostname()), port}
}

// mayTravel insists on HTTPS.
func (s *Source) mayTravel(u *url.URL) error {
	if u.Scheme == "https" || u.Scheme == "http" && s.client.host.opts.InsecureLoopback && isLoopback(u.Host) {
		return nil
	}
	return fmt.Errorf("tokencache: the request goes to %s://%s: the token travels over https only", u.Scheme, u.Host)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
