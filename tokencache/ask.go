package tokencache

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/fleettoken/fleettoken/quota"
)

// A request is one token request, done.
type request struct {
	answer  answer
	verdict verdict
	sent    moment // just before
	account account
}

func (s *Source) attempt(priority quota.Priority, why string) *quota.Attempt {
	c := s.client
	return &quota.Attempt{
		ID: uuid.NewString(), Priority: priority, Organization: s.cred.Organization,
		Scopes: []quota.Scope{quota.Tenant, s.scopes.audience, s.scopes.credentials},
		By:     c.cache.locker.ID(), Reason: why, For: s.id,
	}
}

// ask sends the request of an attempt. It goes on if ctx ends, since the token
// may be issued already, and it has a deadline of its own.
func (s *Source) ask(ctx context.Context, within time.Duration, attempt *quota.Attempt, direct bool) request {
	c := s.client
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	r := request{sent: c.cache.moment()}
	r.answer = s.cred.request(sending, c.cache.rt)
	received := time.Now()
	r.verdict = s.judge(r.answer)
	r.account = account{attempt: attempt, received: received, direct: direct, answer: quota.Answer{
		Outcome: r.verdict.outcome, Header: r.answer.header, Took: r.answer.took, Status: r.status(), Blocks: r.verdict.blocks,
	}}

	limits, _ := quota.ClientLimits(r.answer.header)
	info := RequestedInfo{
		Client: c.label, Audience: s.cred.Audience, Reason: attempt.Reason, Priority: attempt.Priority, RedisDown: direct,
		Took: r.answer.took, Status: r.answer.status, Limits: limits, Lifetime: r.verdict.grant.life,
	}
	if r.verdict.class == "" {
		c.log(slog.LevelInfo, "got a token", slog.String("why", attempt.Reason), slog.Duration("took", r.answer.took),
			slog.Duration("life", r.verdict.grant.life), slog.String("quota", limits.String()))
	} else {
		info.Err = newRequestError(r.answer, r.verdict, time.Time{})
	}
	tell(c.cache, c.cache.opts.Hooks.Requested, info)
	return r
}

// judge decides what an answer means. A secret may read like a code of an error:
// then it is not shown as one.
func (s *Source) judge(a answer) verdict {
	v := classify(a, s.scopes)
	if s.cred.repeatedIn(v.code) {
		v.code = ""
	}
	return v
}

// status is the result in a few words, for the journal.
func (r request) status() string {
	switch v := r.verdict; {
	case v.class == "":
		return "200"
	case r.answer.status == 0:
		return string(v.class)
	case v.code != "":
		return string(v.class) + " " + v.code
	default:
		return string(v.class)
	}
}

// granted makes the record of a token that was just issued.
func (s *Source) granted(g grant) record {
	return record{body: body{
		Token: g.token, Type: g.kind, TTL: g.life.Milliseconds(), By: s.client.cache.locker.ID(), Extra: g.extra,
	}}
}
