package model

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// The explorer's commit and commit.lua make the same of every pair of records and every
// earliest issue.
func TestCommitScript(t *testing.T) {
	text, err := os.ReadFile("../internal/store/commit.lua")
	if err != nil {
		t.Fatal(err)
	}
	m := miniredis.RunT(t)
	m.SetTime(time.UnixMilli(1))
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer rdb.Close()

	start := int32(origin.Milliseconds())
	var records []record
	for issued := start + 2; issued <= start+4; issued += 2 {
		for expires := start + 2000; expires <= start+3000; expires += 1000 {
			for _, forced := range []bool{false, true} {
				records = append(records, record{n: 1, dies: 9, issued: issued, expires: expires, forced: forced})
			}
		}
	}
	for _, there := range append(records, record{}) {
		for _, comes := range records {
			for floor := int32(0); floor < 6; floor++ {
				if floor > 0 {
					floor += start
				}
				m.FlushAll()
				if there.n != 0 {
					m.HSet("token", "issued", fmt.Sprint(there.issued), "expires", fmt.Sprint(there.expires), "sealed", "x")
				}
				if floor > 0 {
					_ = m.Set("floor", fmt.Sprint(floor))
				}
				word, err := rdb.Eval(t.Context(), string(text), []string{"token", "floor"},
					int(comes.issued), int(comes.expires), "x", "notifications", "id", 1_000_000, "", 1000, comes.forced).Text()
				if err != nil {
					t.Fatal(err)
				}
				w := world{record: there, floor: floor}
				kept, _ := w.commit(comes, false)
				got := fmt.Sprint(kept, w.record.issued, w.record.expires, w.floor)
				want := fmt.Sprint(word == "stored" || word == "same", number(m.HGet("token", "issued")), number(m.HGet("token", "expires")), number(get(m, "floor")))
				if got != want {
					t.Errorf("%+v comes to %+v with floor %d: the explorer has %s, commit.lua %s", comes, there, floor, got, want)
				}
				if floor > 0 {
					floor -= start
				}
			}
		}
	}
}

func get(m *miniredis.Miniredis, key string) string {
	value, _ := m.Get(key)
	return value
}

func number(text string) (n int) {
	_, _ = fmt.Sscan(text, &n)
	return n
}
