package lock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/lock"
)

func ExampleLocker_Do() {
	server, err := miniredis.Run() // stands for your Redis
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()

	locker, err := lock.New(rdb, &lock.Options{TTL: 10 * time.Second, Replica: "worker-1"})
	if err != nil {
		log.Fatal(err)
	}
	err = locker.Do(context.Background(), "nightly-report", func(ctx context.Context, lease *lock.Lease) error {
		fmt.Println("the report is ours to write") // with ctx, which ends with the lease
		return nil
	})
	if held, ok := errors.AsType[*lock.HeldError](err); ok {
		fmt.Println("somebody else writes it, come back in", held.Remaining)
	} else if err != nil {
		fmt.Println("Redis did not say:", err)
	}
	// Output: the report is ours to write
}

// A long task extends its lease between two steps, and stops if it is lost.
func ExampleLease_Extend() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()

	locker, err := lock.New(rdb, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = locker.Do(context.Background(), "migration", func(ctx context.Context, lease *lock.Lease) error {
		for _, step := range []string{"copy", "switch", "clean up"} {
			fmt.Println(step)
			if err := lease.Extend(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// copy
	// switch
	// clean up
	// <nil>
}
