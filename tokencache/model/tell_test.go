package model

import (
	"fmt"
	"strings"
)

// This file puts a step into words.

var words = map[verb]string{
	looks:          "looks",
	givesBack:      "gives its token back to the fleet",
	obtains:        "takes the lease",
	standsBy:       "takes the lease to be held, and stands by",
	looksAgain:     "looks again, with the lease",
	isDenied:       "need not or may not ask",
	asks:           "asks for a token",
	isAnswered:     "has its answer",
	commits:        "commits its token",
	accounts:       "tells the ledger of the refusal",
	releases:       "gives the lease back",
	hears:          "hears of the fleet's token",
	findsRedisAway: "finds Redis away",
	callsPastRedis: "asks for a token past Redis",
	rotated:        "has rotated: Rotate returns nil",
	heals:          "can reach Redis again",
	troubleEnds:    "the endpoint's trouble is over",
	leaseEnds:      "the lease of one who has left ends",
	ticks:          "time passes",
	loseLease:      "the lease is lost, and its holder does not notice",
	loseStore:      "Redis loses its data",
	evict:          "Redis evicts the record",
	crashes:        "crashes, and starts again",
	isCutOff:       "is cut off from Redis",
	refuses:        "the endpoint begins to refuse everybody",
	fallsSilent:    "the endpoint begins to lose its answers",
	rotates:        "is told to rotate the token",
	shortens:       "the provider shortens the lives of tokens",
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
		b.WriteString(", a lease of nobody")
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
			{p.since != 0, "rotating"},
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
