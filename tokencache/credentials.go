package tokencache

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// Credentials identify one token, and what is needed to request it. All fields but
// ClientSecret, Encoding, DefaultLifetime and Header make up which token it is: replicas
// with equal ones share it.
//
// Printing Credentials does not show the secret. Keep them out of unexported
// fields of structs that are printed, all the same: package fmt cannot ask those
// how they want to be printed.
type Credentials struct {
	// TokenURL is the token endpoint. It must be an https URL.
	TokenURL string

	// ClientID and ClientSecret are the client's identifier and password
	// (RFC 6749 section 2.3.1).
	ClientID     string
	ClientSecret string

	// Audience is the API that the token is for, as Auth0 has it. Empty means
	// that the request names none.
	Audience string

	// Organization is the organization that the token is for, as Auth0 has it.
	// Empty means none.
	Organization string

	// Scopes are the scopes to ask for (RFC 6749 section 3.3), in any order.
	// None means that the server decides.
	Scopes []string

	// GrantType is the grant_type of the token request. Empty means client_credentials.
	// Some providers have a name of their own for the same, such as Zoom's
	// account_credentials.
	GrantType string

	// Params are further parameters of the token request, such as resource. Several
	// audiences are parameters, too. Zero means none.
	Params url.Values

	// Header has further fields of the header of the token request, such as User-Agent. It
	// is no part of which token it is. It must hold no secret. Nil means none.
	Header http.Header

	// Encoding is how the request is written. Zero means JSON.
	Encoding Encoding

	// DefaultLifetime is how long a token lives, from when it is requested, if neither the
	// response nor the token itself says it. Set it to what the provider documents, or
	// less. Zero means that such a response is an error. At most 30 days. It is no part of
	// which token it is.
	DefaultLifetime time.Duration
}

// An Encoding is how a token request is written, and where the client's
// credentials are in it.
type Encoding int

const (
	// JSON is a JSON object with the credentials in it, as Auth0 documents it.
	JSON Encoding = iota
	// Form is a form with the credentials in it (RFC 6749 section 2.3.1,
	// client_secret_post).
	Form
	// FormBasic is a form, with the credentials in the Authorization header
	// (client_secret_basic). They are encoded as RFC 6749 section 2.3.1 says.
	FormBasic
	// FormBasicPlain is FormBasic, with credentials that are not encoded, for servers that
	// do not decode them. It makes a difference only if they have other characters than
	// letters, digits and - . _ ~.
	FormBasicPlain
)

// String returns the name that the setting FLEETTOKEN_ENCODING has for e.
func (e Encoding) String() string {
	switch e {
	case JSON:
		return "json"
	case Form:
		return "form"
	case FormBasic:
		return "basic"
	case FormBasicPlain:
		return "basic-plain"
	}
	return fmt.Sprintf("encoding(%d)", int(e))
}

// FromOAuth2 returns the credentials of a client that has used
// golang.org/x/oauth2 until now, so that moving is one line:
//
//	client := conf.Client(ctx)                      // before
//	source, err := cache.Source(FromOAuth2(conf))   // after
//	client := source.Client(ctx)
//
// The request stays a form. Where x/oauth2 would try out whether the server
// wants the credentials in the header or in the body, at a token request for
// each try, they go into the body.
func FromOAuth2(c *clientcredentials.Config) Credentials {
	cred := Credentials{
		TokenURL:     c.TokenURL,
		ClientID:     c.ClientID,
		ClientSecret: c.ClientSecret,
		Scopes:       slices.Clone(c.Scopes),
		Params:       maps.Clone(c.EndpointParams),
		Encoding:     Form,
	}
	if c.AuthStyle == oauth2.AuthStyleInHeader {
		cred.Encoding = FormBasic
	}
	take := func(name string) string {
		values := cred.Params[name]
		if len(values) != 1 {
			return ""
		}
		delete(cred.Params, name)
		return values[0]
	}
	cred.GrantType = take("grant_type")
	cred.Audience = take("audience")
	cred.Organization = take("organization")
	return cred
}

// Validate returns what is wrong with the credentials: nil, or an error that joins a
// [*ConfigError] for each field. It accepts plain http at a loopback address, which
// [Cache.Source] accepts with [Options].InsecureLoopback only.
func (c Credentials) Validate() error { return c.validate(true) }

