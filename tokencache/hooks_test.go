package tokencache

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// Hooks and loggers are not ours, and may be broken. Each of them is called, more
// than once, and nothing comes of it.
func TestHooksMayPanic(t *testing.T) {
	var requested, adopted, denied, away, logged atomic.Int32
	boom := func(n *atomic.Int32) { n.Add(1); panic("hook") }
	opts := Options{
		Hooks: &Hooks{
			Requested: func(RequestedInfo) { boom(&requested) }, Adopted: func(AdoptedInfo) { boom(&adopted) },
			Denied: func(DeniedInfo) { boom(&denied) }, Redis: func(RedisInfo) { boom(&away) },
		},
		Logger: slog.New(handler(func(r slog.Record) {
			if !strings.Contains(r.Message, "panicked") {
				boom(&logged)
			}
		})),
	}
	story(t, &auth0test.Config{TTL: time.Hour, PerHour: 42, PerDay: 100}, opts, func(f *fleet) {
		f.together(f.start(2))
		f.replicas[0].net.cut()
		f.serve(50*time.Minute, time.Minute)
		f.replicas[0].net.mend()
		f.serve(2*time.Hour, time.Minute)
		refusal := auth0test.QuotaExceeded(5 * time.Minute)
		refusal.SkipQuotaHeader = true
		for range 3 {
			f.tenant.Inject(1, refusal)
			f.serve(time.Hour, time.Minute)
			f.replicas[0].net.cut()
			f.serve(5*time.Minute, time.Minute)
			f.replicas[0].net.mend()
			f.serve(time.Minute, time.Minute)
		}
		f.together(f.start(2))
		if got := f.requests(); got < 9 || got > 13 {
			f.t.Errorf("got %d token requests in six hours, want one for each three quarters of an hour, and three that were refused", got)
		}
	})
	for name, n := range map[string]*atomic.Int32{"Requested": &requested, "Adopted": &adopted, "Denied": &denied, "Redis": &away, "the logger": &logged} {
		if n.Load() < 2 {
			t.Errorf("%s was called %d times, want more often than its first panic", name, n.Load())
		}
	}
}
