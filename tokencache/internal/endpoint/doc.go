// Package endpoint asks: it turns credentials into one HTTP request to a token endpoint,
// and the answer into a verdict.
//
//	Request ──Send──▶ Answer ──Classify──▶ Verdict: a Token, or a Class, and what it blocks
//
// Send does the I/O: one request, whatever happens, which follows no redirect. Classify
// reads no clock and does no I/O.
//
// # Tokens
//
// Every status from 200 to 299 may bring a token. An access token may have any printable
// ASCII character but the blank (RFC 6749 appendix A.12). Every token_type counts as Bearer
// but those of other schemes, such as DPoP. The lifetime is what expires_in, expires_on or
// expires_at says, and no longer than the exp claim of a JWT. If none of them says it, it
// is Request.DefaultLifetime. A byte order mark is skipped, and gzip and deflate are
// decoded, although the request asks for neither.
//
// # Refusals
//
// A refusal blocks no more than its evidence allows. Replicas of one client may have
// different secrets and encodings while a change rolls out. So a refusal blocks the token,
// the client or the tenant only if it is about what all replicas share.
//
//	evidence                                      class         blocks           for how long
//	the code invalid_client, status 401, or       credentials   the secret,      30 s, doubled up to 5 min
//	words about the client or its secret                        in its encoding
//	status 415, or words about the form of the    request       the secret,      the same
//	request or missing parameters                               in its encoding
//	words about the grant type                    client        the client       the same
//	words about the audience or a client-grant    audience,     the token        the same
//	                                              grant
//	the codes invalid_scope, invalid_target and   request       the token        the same
//	unsupported_grant_type
//	any other 400, 403 or 422                     request       the token, with  the same
//	                                                            that secret and
//	                                                            encoding
//	a quota header of which nothing remains, or   quota         the client or    what the server says; else
//	words about a quota, with status 429                        organization     1 min, doubled up to 1 h
//	words about a quota, a day or a month         limit         the client       what the server says; else
//	                                                                             15 min, doubled up to 1 h
//	words about a rate, or status 429             limit         the client       what the server says; else
//	                                                                             1 s, doubled up to 1 min
//	words about a global limit, or 429 with       tenant-limit  the tenant       the same
//	words about a rate
//	an HTML page with 401, 403 or 429             gateway       the tenant,      30 s, doubled up to 10 min
//	                                                            if 2 report it
//	status 500 and above                          unavailable   the tenant       1 s, doubled up to 1 min
//	a success without a usable token              malformed     the tenant       1 s, doubled up to 5 min
//	nothing was sent                              unreachable   the tenant,      1 s, doubled up to 1 min
//	                                                            if 2 report it
//	sent, and no answer came                      no-answer     the tenant       1 s, doubled up to 5 min
//	any other status                              endpoint      the tenant       30 s, doubled up to 5 min
//
// The code invalid_client outranks the words beside it. Words match as words, so that a
// link to a page about access-tokens is no limit. What the server says to wait comes from
// Retry-After, from the quota header, or from the fields of other rate limits; see
// quota.WaitOf.
//
// Nothing of what a server says is shown but an error code: it may echo the secret.
package endpoint