func (c Credentials) validate(plainLoopback bool) error {
	errs := configErrors{of: "Credentials"}
	if problem, advice := checkURL(c.TokenURL, plainLoopback); problem != "" {
		errs.add("TokenURL", problem, advice)
	}
	if c.ClientID == "" {
		errs.add("ClientID", "is empty", "set it to the client id that the provider gave you")
	} else if spaced(c.ClientID) {
		errs.add("ClientID", "has a blank or a newline at one end", "remove it")
	}
	if c.ClientSecret == "" {
		errs.add("ClientSecret", "is empty", "set it to the client secret that the provider gave you")
	} else if spaced(c.ClientSecret) {
		errs.add("ClientSecret", "has a blank or a newline at one end, as a file has that was written with echo", "remove it")
	}
	if c.Encoding < JSON || c.Encoding > FormBasicPlain {
		errs.add("Encoding", fmt.Sprintf("is %d", int(c.Encoding)), "use JSON, Form, FormBasic or FormBasicPlain")
	}
	if c.DefaultLifetime != 0 && (c.DefaultLifetime < time.Second || c.DefaultLifetime > bearer.MaxLifetime) {
		errs.add("DefaultLifetime", fmt.Sprintf("is %v", c.DefaultLifetime), fmt.Sprintf("give it from a second to %v, or zero for none", bearer.MaxLifetime))
	}
	for _, scope := range c.Scopes {
		if scope == "" || strings.ContainsFunc(scope, unicode.IsSpace) {
			errs.add("Scopes", fmt.Sprintf("has %q in it", scope), "give each scope an element of its own")
		}
	}
	for _, name := range []string{"client_id", "client_secret", "grant_type", "audience", "organization", "scope"} {
		several := name == "audience" && len(c.Params[name]) > 1 && c.Audience == "" // for which there is no field
		if c.Params.Has(name) && !several {
			errs.add("Params", fmt.Sprintf("has %q in it", name), "use the field of that name")
		}
	}
	if text := strings.Join(append([]string{c.ClientID, c.ClientSecret, c.Audience, c.Organization, c.GrantType}, c.Scopes...), ""); c.Encoding == JSON && !utf8.ValidString(text) {
		errs.add("Encoding", "is JSON, and a field has bytes in it that are not UTF-8", "use Form or FormBasic, which send them as they are")
	}
	if strings.ContainsFunc(c.GrantType, unicode.IsSpace) {
		errs.add("GrantType", fmt.Sprintf("is %q", c.GrantType), "leave out the blanks")
	}
	for name, values := range c.Header {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case slices.Contains([]string{"Authorization", "Content-Type", "Content-Length", "Transfer-Encoding", "Host", "Connection"}, canonical):
			errs.add("Header", fmt.Sprintf("has %s in it", canonical), "leave it out: the token request has one of its own")
		case strings.ContainsFunc(name+strings.Join(values, ""), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) || name == "" || strings.ContainsAny(name, " :"):
			errs.add("Header", fmt.Sprintf("has a field %q that cannot be sent", name), "leave out blanks, colons and control characters")
		}
	}
	return errs.join()
}

// checkURL insists on HTTPS. Plain http is for a loopback address, if plainLoopback
// allows it, and not for a name, which can be anything. It returns what is wrong with
// the URL of a token endpoint and what to do, or nothing.
func checkURL(raw string, plainLoopback bool) (problem, advice string) {
	const like = "write it like https://TENANT.eu.auth0.com/oauth/token"
	u, err := url.Parse(raw)
	plain := err == nil && u.Scheme == "http" && plainLoopback && isLoopback(u.Host)
	switch {
	case raw == "":
		return "is empty", "set it to the token endpoint, such as https://TENANT.eu.auth0.com/oauth/token"
	case err != nil:
		return "is not a URL", like // err shows the URL, which may hold a password
	case u.User != nil:
		return "has a user name or password in it", "credentials have fields of their own"
	case u.Scheme == "http" && u.Host != "" && !plain:
		return fmt.Sprintf("is %s://%s%s", u.Scheme, u.Host, u.EscapedPath()), "it must begin with https://, since the client secret and the token travel over it"
	case u.Scheme != "https" && !plain: // it may be a secret that belongs elsewhere
		return "is not an https URL", "it must begin with https://, as https://TENANT.eu.auth0.com/oauth/token does"
	case u.Host == "":
		return "has no host in it", like
	case u.Fragment != "":
		return "has a fragment, after a #", "remove it"
	}
	return "", ""
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func spaced(s string) bool { return strings.TrimSpace(s) != s }

// id names the token that the credentials stand for. The key id is a part of it
// if the key depends on the secret: then a new secret makes a record of its own.
func (c Credentials) id(sealedBy string) string {
	scopes := slices.Clone(c.Scopes)
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	parts := []string{c.TokenURL, c.ClientID, c.Audience, c.Organization, store.Hash(scopes...), c.Params.Encode(), sealedBy}
	if c.GrantType != "" { // or the name would not be that of earlier versions
		parts = append(parts, c.GrantType)
	}
	return store.Hash(parts...)
}

// request returns what is sent to the token endpoint.
func (c Credentials) request() endpoint.Request {
	return endpoint.Request{
		URL: c.TokenURL, ClientID: c.ClientID, ClientSecret: c.ClientSecret, Audience: c.Audience, Organization: c.Organization,
		Scopes: c.Scopes, Params: c.Params, Encoding: endpoint.Encoding(c.Encoding), DefaultLifetime: c.DefaultLifetime,
		GrantType: c.GrantType, Header: c.Header,
	}
}

// clone returns a copy that shares nothing with c.
func (c Credentials) clone() Credentials {
	c.Scopes = slices.Clone(c.Scopes)
	params := make(url.Values, len(c.Params))
	for name, values := range c.Params {
		params[name] = slices.Clone(values)
	}
	c.Params = params
	c.Header = c.Header.Clone()
	return c
}

// clientLabel is how the client is named for people: the end of its id distinguishes two
// clients without showing the whole.
func clientLabel(id string) string {
	if len(id) <= 4 {
		return "…"
	}
	return "…" + id[len(id)-4:]
}

// String returns which token it is, without the secret.
func (c Credentials) String() string {
	return fmt.Sprintf("client %s audience %q at %s", clientLabel(c.ClientID), c.Audience, c.TokenURL)
}

// Format prints String, whatever the verb.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// GoString returns String.
func (c Credentials) GoString() string { return c.String() }

// LogValue returns String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText returns String. It is what encoding/json and others write.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
