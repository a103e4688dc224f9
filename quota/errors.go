package quota

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrDenied is what every [*DeniedError] is.
var ErrDenied = errors.New("quota: denied")

// A DeniedError says that a token request may not be sent, why, and when to ask again.
// To ask earlier brings the same answer.
type DeniedError struct {
	Scope    Scope
	Reason   Reason
	Priority Priority

	// Bucket, Quota and Used describe the bucket that has too little left. They are zero
	// if a block is the reason.
	Bucket      string
	Quota, Used int64

	// Count is how many blocks there were in a row. Zero if no block is the reason.
	Count int

	// RetryIn is how long to wait, and RetryAt when that will be by this
	// host's clock.
	RetryIn time.Duration
	RetryAt time.Time
}

// Error returns the cause and the time of the next attempt in one line.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("quota: %s; ask again at %s (in %s)", e.Cause(), e.RetryAt.UTC().Format("15:04:05Z"), e.RetryIn.Round(time.Second))
}

// Cause returns what is in the way, without the time.
func (e *DeniedError) Cause() string {
	bucket := ""
	if e.Bucket != "" {
		bucket = fmt.Sprintf(" (%s %d/%d used)", e.Bucket, e.Used, e.Quota)
	}
	switch e.Reason {
	case Spent:
		return fmt.Sprintf("the %s's quota is spent%s", e.Scope.Kind(), bucket)
	case Reserve:
		return fmt.Sprintf("the rest of the %s's quota is reserved for tokens needed more than %s%s", e.Scope.Kind(), e.Priority, bucket)
	case ForcedSpent:
		if e.Bucket == "" {
			return "the budget for forced renewals is spent (one in a quarter of an hour while the quota is not known)"
		}
		return fmt.Sprintf("the budget for forced renewals is spent (a tenth of %s, %d)", e.Bucket, e.Quota)
	case Probing:
		return fmt.Sprintf("the %s's quota is spent by the header%s, and a request is finding out whether it is enforced", e.Scope.Kind(), bucket)
	case QuotaExceeded:
		return fmt.Sprintf("the server refused the %s: quota exceeded", e.Scope.Kind())
	}
	verb := "is"
	if strings.HasSuffix(e.Scope.Kind(), "s") {
		verb = "are"
	}
	times := ""
	if e.Count > 1 {
		times = fmt.Sprintf(", %d times in a row", e.Count)
	}
	return fmt.Sprintf("the %s %s blocked after a failed request (%s%s)", e.Scope.Kind(), verb, e.Reason, times)
}

// Is reports whether target is [ErrDenied].
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }
