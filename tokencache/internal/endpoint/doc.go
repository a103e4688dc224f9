// Package endpoint asks: it turns credentials into one HTTP request to a token endpoint,
// and the answer into a verdict.
//
//	Request ──Send──▶ Answer ──Classify──▶ Verdict: a Token, or a Class, and what it blocks
//
// Send does the I/O: one request, whatever happens, which follows no redirect. Classify
// reads no clock and does no I/O. The body decides first, then the header, then the
// status: one limit comes with five statuses, and one status with ten meanings.
//
//	class          what it means                             blocks         for how long
//	credentials    the id or the secret is wrong             the secret     30 s, doubled up to 5 min
//	audience       the server does not know the audience     the token      the same
//	grant          the client has no grant for the audience  the token      the same
//	client         the client may not use this grant type    the client     the same
//	request        the server finds the request invalid      the token      the same
//	endpoint       what answers is not a token endpoint      the tenant     the same
//	quota          the quota is spent                        client or      what the server says; else
//	                                                         organization   1 min, doubled up to 1 h
//	limit          another limit of the client               the client     what the server says; else up to 1 h
//	tenant-limit   the limit of the whole tenant             the tenant     what the server says; else
//	                                                                        1 s, doubled up to 1 min
//	gateway        something before the endpoint refused     the tenant     30 s, doubled up to 10 min,
//	                                                         if 2 say so
//	unavailable    the server is out of order                the tenant     1 s, doubled up to 1 min
//	malformed      status 200 without a usable token         the tenant     1 s, doubled up to 5 min
//	unreachable    nothing was sent                          the tenant     1 s, doubled up to 1 min,
//	                                                         if 2 say so
//	no-answer      sent, and no answer came                  the tenant     1 s, doubled up to 5 min
//
// Nothing of what a server says is shown but an error code: it may echo the secret.
package endpoint
