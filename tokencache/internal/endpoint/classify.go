package endpoint

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// Classify decides what an answer means. The body is asked first, then the
// header, then the status: the same limit comes with five statuses, and one
// status with ten meanings. It reads no clock.
func Classify(a Answer, in Scopes) Verdict {
	success := a.Status >= 200 && a.Status < 300  // 201 is known, and a token was issued all the same
	if a.Status == 0 || a.Err != nil && success { // a refusal that breaks off is one all the same
		return lost(a)
	}
	if len(a.Body) > maxResponse {
		return failed(ClassMalformed, quota.Unknown, "the response has more than 64 KiB", unsure(ClassMalformed))
	}
	if success {
		date, _ := quota.ServerDate(a.Header)
		g, err := parseToken(a.Body, date, a.DefaultLifetime)
		if err != nil {
			return failed(ClassMalformed, quota.Unknown, "the response is no token response: "+err.Error(), unsure(ClassMalformed))
		}
		return Verdict{Outcome: quota.Issued, Token: g}
	}
	reply := parseError(a.Body)
	v := refusal(a, reply, in)
	v.Code = reply.code
	return v
}

// lost is an answer that did not come, or not whole.
func lost(a Answer) Verdict {
	if !a.Sent {
		b := short(quota.Tenant, ClassUnreachable)
		b.Quorum = true // it may be this host's own network
		return failed(ClassUnreachable, quota.Unsent, "the request could not be sent", b)
	}
	return failed(ClassNoAnswer, quota.Unknown, "the request was sent and no answer came, so a token may be lost", unsure(ClassNoAnswer))
}

