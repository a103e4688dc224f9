package endpoint

import (
	"github.com/fleettoken/fleettoken/quota"
)

// A Verdict is what a token response means: for the quota, and for the replicas that
// would ask next.
type Verdict struct {
	Class   Class // empty: a token was issued
	Outcome quota.Outcome
	Code    string // the error code of RFC 6749 section 5.2, if it reads like one
	Detail  string // for people; nothing in it comes from the server
	Blocks  []quota.Block
	Token   Token
}

// Scopes are what a refusal can be about: the most that any answer can block.
type Scopes struct {
	Audience     quota.Scope // the one token
	Credentials  quota.Scope // this secret, in this encoding: one that was rotated out must not block its successor
	Request      quota.Scope // the one token, with these credentials: what was asked, and how
	Organization quota.Scope // empty if there is none
}
