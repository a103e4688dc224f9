package tokencache

import (
	"context"
	"fmt"
	"log/slog"
)

// A RedisLogger hands on to a [slog.Logger] what go-redis logs. By default go-redis writes
// lines of its own to standard error, such as those about a connection that cannot be made.
// Its logger is that of the whole process, so a Cache does not set it:
//
//	redis.SetLogger(tokencache.NewRedisLogger(logger))
type RedisLogger struct{ logger *slog.Logger }

// NewRedisLogger returns a RedisLogger that logs to logger, with the level of a warning. Nil
// means that nothing is logged: a Cache says itself when Redis cannot be used.
func NewRedisLogger(logger *slog.Logger) *RedisLogger {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &RedisLogger{logger}
}

// Printf logs one line.
func (l *RedisLogger) Printf(ctx context.Context, format string, args ...any) {
	l.logger.WarnContext(ctx, fmt.Sprintf(format, args...), slog.String("from", "go-redis"))
}
