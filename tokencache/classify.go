package tokencache

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A Class says in one word what a failed token request means.
type Class string

// The classes of failed token requests. The ones above the blank line call for
// a person; the others pass.
const (
	// ClassCredentials: the client id or the secret is wrong.
	ClassCredentials Class = "credentials"
	// ClassAudience: the server does not know the audience.
	ClassAudience Class = "audience"
	// ClassGrant: the client may not have a token for this audience.
	ClassGrant Class = "grant"
	// ClassClient: the client may not use the client-credentials grant, or is
	// not enabled.
	ClassClient Class = "client"
	// ClassRequest: the server finds the request invalid.
	ClassRequest Class = "request"
	// ClassEndpoint: what answers at the token URL is no token endpoint.
	ClassEndpoint Class = "endpoint"

	// ClassQuota: the quota of the client or its organization is spent.
	ClassQuota Class = "quota"
	// ClassLimit: a limit without a quota header: of this client, of a rule
	// that the tenant made, or of the month.
	ClassLimit Class = "limit"
	// ClassTenant: the rate limit of the whole tenant.
	ClassTenant Class = "tenant-limit"
	// ClassGateway: something before the endpoint refused, such as a firewall.
	// Another replica may fare better.
	ClassGateway Class = "gateway"
	// ClassUnavailable: the server is out of order.
	ClassUnavailable Class = "unavailable"
	// ClassMalformed: a response with status 200 that holds no usable token.
	ClassMalformed Class = "malformed"
	// ClassUnreachable: no connection, so nothing was sent.
	ClassUnreachable Class = "unreachable"
	// ClassNoAnswer: sent, and no answer came. The server may have issued a
	// token.
	ClassNoAnswer Class = "no-answer"
)

// A verdict is what a token response means: for the quota, and for those who
// would ask next.
type verdict struct {
	class   Class // empty: a token was issued
	outcome quota.Outcome
	code    string // the error code of RFC 6749 section 5.2, if it reads like one
	detail  string // for people; nothing of it was said by the server
	blocks  []quota.Block
	grant   grant
}

// scopes are where a refusal can lie: the most that any answer can block.
type scopes struct {
	audience     quota.Scope // the one token
	credentials  quota.Scope // this secret: one that was rotated out must not block its successor
	organization quota.Scope // empty if there is none
}

// classify decides what an answer means. The body is asked first, then the
// header, then the status: the same limit comes with five statuses, and one
// status with ten meanings. It reads no clock.
func classify(a answer, in scopes) verdict {
	if a.status == 0 || a.err != nil && a.status == http.StatusOK { // a refusal that breaks off is one all the same
		return lost(a)
	}
	if len(a.body) > maxResponse {
		return failed(ClassMalformed, quota.Unknown, "the response has more than 64 KiB", unsure(ClassMalformed))
	}
	if a.status == http.StatusOK {
		date, _ := quota.ServerDate(a.header)
		g, err := parseGrant(a.body, date)
		if err != nil {
			return failed(ClassMalformed, quota.Unknown, "the response is no token response: "+err.Error(), unsure(ClassMalformed))
		}
		return verdict{outcome: quota.Issued, grant: g}
	}
	reply := parseError(a.body)
	v := refusal(a, reply, in)
	v.code = reply.code
	return v
}

// lost is an answer that did not come, or not whole.
func lost(a answer) verdict {
	if !a.sent {
		b := short(quota.Tenant, ClassUnreachable)
		b.Quorum = true // it may be this host's own network
		return failed(ClassUnreachable, quota.Unsent, "the request could not be sent", b)
	}
	return failed(ClassNoAnswer, quota.Unknown, "the request was sent and no answer came, so a token may be lost", unsure(ClassNoAnswer))
}

func refusal(a answer, reply errorReply, in scopes) verdict {
	wait, said := quota.WaitOf(a.header)
	retryAfter, _ := quota.RetryAfter(a.header)
	limited := a.status == http.StatusTooManyRequests
	says := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(reply.text, word) {
				return true
			}
		}
		return false
	}
	client, _ := quota.ClientLimits(a.header)
	organization, _ := quota.OrganizationLimits(a.header)
	policy := a.header.Get("Auth0-RateLimit")

	// A page in HTML with a 403 or 429 is from something before the endpoint,
	// whatever words are in it. With a 404 it is what a wrong URL gives.
	page := isHTML(a) && a.status >= 400 && a.status < 500 &&
		a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed && a.status != http.StatusUnsupportedMediaType
	// The header of a quota comes with every 429, also where the text speaks of
	// another limit. So the text is heard first.
	other := says("global limit", "rate limit", "x-ratelimit") || policy != ""

	switch {
	case page:
		return failed(ClassGateway, quota.Refused, "something before the token endpoint refused the request",
			quota.Block{Scope: quota.Tenant, Reason: quota.Reason(ClassGateway), Wait: retryAfter, Base: 30 * time.Second, Cap: 10 * time.Minute, Quorum: true})

	// The limits, whatever status they come with.
	case in.organization != "" && (says("organization quota") || limited && !other && spent(organization) && !spent(client)):
		return failed(ClassQuota, quota.Refused, "the quota of the organization is spent", quotaBlock(in.organization, wait, said))
	case limited && !other && (says("client quota", "quota exceeded") || spent(client)):
		return failed(ClassQuota, quota.Refused, "the quota of the client is spent", quotaBlock(quota.Client, wait, said))
	case limited && policy != "":
		b := short(quota.Client, ClassLimit)
		b.Wait = retryAfter
		detail := "a rate limit of this client, set by the tenant"
		if strings.Contains(strings.ReplaceAll(policy, " ", "")+";", "q=0;") {
			b.Wait, b.Base, b.Cap = 0, 5*time.Minute, time.Hour
			detail = "the tenant has set the rate limit of this client to nothing: ask the provider"
		}
		return failed(ClassLimit, quota.Refused, detail, b)
	case says("global limit") || limited && says("x-ratelimit", "rate limit", "too many requests", "too_many_requests"):
		b := short(quota.Tenant, ClassTenant)
		header := a.header.Clone() // the buckets are the client's, not the tenant's
		header.Del(quota.ClientHeader)
		header.Del(quota.OrganizationHeader)
		b.Wait, _ = quota.WaitOf(header)
		return failed(ClassTenant, quota.Refused, "the rate limit of the whole tenant, which others share", b)
	case says("rate limit", "limit reached", "limit has been reached", "tokens/", "allotment", "throttl") || says("exceeded") && a.status < 500:
		return failed(ClassLimit, quota.Refused, "a limit that the tenant set",
			quota.Block{Scope: quota.Client, Reason: quota.Reason(ClassLimit), Wait: retryAfter, Base: 15 * time.Minute, Cap: time.Hour})
	case limited:
		b := short(quota.Client, ClassLimit)
		if said {
			b.Wait = wait
		}
		return failed(ClassLimit, quota.Refused, "too many requests, and the server does not say of whom", b)

	// What a person has to put right. Nobody hammers meanwhile.
	case says("service not enabled within domain"):
		return failed(ClassAudience, quota.Refused, "the tenant does not know the audience", lasting(in.audience, ClassAudience))
	case says("client-grant", "not authorized to access"):
		return failed(ClassGrant, quota.Refused, "the client has no grant for the audience", lasting(in.audience, ClassGrant))
	case says("not allowed for the client") || reply.code == "unauthorized_client" && a.status != http.StatusUnauthorized:
		return failed(ClassClient, quota.Refused, "the client may not use the client_credentials grant", lasting(quota.Client, ClassClient))
	case reply.code == "unauthorized_client":
		b := lasting(in.credentials, ClassCredentials)
		b.Base = b.Cap // it may be a limit in disguise: one slow probe
		return failed(ClassCredentials, quota.Refused, "the client is not authorized, or over a limit: the server uses one code for both", b)
	case a.status == http.StatusUnauthorized || reply.code == "invalid_client":
		return failed(ClassCredentials, quota.Refused, "the client id or the client secret is wrong", lasting(in.credentials, ClassCredentials))
	case a.status == http.StatusBadRequest, a.status == http.StatusForbidden, a.status == http.StatusUnprocessableEntity:
		return failed(ClassRequest, quota.Refused, "the server finds the request invalid, or forbids it", lasting(in.audience, ClassRequest))

	// The server's own trouble.
	case a.status == http.StatusBadGateway || a.status == http.StatusGatewayTimeout:
		b := unsure(ClassUnavailable) // a gateway gave up on a server that may not have
		b.Wait = retryAfter
		return failed(ClassUnavailable, quota.Unknown, "a gateway before the token endpoint had no answer from it", b)
	case a.status >= 500 || reply.code == "server_error" || reply.code == "temporarily_unavailable":
		b := short(quota.Tenant, ClassUnavailable)
		b.Wait = retryAfter
		return failed(ClassUnavailable, quota.Refused, "the token endpoint is out of order", b)
	}
	detail := "what answers at the token URL is no token endpoint"
	if a.status >= 300 && a.status < 400 {
		detail = "the token URL redirects elsewhere, and the client secret is not sent there"
	}
	return failed(ClassEndpoint, quota.Refused, detail, lasting(quota.Tenant, ClassEndpoint))
}

