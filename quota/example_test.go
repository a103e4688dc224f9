package quota_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
)

func ExampleParseLimits() {
	limits, flaws := quota.ParseLimits("b=per_hour;q=42;r=41;t=3540, per_day;q=100;r=99;t=82740")
	for _, l := range limits {
		used, _ := l.Used()
		fmt.Printf("%s: %d of %d used, full again in %v\n", l.Bucket, used, l.Quota, l.Reset)
	}
	fmt.Println(flaws, "flaws")
	// Output:
	// per_hour: 1 of 42 used, full again in 59m0s
	// per_day: 1 of 100 used, full again in 22h59m0s
	// 0 flaws
}

func ExampleRetryAfter() {
	h := http.Header{}
	h.Set("Retry-After", "120")
	fmt.Println(quota.RetryAfter(h))
	// Output: 2m0s true
}

// One request, from the question to the account. Hold a lease from Admit to
// Observe if many processes share the ledger.
func ExampleLedger() {
	server, err := miniredis.Run() // stands for your Redis
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	ctx := context.Background()

	ledger := quota.NewLedger(rdb, "quota:client-1", nil)
	attempt := &quota.Attempt{ID: "a-unique-id", By: "worker-1", Reason: "cold start", For: "token-1"}
	if _, err := ledger.Admit(ctx, attempt); errors.Is(err, quota.ErrDenied) {
		fmt.Println("not now:", err)
		return
	} else if err != nil {
		log.Fatal(err) // Redis did not say, so nothing is sent
	}

	// … the token request is sent, and answered with a token and this header:
	header := http.Header{quota.ClientHeader: {"b=per_hour;q=42;r=41;t=3540"}}

	if _, err := ledger.Observe(ctx, attempt, &quota.Answer{Outcome: quota.Issued, Header: header}); err != nil {
		log.Fatal(err)
	}
	state, err := ledger.Peek(ctx)
	if err != nil {
		log.Fatal(err)
	}
	w, _ := state.Find(quota.Client, quota.PerHour)
	fmt.Printf("%d of %d left\n", w.Free(), w.Quota)
	// Output: 41 of 42 left
}