func refusal(a Answer, reply errorReply, in Scopes) Verdict {
	wait, said := quota.WaitOf(a.Header)
	retryAfter, _ := quota.RetryAfter(a.Header)
	limited := a.Status == http.StatusTooManyRequests
	says := reply.says
	client, _ := quota.ClientLimits(a.Header)
	organization, _ := quota.OrganizationLimits(a.Header)
	policy := a.Header.Get("Auth0-RateLimit")

	// A page in HTML with a 403 or 429 is from something before the endpoint,
	// whatever words are in it. With a 404 it is what a wrong URL gives.
	page := isHTML(a) && a.Status >= 400 && a.Status < 500 &&
		a.Status != http.StatusNotFound && a.Status != http.StatusMethodNotAllowed && a.Status != http.StatusUnsupportedMediaType
	// The header of a quota comes with every 429, also where the text speaks of
	// another limit. So the text is heard first.
	other := says("global limit", "rate limit", "x-ratelimit") || policy != ""

	switch {
	case page:
		return failed(ClassGateway, quota.Refused, "something before the token endpoint refused the request",
			quota.Block{Scope: quota.Tenant, Reason: quota.Reason(ClassGateway), Wait: retryAfter, Base: 30 * time.Second, Cap: 10 * time.Minute, Quorum: true})

	// The limits, whatever status they come with.
	case in.Organization != "" && (says("organization quota") || limited && !other && spent(organization) && !spent(client)):
		return failed(ClassQuota, quota.Refused, "the quota of the organization is spent", quotaBlock(in.Organization, wait, said))
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
		header := a.Header.Clone() // the buckets are the client's, not the tenant's
		header.Del(quota.ClientHeader)
		header.Del(quota.OrganizationHeader)
		b.Wait, _ = quota.WaitOf(header)
		return failed(ClassTenant, quota.Refused, "the rate limit of the whole tenant, which others share", b)
	case reply.code == "invalid_client" && !limited: // whatever its text speaks of
		return wrongCredentials(a, reply, in)
	case says("quota", "allotment", "monthly", "per month", "daily", "per day") && says("exceeded", "reached", "spent", "exhausted", "limit") || reply.counts():
		return failed(ClassLimit, quota.Refused, "a limit that the tenant set",
			quota.Block{Scope: quota.Client, Reason: quota.Reason(ClassLimit), Wait: retryAfter, Base: 15 * time.Minute, Cap: time.Hour})
	case a.Status < 500 && !limited && says("rate limit", "rate limited", "rate_limit_exceeded", "ratelimitexceeded", "limit reached", "limit has been reached", "limit exceeded",
		"rate exceeded", "exceeded", "throttled", "throttling", "throttle", "slow down", "too many requests", "too_many_requests"):
		b := short(quota.Client, ClassLimit)
		b.Wait = retryAfter
		return failed(ClassLimit, quota.Refused, "a rate limit", b)
	case limited:
		b := short(quota.Client, ClassLimit)
		if said {
			b.Wait = wait
		}
		return failed(ClassLimit, quota.Refused, "too many requests, and the server does not say of whom", b)

	// What a person has to correct. The fleet asks rarely meanwhile.
	case says("service not enabled within domain"):
		return failed(ClassAudience, quota.Refused, "the tenant does not know the audience", lasting(in.Audience, ClassAudience))
	case says("client-grant", "not authorized to access"):
		return failed(ClassGrant, quota.Refused, "the client has no grant for the audience", lasting(in.Audience, ClassGrant))
	case says("grant type", "grant_type", "grant types") && says("not allowed", "not enabled", "not authorized", "not permitted", "disabled"),
		says("not allowed for the client"):
		return failed(ClassClient, quota.Refused, "the client may not use the client_credentials grant", lasting(quota.Client, ClassClient))
	case reply.entra() != "":
		return failed(ClassCredentials, quota.Refused, "the client id or the tenant may be wrong, or the client secret ("+reply.entra()+")", lasting(in.Credentials, ClassCredentials))
	case reply.code == "unauthorized_client" && a.Status == http.StatusUnauthorized && !reply.blamesCredentials():
		b := lasting(in.Credentials, ClassCredentials)
		b.Base = b.Cap // it may be a limit in disguise: one slow probe
		return failed(ClassCredentials, quota.Refused, "the client is not authorized, or over a limit: the server uses one code for both", b)
	case a.Status == http.StatusUnauthorized || reply.code == "unauthorized_client" || reply.blamesCredentials():
		return wrongCredentials(a, reply, in)
	case a.Status == http.StatusUnsupportedMediaType || (a.Status == http.StatusBadRequest || a.Status == http.StatusUnprocessableEntity) && reply.blamesForm():
		return failed(ClassRequest, quota.Refused, "the server may expect another form of request: it was asked with the encoding "+a.Encoding.String()+
			"; try another Encoding of the credentials (FLEETTOKEN_ENCODING): json, form or basic", lasting(in.Credentials, ClassRequest))
	case says("invalid_scope", "invalid_target", "invalid_audience", "unsupported_grant_type"):
		return failed(ClassRequest, quota.Refused, "the server finds the request invalid, or forbids it", lasting(in.Audience, ClassRequest))
	case a.Status == http.StatusBadRequest, a.Status == http.StatusForbidden, a.Status == http.StatusUnprocessableEntity:
		detail := "the server finds the request invalid, or forbids it"
		if reply.code == "invalid_request" || reply.text == "" {
			detail += ": it was asked with the encoding " + a.Encoding.String()
		}
		return failed(ClassRequest, quota.Refused, detail, lasting(in.Request, ClassRequest))

	// The server's own trouble.
	case a.Status == http.StatusBadGateway || a.Status == http.StatusGatewayTimeout:
		b := unsure(ClassUnavailable) // a gateway gave up on a server that may not have
		b.Wait = retryAfter
		return failed(ClassUnavailable, quota.Unknown, "a gateway before the token endpoint had no answer from it", b)
	case a.Status >= 500 || reply.code == "server_error" || reply.code == "temporarily_unavailable":
		b := short(quota.Tenant, ClassUnavailable)
		b.Wait = retryAfter
		return failed(ClassUnavailable, quota.Refused, "the token endpoint is out of order", b)
	}
	detail := "what answers at the token URL is no token endpoint"
	if a.Status >= 300 && a.Status < 400 {
		detail = "the token URL redirects elsewhere, and the client secret is not sent there"
	}
	return failed(ClassEndpoint, quota.Refused, detail, lasting(quota.Tenant, ClassEndpoint))
}

func wrongCredentials(a Answer, reply errorReply, in Scopes) Verdict {
	detail := "the client id or the client secret is wrong"
	if reply.blamesForm() {
		detail += ", or the server expects them elsewhere: it was asked with the encoding " + a.Encoding.String()
	}
	return failed(ClassCredentials, quota.Refused, detail, lasting(in.Credentials, ClassCredentials))
}

func spent(l quota.Limits) bool {
	for _, limit := range l {
		if limit.HasRemaining && limit.Remaining <= 0 {
			return true
		}
	}
	return false
}

func isHTML(a Answer) bool {
	return strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("<"))
}
