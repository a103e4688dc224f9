package auth0test

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// maxBody is the largest body of a token request that is read, in bytes.
const maxBody = 64 << 10

// A form is what a token request asks for, however it was encoded.
type form struct {
	encoding       string // "json", "form" or "other"
	authentication string // "body", "basic", "both" or "none"

	clientID, secret       string
	audience, organization string
	grantType, scope       string

	malformed string // what is wrong with the request; empty: nothing
}

// readBody reads the body of a token request. A failure means that the client
// went away before it had sent everything, so nobody waits for an answer.
func readBody(r *http.Request) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r.Body, maxBody+1))
}

// parse understands a token request.
func parse(r *http.Request, body []byte) form {
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var f form
	switch contentType {
	case "application/json":
		f = parseJSON(body)
	case "application/x-www-form-urlencoded":
		f = parseForm(body)
	default:
		f = form{encoding: "other", malformed: fmt.Sprintf("Unsupported content type: %q", contentType)}
	}
	if len(body) > maxBody {
		f.malformed = "The body is too large"
	}
	f.authentication = "none"
	if f.clientID != "" || f.secret != "" {
		f.authentication = "body"
	}
	if id, secret, ok := r.BasicAuth(); ok {
		f.addBasic(id, secret)
	}
	return f
}

func parseJSON(body []byte) form {
	var in struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		Audience     string `json:"audience"`
		Organization string `json:"organization"`
		GrantType    string `json:"grant_type"`
		Scope        string `json:"scope"`
	}
	f := form{encoding: "json"}
	if err := json.Unmarshal(body, &in); err != nil {
		f.malformed = "Invalid JSON"
		return f
	}
	f.clientID, f.secret = in.ClientID, in.ClientSecret
	f.audience, f.organization = in.Audience, in.Organization
	f.grantType, f.scope = in.GrantType, in.Scope
	return f
}

// parseForm reads the body alone: RFC 6749 section 2.3.1 forbids credentials in
// the URL, and section 3.2 forbids a parameter that is given twice.
func parseForm(body []byte) form {
	f := form{encoding: "form"}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		f.malformed = "Invalid form encoding"
		return f
	}
	for name, v := range values {
		if len(v) > 1 {
			f.malformed = fmt.Sprintf("Parameter given more than once: %s", name)
		}
	}
	f.clientID, f.secret = values.Get("client_id"), values.Get("client_secret")
	f.audience, f.organization = values.Get("audience"), values.Get("organization")
	f.grantType, f.scope = values.Get("grant_type"), values.Get("scope")
	return f
}

// addBasic takes the credentials of an Authorization header. RFC 6749 section
// 2.3.1 has both parts form-encoded before they are joined, and allows only one
// way of authentication in a request. A client_id in the body, without a
// secret, is no second one.
func (f *form) addBasic(id, secret string) {
	if f.secret != "" {
		f.authentication = "both"
		f.malformed = "More than one way of client authentication"
		return
	}
	f.authentication = "basic"
	var err error
	if f.clientID, err = url.QueryUnescape(id); err != nil {
		f.clientID = id
	}
	if f.secret, err = url.QueryUnescape(secret); err != nil {
		f.secret = secret
	}
}

// secretOK reports whether the secret is right, whatever the client id.
func (f form) secretOK(cfg Config) bool {
	return subtle.ConstantTimeCompare([]byte(f.secret), []byte(cfg.ClientSecret)) == 1
}
