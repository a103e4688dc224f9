// Package trace holds the order in which the refresh of a token goes on: which
// transition of package replica, and which I/O, may follow which.
//
// The order is one table. The explorer of package tokencache/model takes each of its
// steps along a row of it, and takes every row. The tests of package tokencache record
// what the real refresh does, and hold that to the same table. So what is proved of
// the explorer's refresh is proved of the one that ships.
//
// A trace is all that one replica did for one token, refresh after refresh, until it
// was stopped: at any place, since a process may die. Its events are named after the
// transitions of replica.State. One that decides what follows has the decision after a
// colon, as fmt prints it: Fetched:Renew, HeldBack:false. RedisFailed:true means that
// the token was among those that it returned. An event that concerns several tokens, such
// as LeaseTaken, is in the trace of each.
//
// These events are I/O that no transition stands for:
//
//	LeaseTaken     the lease was free, and is this replica's
//	Admitted       the ledger has admitted the request
//	LeaseReleased  the lease was given back, or is to end by itself
//	Published      it was published that the lease is free
//
// What may happen at any time is not part of a trace: Heard, Released, Subscribed,
// Unsubscribed, Wait, Leave, Answer, Touch, Invalidate, Rotate, Merge, Next, Need,
// Throttle, RedisWorked.
package trace

import "fmt"

// Check returns an error if the events of a trace are in an order that the refresh of
// a token does not have.
func Check(events []string) error {
	var c Checker
	for _, e := range events {
		if err := c.Step(e, 0); err != nil {
			return err
		}
	}
	return nil
}

// A Checker follows the traces of the tokens of one client, as they are recorded. The
// zero Checker is ready to use. It is not safe for concurrent use.
type Checker struct {
	at     map[int]State
	recent map[int][]string
}

// Step adds an event to the traces of some tokens. It returns an error if that event
// may not follow.
func (c *Checker) Step(event string, ids ...int) error {
	if c.at == nil {
		c.at, c.recent = make(map[int]State), make(map[int][]string)
	}
	for _, id := range ids {
		at := c.at[id]
		next, ok := at.Next(event)
		if !ok {
			return fmt.Errorf("trace: token %d: %s may not follow when the refresh is %s, after %v", id, event, at, c.recent[id])
		}
		if at == Idle {
			c.recent[id] = nil
		}
		c.at[id], c.recent[id] = next, append(c.recent[id], event)
	}
	return nil
}
