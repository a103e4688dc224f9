package main

import (
	"cmp"
	"fmt"
	"slices"
)

// Problems collects what is wrong with a configuration, so that all of it is
// told at once.
type problems []problem

// add notes a problem.
func (p *problems) add(format string, args ...any) {
	*p = append(*p, problem{text: fmt.Sprintf(format, args...)})
}

// err returns the problems as one failure, in an order of its own, or nil if
// there are none.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(p), func(a, b problem) int { return cmp.Compare(a.text, b.text) })
	return &failure{exitUsage, sorted}
}
