package tokencache

import "github.com/fleettoken/fleettoken/tokencache/internal/endpoint"

// A Class says in one word what a failed token request means.
type Class string

// The classes of failed token requests. The ones above the blank line call for
// a person; the others pass.
const (
	// ClassCredentials: the client id or the secret is wrong.
	ClassCredentials = Class(endpoint.ClassCredentials)
	// ClassAudience: the server does not know the audience.
	ClassAudience = Class(endpoint.ClassAudience)
	// ClassGrant: the client may not have a token for this audience.
	ClassGrant = Class(endpoint.ClassGrant)
	// ClassClient: the client may not use the client-credentials grant, or is
	// not enabled.
	ClassClient = Class(endpoint.ClassClient)
	// ClassRequest: the server finds the request invalid.
	ClassRequest = Class(endpoint.ClassRequest)
	// ClassEndpoint: what answers at the token URL is no token endpoint.
	ClassEndpoint = Class(endpoint.ClassEndpoint)

	// ClassQuota: the quota of the client or its organization is spent.
	ClassQuota = Class(endpoint.ClassQuota)
	// ClassLimit: a limit without a quota header: of this client, of a rule
	// that the tenant made, or of the month.
	ClassLimit = Class(endpoint.ClassLimit)
	// ClassTenant: the rate limit of the whole tenant.
	ClassTenant = Class(endpoint.ClassTenant)
	// ClassGateway: something before the endpoint refused, such as a firewall.
	// Another replica may fare better.
	ClassGateway = Class(endpoint.ClassGateway)
	// ClassUnavailable: the server is out of order.
	ClassUnavailable = Class(endpoint.ClassUnavailable)
	// ClassMalformed: a response with status 200 that holds no usable token.
	ClassMalformed = Class(endpoint.ClassMalformed)
	// ClassUnreachable: no connection, so nothing was sent.
	ClassUnreachable = Class(endpoint.ClassUnreachable)
	// ClassNoAnswer: sent, and no answer came. The server may have issued a
	// token.
	ClassNoAnswer = Class(endpoint.ClassNoAnswer)
)

// classes are all of them.
var classes = []Class{
	ClassCredentials, ClassAudience, ClassGrant, ClassClient, ClassRequest, ClassEndpoint,
	ClassQuota, ClassLimit, ClassTenant, ClassGateway, ClassUnavailable, ClassMalformed, ClassUnreachable, ClassNoAnswer,
}

// Permanent reports whether a failure of this class lasts until a person changes
// something: a setting here, or the client at the provider. The others pass by
// themselves.
func (c Class) Permanent() bool { return c.Advice() != "" }

// Advice says what to do about a permanent failure. It is empty for classes that pass by
// themselves, and for unknown ones.
func (c Class) Advice() string {
	switch c {
	case ClassCredentials:
		return "check the client id and the client secret"
	case ClassAudience:
		return "check the audience: it must be spelled as the provider has it, to the last slash"
	case ClassGrant:
		return "ask the provider to grant this client the audience"
	case ClassClient:
		return "ask the provider to allow this client the client_credentials grant"
	case ClassRequest:
		return "check the audience, the organization, the scopes and the further parameters"
	case ClassEndpoint:
		return "check the token URL"
	}
	return ""
}

// Fields returns the fields of [Credentials] that a failure of this class may be about,
// such as "Credentials.ClientID". It is nil if it is about none.
func (c Class) Fields() []string {
	switch c {
	case ClassCredentials:
		return []string{"Credentials.ClientID", "Credentials.ClientSecret"}
	case ClassAudience, ClassGrant:
		return []string{"Credentials.Audience"}
	case ClassClient:
		return []string{"Credentials.ClientID"}
	case ClassRequest:
		return []string{"Credentials.Audience", "Credentials.Organization", "Credentials.Scopes", "Credentials.Params"}
	case ClassEndpoint, ClassMalformed, ClassUnreachable, ClassNoAnswer:
		return []string{"Credentials.TokenURL"}
	}
	return nil
}
