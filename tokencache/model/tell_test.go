package model

import (
	"fmt"
	"strings"
)

// This file puts a step into words.

var words = map[verb]string{
	fetches:          "fetches",
	writesBack:       "writes its token back",
	obtains:          "takes the lease",
	standsBy:         "takes the lease to be held, and waits",
	fetchesAgain:     "fetches again, under the lease",
	isDenied:         "need not or may not send a request",
	asks:             "sends a token request",
	isAnswered:       "has its answer",
	commits:          "commits its token",
	reports:          "reports the failure to the ledger",
	releases:         "gives the lease back",
	hears:            "hears of the fleet's token",
	findsRedisDown:   "finds Redis unreachable",
	asksWithoutRedis: "sends a token request without Redis",
	hasRotated:       "has rotated: Rotate returns nil",
	heals:            "can reach Redis again",
	troubleEnds:      "the endpoint's trouble is over",
	leaseEnds:        "the lease of a replica that died ends",
	ticks:            "time passes",
	loseLease:        "the lease is lost, and its holder does not notice",
	loseStore:        "Redis loses its data",
	evict:            "Redis evicts the record",
	crashes:          "crashes, and starts again",
	isCutOff:         "is cut off from Redis",
	refuses:          "the endpoint begins to refuse all requests",
	fallsSilent:      "the endpoint begins to lose its answers",
	rotates:          "begins to rotate the token",
	shortens:         "the provider shortens the lives of tokens",
}

// describe tells a step, and what there is after it.
func describe(st *step, replicas int) string {
	var b strings.Builder
	text := words[st.verb]
	if st.who >= 0 {
		text = fmt.Sprintf("%c %s", 'A'+st.who, text)
	}
	s := &st.to
	fmt.Fprintf(&b, "%-52s tick %d, Redis: %s", text, s.clock, s.name(s.record))
	if s.floor > 0 {
		fmt.Fprintf(&b, ", floor %d", s.floor)
	}
	if s.block {
		b.WriteString(", block")
	}
	if s.leased && !s.named() {
		b.WriteString(", a lease whose holder died")
	}
	for i := range replicas {
		p := &s.replicas[i]
		fmt.Fprintf(&b, " | %c: %s", 'A'+i, s.name(p.held))
		for _, mark := range []struct {
			on   bool
			name string
		}{
			{p.lease, "lease"},
			{p.at == asking || p.at == calling, "asking"},
			{p.block, "knows of the block"},
			{p.rotating, "rotating"},
			{p.cut, "cut off"},
		} {
			if mark.on {
				b.WriteString(", " + mark.name)
			}
		}
	}
	return b.String()
}

// name names a token by the moment at which it was asked for, and by the one
// that it claims, if that is another.
func (s *state) name(t token) string {
	switch {
	case t.asked == 0:
		return "none"
	case !s.valid(t):
		return "expired"
	case t.issued != t.asked && t.issued != 0:
		return fmt.Sprintf("token %d as %d", t.asked, t.issued)
	default:
		return fmt.Sprintf("token %d", t.asked)
	}
}
