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
// floor.
func TestCommitScript(t *testing.T) {
	text, err := os.ReadFile("../internal/store/commit.lua")
	if err != nil {
		t.Fatal(err)
	}
	m := miniredis.RunT(t)
	m.SetTime(time.UnixMilli(1))
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer rdb.Close()

	var records []token
	for issued := instant(2); issued <= 4; issued += 2 {
		for ends := uint8(2); ends <= 3; ends++ {
			for _, forced := range []bool{false, true} {
				records = append(records, token{asked: issued, issued: issued, expires: at(ends, 0), forced: forced})
			}
		}
	}
	for _, there := range append(records, token{}) {
		for _, comes := range records {
			for floor := range instant(6) {
				m.FlushAll()
				if there.asked != 0 {
					m.HSet("token", "issued", fmt.Sprint(there.issued), "expires", fmt.Sprint(1000*int(there.expires)), "sealed", "x")
				}
				if floor > 0 {
					_ = m.Set("floor", fmt.Sprint(floor))
				}
				word, err := rdb.Eval(t.Context(), string(text), []string{"token", "floor"},
					int(comes.issued), 1000*int(comes.expires), "x", "news", "id", 1_000_000, "", 1000, comes.forced).Text()
				if err != nil {
					t.Fatal(err)
				}
				s := state{record: there, floor: floor}
				kept := (&run{}).commit(&s, comes, false)
				got := fmt.Sprint(kept, s.record.issued, 1000*int(s.record.expires), s.floor)
				want := fmt.Sprint(word == "stored" || word == "same", number(m.HGet("token", "issued")), number(m.HGet("token", "expires")), number(get(m, "floor")))
				if got != want {
					t.Errorf("%+v comes to %+v with floor %d: the explorer has %s, commit.lua %s", comes, there, floor, got, want)
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
