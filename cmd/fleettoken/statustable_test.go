package main

import (
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache"
)

func TestWriteStatus(t *testing.T) {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	status := tokencache.Status{
		Client: "…0001", TokenURL: "https://tenant.example/oauth/token", TokenID: "0123456789abcdef",
		Fleet: &tokencache.TokenStatus{
			Issued: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), By: "host-a/0f0e0d0c-0b0a", Lifetime: 10 * time.Hour, Age: 90 * time.Minute, Remaining: 510 * time.Minute,
			Expires: noon.Add(510 * time.Minute), RenewFrom: noon.Add(450 * time.Minute),
		},
		Lease: &tokencache.LeaseStatus{Holder: "host-b/1f1e1d1c-1b1a", Remaining: 12345 * time.Millisecond},
		Quota: quota.State{
			Windows: []quota.Window{
				{Scope: quota.Client, Bucket: quota.PerHour, Quota: 42, Server: 5, Own: 3, Used: 5, Forced: 1, Remaining: 61 * time.Second, Confirmed: true},
				{Scope: quota.Client, Bucket: quota.PerDay, Quota: 100, Remaining: 12 * time.Hour},
			},
			Blocks: []quota.Blocked{{Scope: quota.Client, Reason: quota.QuotaExceeded, Remaining: 61 * time.Second, Count: 2}},
			Modes:  map[quota.Scope]string{quota.Client: "enforced"},
		},
		Journal: []quota.Entry{
			{At: noon, By: "host-b/1f1e1d1c-1b1a", For: "0123456789abcdef", Reason: "early", Priority: "early"},
			// Whoever can write to Redis can write this, and must not move the cursor.
			{At: noon, By: "evil\x1b[2J", For: "x", Reason: "a\nb", Priority: "need", Outcome: "refused", Status: "quota too_many_requests", Took: 150 * time.Millisecond, Header: "b=per_hour;q=42"},
		},
	}
	want := `
client     …0001
audience   none
token url  https://tenant.example/oauth/token
token id   01234567
token      asked for by host-a/0f0e0d0c 1h30m ago
ends       in 8h30m, at 2026-05-04 20:30:00Z
renewal    in 7h30m, at 2026-05-04 19:30:00Z
lease      held by host-b/1f1e1d1c, for 12s yet

QUOTA   BUCKET    LEFT  OF   SERVER  FLEET   FORCED  RESETS IN  NOTE
client  per hour  37    42   5 used  3 used  1       1m1s       enforced
client  per day   100   100  0 used  0 used  0       12h0m      enforced, not confirmed

BLOCKED  REASON  FOR   IN A ROW
client   quota   1m1s  2

TOKEN REQUESTS        BY               FOR       WHY    PRIORITY  OUTCOME                           TOOK   QUOTA
2026-05-04 12:00:00Z  host-b/1f1e1d1c  01234567  early  early     no account of it yet              0s     -
2026-05-04 12:00:00Z  evil?[2J         x         a?b    need      refused: quota too_many_requests  150ms  b=per_hour;q=42
`
	var got strings.Builder
	if err := writeStatus(&got, status); err != nil {
		t.Fatal(err)
	}
	if got.String() != want[1:] {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want[1:])
	}
}
