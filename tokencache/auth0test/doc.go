// Package auth0test runs an Auth0-like OAuth 2.0 token endpoint inside a test.
// It is to tokencache what net/http/httptest is to net/http.
//
// A [Server] issues tokens for the client-credentials grant, counts them
// against an hourly and a daily quota, reports that quota in the headers that
// Auth0 uses, and refuses with 429 when the quota is spent. It also serves a
// small API that accepts the tokens, so that a test can watch a token through
// its whole life:
//
//	tenant := auth0test.NewServer(&auth0test.Config{PerHour: 42, PerDay: 100})
//	defer tenant.Close()
//	// point the code under test at tenant.TokenURL() with tenant.Client()
//	if got := tenant.Issued(); got != 1 {
//		t.Errorf("got %d tokens issued, want 1\n%v", got, tenant.Requests())
//	}
//
// # The ledger
//
// The server writes down every request that reaches the token endpoint, at the
// moment it arrives, before anything can go wrong with it. [Server.Requests]
// returns that [Ledger]: who asked, when, how many others were asking at the
// same moment, and what came of it. It is the judge of a fleet's behaviour,
// because it does not depend on what the fleet believes. A row never holds a
// secret or a token.
//
// # Faults
//
// [Server.Inject] makes the next requests fail in a chosen way: an error
// status, an answer that never comes, a token that is issued and lost on the
// way, a connection that is cut, a body that arrives one byte at a time, or an
// answer whose fields are wrong. [Fault] describes them all; functions such as
// [Status], [Hang] and [LostAnswer] build the common ones.
//
// # Virtual time
//
// [NewPipeServer] serves the same endpoint over connections in memory. It opens
// no sockets, so it works inside a bubble of testing/synctest, where two days
// of quota windows pass in milliseconds. Make the server inside the bubble and
// close it there. The server has no clock of its own: windows, expiries, the
// ledger and the Date header all follow time.Now.
//
// # What it imitates
//
//   - The request, as JSON or as a form (RFC 6749), with the client
//     authenticated in the body or by HTTP Basic.
//   - The answer, {"access_token", "expires_in", "token_type"}, and "scope"
//     when the request names one.
//   - Quotas for each client and for each organization, in fixed windows that
//     begin at the UTC hour and at midnight UTC. They count issued tokens; a
//     refused request costs nothing.
//   - The quota headers on 200 and 429 answers in the documented form, and in
//     the other forms that clients have met: see [HeaderForm].
//   - The refusals that Auth0 is known for: a wrong secret is 401
//     access_denied, an unknown audience 403 access_denied, a wrong grant 403
//     unauthorized_client, a spent quota 429 too_many_requests.
//   - X-RateLimit headers that change their meaning: they describe the quota on
//     a quota refusal, and the tenant's general rate limit everywhere else.
//
// # What it does not imitate
//
// This is not Auth0. It knows one client, whose tokens are random text that
// only looks like a JWT: there are no keys to verify it with. There is no
// private_key_jwt, no other grant, no user, no scope policy, and no rate limit
// except by a [Fault]. It speaks HTTP/1.1 over TLS and nothing else.
//
// Where the behaviour of Auth0 is not documented the package chooses, and these
// choices are no evidence:
//
//   - r never falls below zero, also in monitor mode ([Config].Monitor).
//   - With [Config].Lag only the header is late. Enforcement is exact, and a
//     refusal reports the exact count.
//   - A client and an organization quota may be spent together. Then the text
//     names the client, and Retry-After is the later of the two.
//   - A request that authenticates twice is refused with 400 invalid_request.
//   - A token is issued and counted at the arrival of the request, before
//     [Config].Latency passes. A client that does not wait for the answer has
//     spent it.
package auth0test
