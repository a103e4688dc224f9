package tokencache

import (
	"context"
	"fmt"
	"log/slog"
)

// NewRedisLogger returns a logger for go-redis that logs to logger, with the level of a
// warning. Nil means that nothing is logged: a Cache says itself when Redis cannot be used.
//
// By default go-redis writes
// lines of its own to standard error, such as those about a connection that cannot be made.
// Its logger is that of the whole process, so a Cache does not set it:
//
//	redis.SetLogger(tokencache.NewRedisLogger(logger))
func NewRedisLogger(logger *slog.Logger) interface {
	Printf(ctx context.Context, format string, args ...any)
} {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return redisLogger(func(ctx context.Context, line string) {
		logger.WarnContext(ctx, line, slog.String("from", "go-redis"))
	})
}

type redisLogger func(ctx context.Context, line string)

// Printf logs one line.
func (log redisLogger) Printf(ctx context.Context, format string, args ...any) {
	log(ctx, fmt.Sprintf(format, args...))
}
