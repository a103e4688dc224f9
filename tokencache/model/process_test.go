package model

import (
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file is one replica: the state that package replica decides by, where its refresh
// is, and what its shell has in hand there.

const lease = 20 * time.Second

// A process is one replica. Those of a world are interned, and never changed.
type process struct {
	core replica.State
	at   trace.State
	tick uint8

	view     replica.Snapshot // that is being applied
	reading  bool             // it is on its way
	gone     uint8            // tokens of earlier eras had been rotated away when it was read
	reports  []replica.Report // that are being sent
	reported bool             // some were, since the snapshot
	early    early
	request  replica.Request
	asked    replica.Issue // when the request was admitted, and sent
	sent     bool          // it was
	coming   record        // what the answer brings. None: no token
	made     replica.Record
	commit   commit

	rotation rotation

	cut    bool  // it cannot reach Redis
	lease  bool  // the lease in Redis has its name
	taken  uint8 // the tick in which it took the lease
	robbed bool  // a fault took the lease from it,
	told   uint8 // it knows that no request may be sent until this tick
	short  bool  // it knows
	stuck  int32 // it waits for a notification of a record issued then, or later: where a mistake leads
}

// An early admission was asked for with the lease, at a cold start.
type early struct {
	cold   bool            // the lease is to be taken so, or was
	n      uint8           // which request was admitted. 0: none
	now    int64           // when, by the clock of Redis
	at     replica.Instant // when the reply came
	denied *quota.DeniedError
}

// commit is what became of a commit.
type commit uint8

const (
	pending commit = iota
	kept
	older
	failed
)

// A rotation is a call of Source.Rotate.
type rotation struct {
	phase phase
	since int64  // when Redis was read
	old   string // what was held then
	not   string // what is to be replaced
	must  int32  // the issue of the newest record that there was when it began
	era   uint8  // which rotation it is

	record replica.Record // the one that it ends with
	lost   bool           // Redis has lost its data since that one was issued
}

// phase is what a rotation waits for.
type phase uint8

const (
	notRotating phase = iota
	obtaining         // a valid token
	replacing         // another one
	sharing           // that the fleet has it
	bounding          // that nothing issued earlier is adopted
)

// cold returns a replica that has just started, and has callers.
func cold(l limits) process {
	p := process{core: replica.State{Terms: replica.Terms{RenewBefore: window, RequestTimeout: lease / 2, Lease: lease}}}
	if l.faults[direct] > 0 {
		p.core.Terms.RedisDownRequests, p.core.Terms.RedisDownSpread = 1, time.Minute
	}
	p.core.Add("t", []quota.Scope{quota.Client})
	p.core.Wait(0)
	p.core.Subscribed(replica.Instant{}, replica.Instant{}, false, 0)
	return p
}

func (p *process) token() *replica.Token { return &p.core.Tokens[0] }

// clone returns a copy that can be changed.
func (p *process) clone() process {
	c := *p
	c.core = cloned(&p.core)
	return c
}

func cloned(s *replica.State) replica.State {
	c := *s
	c.Tokens, c.Blocks, c.Reports = slices.Clone(s.Tokens), slices.Clone(s.Blocks), slices.Clone(s.Reports)
	c.Outage.Sent = slices.Clone(s.Outage.Sent)
	return c
}

// forget makes equal what cannot make a difference: what is over, waits that are shorter
// than a quarter of a tick, and parts of a tick in longer ones.
func (p *process) forget(now replica.Instant) {
	c, t := &p.core, p.token()
	later := func(at time.Duration) time.Duration { // 0: not at all
		if at-now.Mono <= tick/4 {
			return 0
		}
		return origin + (at-origin+tick-1)/tick*tick
	}
	if h := &t.Held; h.Exists() && h.Record.Expires != 0 { // as if it had been measured when it was issued
		since := h.Since.Mono + h.Remaining - h.Record.Lifetime
		since = origin + (since-origin+tick/2)/tick*tick
		h.Since, h.Remaining = replica.Instant{Mono: since, Wall: since}, h.Record.Lifetime
		h.Slack = min(h.Slack, 1)
		h.Plan = c.Terms.PlanFor(h.Record.Lifetime, h.Remaining)
		h.Look = h.Plan.Renew + h.Jitter
	}
	for _, f := range []*replica.Failure{&t.Failure, &t.Refusal} {
		if f.Until, f.BudgetAt = later(f.Until), later(f.BudgetAt); f.Until == 0 && !f.NoRetry {
			*f = replica.Failure{}
		}
		f.CheckedAt = 0
	}
	if t.Hold.Until = later(t.Hold.Until); t.Hold.Until == 0 {
		t.Hold = replica.Hold{}
	}
	if t.FetchAt != 0 {
		t.FetchAt = max(later(t.FetchAt), 1)
	}
	t.RecentUntil, c.BurstUntil, t.Polls = 0, 0, 0
	t.Heard, c.Subscription.Number = 1, 1 // what a new one has missed is fetched within a second
	for i := range c.Blocks {
		c.Blocks[i].Until = later(c.Blocks[i].Until)
		c.Blocks[i].Denied.Count = min(c.Blocks[i].Denied.Count, 1)
	}
	c.Blocks = slices.DeleteFunc(c.Blocks, func(b replica.Block) bool { return b.Until == 0 })
	c.Outage.Failures = min(c.Outage.Failures, 1)
	if p.at != trace.Beyond && p.at != trace.LeasedBeyond {
		c.Outage.From = 0
	}
	for i, at := range c.Outage.Sent {
		c.Outage.Sent[i] = begins(tickOf(at))
	}
	c.Outage.Sent = slices.DeleteFunc(c.Outage.Sent, func(at time.Duration) bool { return now.Mono-at >= time.Hour })
	for i := range c.Reports {
		at := begins(tickOf(c.Reports[i].Received.Mono))
		c.Reports[i].Received = replica.Instant{Mono: at, Wall: at}
	}
	if p.told <= p.tick {
		p.told = 0
	}
}

// encode appends all that p consists of, so that equal replicas have equal encodings.
func (p *process) encode(b []byte) []byte { return encode(b, reflect.ValueOf(p).Elem()) }

func encode(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			switch f := v.Type().Field(i); {
			case f.Type == reflect.TypeFor[time.Time](), f.Type == reflect.TypeFor[replica.Terms](): // of errors; the same for all
			default:
				b = encode(b, v.Field(i))
			}
		}
	case reflect.Slice:
		b = append(b, byte(v.Len()))
		for i := range v.Len() {
			b = encode(b, v.Index(i))
		}
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return encode(append(b, 1), v.Elem())
	case reflect.Interface, reflect.Map, reflect.Func: // errors are for people
		if v.IsNil() {
			return append(b, 0)
		}
		return append(b, 1)
	case reflect.String:
		b = append(append(b, byte(v.Len())), v.String()...)
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		b = append64(b, uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		b = append64(b, v.Uint())
	case reflect.Float64:
		b = append64(b, math.Float64bits(v.Float()))
	default:
		panic("model: a replica has a " + v.Kind().String())
	}
	return b
}

// append64 appends a number in as many bytes as it needs.
func append64(b []byte, n uint64) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
