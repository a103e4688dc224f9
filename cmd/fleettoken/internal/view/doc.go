// Package view shows a fleet that is at work: on a terminal as a live picture,
// elsewhere as lines.
//
// It knows nothing of tokens, Redis or HTTP. It draws a [Snapshot], which is
// plain data, and which whoever runs the fleet hands over ten times a second; so
// it can be tested without a fleet, and the fleet without a terminal.
//
// The picture is made for 80 columns and 24 lines, and for whatever else there
// is: with more room it tells more, with less it leaves out what can be missed.
// A replica has a line, a part of one, or a single character. Colours only
// repeat what shapes and words say.
package view
