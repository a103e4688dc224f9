//go:build race

package model

// raced is set if the race detector makes a search ten times as slow.
const raced = true
