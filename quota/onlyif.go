package quota

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrUnmet means that a [Condition] of an admission was not met. Nothing was counted.
var ErrUnmet = errors.New("quota: a condition of the admission is not met")

// A Condition is a key that must hold a value, or must not exist if Value is empty. In a
// cluster it must share the ledger's hash tag.
type Condition struct{ Key, Value string }

// A PendingAdmission is an admission in a pipeline that has yet to be executed.
type PendingAdmission struct {
	cmd      *redis.Cmd
	priority Priority
	err      error
}

// QueueAdmit queues an admission in pipe, which is granted only if all conditions are
// met when it is executed. It is for an admission that depends on a command before it in
// the same pipeline, such as the taking of a lease: that saves a round trip.
func (l *Ledger) QueueAdmit(ctx context.Context, pipe redis.Pipeliner, a *Attempt, conditions ...Condition) *PendingAdmission {
	if err := a.check(); err != nil {
		return &PendingAdmission{err: err}
	}
	keys, args := append([]string(nil), l.keys...), l.admission(a)
	for _, c := range conditions {
		keys, args = append(keys, c.Key), append(args, c.Value)
	}
	return &PendingAdmission{cmd: admitOnlyIf.Eval(ctx, pipe, keys, append(args, len(conditions))...), priority: a.Priority}
}

// Result returns the admission once the pipeline was executed. The error is ErrUnmet, a
// [*DeniedError], or that of Redis; then the request must not be sent.
func (p *PendingAdmission) Result() (Admission, error) {
	if p.err != nil {
		return Admission{}, p.err
	}
	reply, err := p.cmd.StringSlice()
	switch {
	case err != nil:
		return Admission{}, fmt.Errorf("quota: admit: %w", err)
	case len(reply) == 1 && reply[0] == "unmet":
		return Admission{}, ErrUnmet
	}
	return decodeAdmit(reply, p.priority, time.Now())
}
