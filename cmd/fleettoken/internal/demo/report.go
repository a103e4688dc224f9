package demo

import (
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A Report is what happened in a demo.
type Report struct {
	Replicas    int     `json:"replicas"`
	Processes   bool    `json:"processes"` // whether each replica had its own: always false
	Redis       string  `json:"redis"`
	Seconds     float64 `json:"seconds"`
	Interrupted bool    `json:"interrupted"`

	Deploys Deploys `json:"deploys"`

	// The rest is of the fleet with fleettoken.
	TokenRequests         int `json:"token_requests"`          // that the endpoint has seen
	TokensIssued          int `json:"tokens_issued"`           // in answers that arrived
	UnsharedTokenRequests int `json:"unshared_token_requests"` // at least, if no replica had shared
	Faults                int `json:"faults"`                  // requests that the demo made fail
	AtOnce                int `json:"max_concurrent_requests"`

	APICalls      int     `json:"api_calls"` // that the API answered with 200
	FailedCalls   int     `json:"failed_calls"`
	ExpiredServed int     `json:"expired_served"` // calls with an expired token, by the API's clock
	FirstTokenMS  float64 `json:"first_token_ms"` // of the slowest replica
	RotationMS    float64 `json:"rotation_ms"`    // until the last replica had the new token

	RedisCommands        int     `json:"redis_commands"` // of all replicas
	RedisCommandsPerCall float64 `json:"redis_commands_per_call"`

	Quota    map[string]Bucket `json:"quota"` // as the endpoint reported it last
	Outcomes []Outcome         `json:"chapters"`

	// Broken are the promises that were broken, and how.
	Broken []string `json:"broken_promises"`
	Notes  []string `json:"notes,omitempty"`

	Ledger string `json:"-"` // all token requests, as the endpoint has seen them
}

// Deploys compares the same deploys without and with fleettoken.
type Deploys struct {
	Starts   int           `json:"starts"` // of all replicas
	Unshared DeployFigures `json:"without_sharing"`
	Shared   DeployFigures `json:"with_fleettoken"`
}

// DeployFigures are what deploys cost.
type DeployFigures struct {
	TokenRequests     int     `json:"token_requests"`
	Tokens            int     `json:"tokens_issued"`
	LockedOut         int     `json:"replicas_locked_out"`
	FailedCalls       int     `json:"failed_calls"`
	RetryAfterSeconds float64 `json:"retry_after_s"` // zero: no request was refused
}

// A Bucket is a part of the quota.
type Bucket struct {
	Quota     int64 `json:"quota"`
	Used      int64 `json:"used"`
	Remaining int64 `json:"remaining"`
}

// An Outcome is what became of one scenario that began.
type Outcome struct {
	Title  string `json:"title"`
	Result string `json:"result"`
	Kept   bool   `json:"kept"` // whether it went as promised
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// answered reports whether a request brought a token to its sender.
func answered(r auth0test.Request) bool { return r.Issued && r.Status == 200 }
