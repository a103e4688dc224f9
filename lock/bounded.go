package lock

import (
	"context"
	"fmt"
	"time"
)

// bounded calls f and returns when it does, or when ctx or the timeout ends: a
// Redis client may go on for minutes after its context has ended, dialling
// again, if its options let it. What f brings later goes to late.
func bounded[T any](ctx context.Context, timeout time.Duration, f func(context.Context) (T, error), late func(T)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	type result struct {
		value T
		err   error
	}
	results := make(chan result)
	go func() {
		defer cancel()
		value, err := f(ctx)
		select {
		case results <- result{value, err}:
		case <-ctx.Done():
			if late != nil && err == nil {
				late(value)
			}
		}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("no answer from Redis: %w", ctx.Err())
	}
}
