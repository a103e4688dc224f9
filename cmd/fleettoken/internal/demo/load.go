package demo

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// A load calls the API at a steady pace, one call after the other, as a service
// would that has a request of its own to answer each time.
type load struct {
	client *http.Client
	url    string
	every  time.Duration

	calls, failed atomic.Int64
	lastFail      atomic.Pointer[string]
}

// callTimeout is how long a call may take. It is generous, as what is shown is
// that no call fails for want of a token, on a slow machine too.
const callTimeout = 15 * time.Second

// run calls until ctx ends. The call that ctx interrupts is not counted: its
// caller is gone.
func (l *load) run(ctx context.Context) {
	next := time.Now().Add(rand.N(l.every)) // not all replicas in step
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		switch err := l.call(ctx); {
		case err == nil:
			l.calls.Add(1)
		case ctx.Err() != nil:
			return
		default:
			l.failed.Add(1)
			text := err.Error()
			l.lastFail.Store(&text)
		}
		// What is late is not made up for: a service has no more to do because
		// its machine was slow.
		if next = next.Add(l.every); time.Until(next) < 0 {
			next = time.Now()
		}
		timer.Reset(time.Until(next))
	}
}

func (l *load) call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)) // its own words may be anything
	}
	return nil
}

// counters returns what was done so far.
func (l *load) counters() Counters {
	c := Counters{Calls: int(l.calls.Load()), Failed: int(l.failed.Load())}
	if text := l.lastFail.Load(); text != nil {
		c.LastFail = *text
	}
	return c
}
