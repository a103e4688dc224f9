package tokencache

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// A request is one token request, done.
type request struct {
	answer  endpoint.Answer
	verdict endpoint.Verdict
	sent    replica.Instant // before
	report  replica.Report
}

func newAttemptID() string { return uuid.NewString() }

// ask sends the request of an attempt. It goes on if ctx ends, since the token may be
// issued already, and it has a deadline of its own.
func (c *client) ask(ctx context.Context, s *source, within time.Duration, attempt *quota.Attempt, redisDown bool) request {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	r := request{sent: c.host.now()}
	c.turn.asking()
	answered := make(chan struct{})
	if !redisDown {
		c.host.spawn(func() { c.fetchMeanwhile(answered) })
	}
	r.answer = s.request.Send(sending, c.host.rt)
	close(answered)
	received := c.host.now()
	r.verdict = s.judge(r.answer)
	r.report = replica.Report{Attempt: attempt, Received: received, Unadmitted: redisDown, Answer: quota.Answer{
		Outcome: r.verdict.Outcome, Header: r.answer.Header, Took: r.answer.Took, Status: r.status(), Blocks: r.verdict.Blocks,
	}}

	limits, _ := quota.ClientLimits(r.answer.Header)
	info := RequestedInfo{
		Client: c.reporter.label, Audience: s.cred.Audience, Reason: Reason(attempt.Reason), Priority: attempt.Priority, RedisDown: redisDown,
		Took: r.answer.Took, Status: r.answer.Status, Limits: limits, Lifetime: r.verdict.Token.Lifetime,
	}
	if r.verdict.Class == "" {
		c.reporter.log(slog.LevelInfo, "got a token", slog.String("reason", attempt.Reason), slog.Duration("took", r.answer.Took),
			slog.Duration("lifetime", r.verdict.Token.Lifetime), slog.String("quota", limits.String()))
	} else {
		info.Err = newRequestError(r.answer, r.verdict, time.Time{})
	}
	callHook(c.host.opts.Logger, c.host.opts.Hooks.Requested, info)
	return r
}

// judge decides what an answer means. A secret may read like an error code: then it is
// not shown as one.
func (s *source) judge(a endpoint.Answer) endpoint.Verdict {
	v := endpoint.Classify(a, s.scopes)
	if s.request.Echoed(v.Code) {
		v.Code = ""
	}
	return v
}

// status is the result in a few words, for the journal.
func (r request) status() string {
	switch v := r.verdict; {
	case v.Class == "":
		return "200"
	case r.answer.Status == 0:
		return string(v.Class)
	case v.Code != "":
		return string(v.Class) + " " + v.Code
	default:
		return string(v.Class)
	}
}

// issued makes the token of an answer this replica's, and returns the record that the
// fleet is to have.
func (c *client) issued(s *source, done request, req replica.Request, issue replica.Issue) (r replica.Record) {
	t := done.verdict.Token
	issue.Sent = done.sent
	issue.Record = replica.Record{
		Token: digest(t.AccessToken), Lifetime: t.Lifetime,
		Payload: &payload{t.AccessToken, t.Type, c.host.locker.ID(), t.Extra},
	}
	c.apply(func(now replica.Instant, state *replica.State) { r, _ = state.Issued(now, req, issue, random()) })
	c.traced([]*source{s}, "Issued")
	return r
}

// refused notes that a request brought no token.
func (c *client) refused(s *source, done request, req replica.Request) {
	refused := replica.Refused{
		Priority: req.Priority, Reason: req.Reason, Blocks: done.verdict.Blocks,
		Err: func(retryAt time.Time) error { return newRequestError(done.answer, done.verdict, retryAt) },
	}
	c.apply(func(now replica.Instant, state *replica.State) { state.RequestFailed(now, s.id, refused, random()) })
	c.traced([]*source{s}, "RequestFailed")
}