func failed(class Class, outcome quota.Outcome, detail string, b quota.Block) verdict {
	return verdict{class: class, outcome: outcome, detail: detail, blocks: []quota.Block{b}}
}

// short is a block for trouble that passes by itself: a second, doubled each
// time, up to a minute.
func short(scope quota.Scope, class Class) quota.Block {
	return quota.Block{Scope: scope, Reason: quota.Reason(class), Base: time.Second, Cap: time.Minute}
}

// unsure is a block for trouble in which a token may be issued each time, and
// counts as spent: a second, doubled each time, up to five minutes. So an hour of
// it spends less than the quota of an hour.
func unsure(class Class) quota.Block {
	return quota.Block{Scope: quota.Tenant, Reason: quota.Reason(class), Base: time.Second, Cap: 5 * time.Minute}
}

// lasting is a block for trouble that a person has to end: half a minute,
// doubled each time, up to five.
func lasting(scope quota.Scope, class Class) quota.Block {
	return quota.Block{Scope: scope, Reason: quota.Reason(class), Base: 30 * time.Second, Cap: 5 * time.Minute}
}

func quotaBlock(scope quota.Scope, wait time.Duration, said bool) quota.Block {
	b := quota.Block{Scope: scope, Reason: quota.QuotaExceeded, Base: time.Minute, Cap: time.Hour}
	if said {
		b.Wait = wait
	}
	return b
}

func spent(l quota.Limits) bool {
	for _, limit := range l {
		if limit.HasRemaining && limit.Remaining <= 0 {
			return true
		}
	}
	return false
}

func isHTML(a answer) bool {
	return strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<"))
}

// An errorReply is what an error response says, for deciding what it means. Its
// text never leaves this package: a server may echo the request.
type errorReply struct {
	code string // "error", if it reads like a code of RFC 6749
	text string // every text in it, in lower case
}

// parseError reads an error response. "error" may be a string, as RFC 6749 has
// it, or a number, an object or null, as has been seen.
func parseError(data []byte) errorReply {
	var fields map[string]any
	if json.Unmarshal(data, &fields) != nil {
		return errorReply{text: strings.ToLower(string(data[:min(len(data), 4096)]))}
	}
	var texts []string
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case map[string]any:
			for _, name := range []string{"error", "error_description", "errorCode", "message", "code", "error_message"} {
				collect(v[name])
			}
		}
	}
	collect(fields)
	reply := errorReply{text: strings.ToLower(strings.Join(texts, "\n"))}
	if code, ok := fields["error"].(string); ok && isErrorCode(code) {
		reply.code = code
	}
	return reply
}

// isErrorCode reports whether s can be shown: it reads like a code, so it is not
// an echo of something else.
func isErrorCode(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}
