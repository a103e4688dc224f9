package tokencache

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// What go-redis logs goes to the program's logger, if the program says so.
func TestRedisLogger(t *testing.T) {
	defer redis.SetLogger(silent{})
	var out log
	redis.SetLogger(NewRedisLogger(slog.New(slog.NewTextHandler(&out, nil))))
	rdb := NewRedisClient(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}})
	_ = rdb.Ping(t.Context())
	_ = rdb.Close()
	if text := out.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "from=go-redis") || !strings.Contains(text, "dial") {
		t.Errorf("got %q", text)
	}
	NewRedisLogger(nil).Printf(t.Context(), "nothing is logged")
}
