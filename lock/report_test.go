package lock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/lock"
)

// TestReport has what users have reported of locks.
func TestReport(t *testing.T) {
	t.Run("D10 a fleet with two TTLs", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			long, short := s.locker(&lock.Options{TTL: time.Minute}), s.locker(&lock.Options{TTL: 10 * time.Second})
			err := long.Do(t.Context(), key, func(ctx context.Context, lease *lock.Lease) error {
				held, ok := errors.AsType[*lock.HeldError](short.Do(ctx, key, nil))
				if !ok || held.Remaining < 59*time.Second {
					t.Errorf("the other Locker: got %v, want that it is held for a minute", held)
				}
				if ttl := s.m.TTL(key); ttl < 59*time.Second {
					t.Errorf("the lease lasts %v, want that it keeps its end", ttl)
				}
				if holder, _, err := short.Holder(ctx, key); holder.ID != long.ID() || err != nil {
					t.Errorf("the holder: got %v and %v, want %s", holder, err, long.ID())
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	})
	for name, value := range map[string]string{
		"D10 one that claims a year":          "0123456789012345678901somebody/1#31536000000",
		"D10 one that is longer than it says": "0123456789012345678901somebody/1#20000",
		"D10 one of an earlier version":       "0123456789012345678901somebody/1",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				_ = s.m.Set(key, value)
				s.m.SetTTL(key, 300*24*time.Hour)
				held, ok := errors.AsType[*lock.HeldError](s.locker(&lock.Options{TTL: 10 * time.Second}).Do(t.Context(), key, nil))
				if !ok || held.Remaining > 2*time.Hour || s.m.TTL(key) > 2*time.Hour {
					t.Errorf("got %v, want that it gets an end", held)
				}
			})
		})
	}
}
