package tokencache

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A process may be a thousand clients, whose tokens may all be due at once, as when it
// starts. If all of them were refreshed at once, each call would wait for the others of
// this process, and look as if Redis did not answer.
const (
	maxTurns = 32                     // refreshes at once
	turnTime = time.Second            // after which one that is not over holds up no other any more,
	askTime  = 250 * time.Millisecond // and after which a token request does not
	maxNeeds = 8                      // in a row that go before a refresh that no caller waits for
)

// Turns bounds the refreshes that a Cache starts. Those that callers wait for go first,
// and otherwise whoever asked first.
type turns struct {
	mu    sync.Mutex
	taken int
	queue []*turn
	needs int // in a row, while others waited
}

// A turn is what a client has while it refreshes, or waits for one in the queue.
type turn struct {
	need  bool          // callers wait for it
	timer *time.Timer   // ends it
	taken chan struct{} // closed when the refresh may start
}

// take waits for a turn, and reports whether it got one before ctx ended. The turn ends
// with end, or after turnTime, or askTime after asking.
func (q *turns) take(ctx context.Context, t *turn, need bool) (end func(), ok bool) {
	q.mu.Lock()
	t.need, t.taken = need, make(chan struct{})
	q.queue = append(q.queue, t)
	q.next()
	q.mu.Unlock()
	select {
	case <-t.taken:
	case <-ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		if i := slices.Index(q.queue, t); i >= 0 {
			q.queue = slices.Delete(q.queue, i, i+1)
		} else { // it came at the same time
			q.taken--
			q.next()
		}
		return nil, false
	}
	over := sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.taken--
		q.next()
	})
	t.timer = time.AfterFunc(turnTime, over)
	return func() { t.timer.Stop(); over() }, true
}

// asking notes that the refresh waits for the token endpoint now, which is no work.
func (t *turn) asking() { t.timer.Reset(askTime) }

// hurry notes that a caller waits for what t refreshes.
func (q *turns) hurry(t *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t.need = true
}

// next gives turns to those who are in the queue. The caller holds mu.
func (q *turns) next() {
	for q.taken < maxTurns && len(q.queue) > 0 {
		i := slices.IndexFunc(q.queue, func(t *turn) bool { return t.need == (q.needs < maxNeeds) })
		i = max(i, 0) // all are alike
		t := q.queue[i]
		q.queue = slices.Delete(q.queue, i, i+1)
		if q.needs++; !t.need || len(q.queue) == 0 {
			q.needs = 0
		}
		q.taken++
		close(t.taken)
	}
}
