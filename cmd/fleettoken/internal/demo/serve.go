package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Serve is a replica in a process of its own: it reads commands from in and
// writes events to out until it is told to quit, in ends, or ctx does. A parent
// that dies closes in, so no replica is left behind.
func Serve(ctx context.Context, cfg ReplicaConfig, in io.Reader, out io.Writer) error {
	lines := &lineWriter{encoder: json.NewEncoder(out)}
	r, err := newReplica(cfg, lines.write)
	if err != nil {
		return err
	}
	defer r.close() // again does no harm
	lines.write(r.ready())

	commands := make(chan Command)
	var broken error
	go func() { // it is left behind in a read if ctx ends; the process ends then
		defer close(commands)
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			var c Command
			if broken = json.Unmarshal(scanner.Bytes(), &c); broken != nil {
				broken = fmt.Errorf("a line on standard input is no command: %w", broken)
				return
			}
			select {
			case commands <- c:
			case <-ctx.Done():
				return
			}
		}
		broken = scanner.Err()
	}()
	for {
		select {
		case c, ok := <-commands:
			switch {
			case !ok && ctx.Err() == nil:
				return broken
			case ok && c.Do != DoQuit:
				r.do(c)
				continue
			}
			r.bow(c.ID)
		case <-ctx.Done():
			r.bow(0)
		}
		return nil
	}
}

// bow ends the replica politely, and says so.
func (r *replica) bow(id int) {
	r.end()
	r.tell(r.counters(0))
	r.close()
	r.tell(Event{Event: EventBye, ID: id})
}

// A lineWriter writes events from many goroutines, one a line. If nobody reads
// them any more, the end of the input says so.
type lineWriter struct {
	mu      sync.Mutex
	encoder *json.Encoder
}

func (w *lineWriter) write(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.encoder.Encode(e)
}
