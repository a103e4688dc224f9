package auth0test

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A stream carries bytes one way between the two ends of a connection in
// memory. Its buffer grows as needed, so a write never waits. A read waits on
// a condition variable, which a synctest bubble knows to be idle.
type stream struct {
	mu            sync.Mutex
	changed       *sync.Cond
	buffer        []byte
	readerClosed  bool
	writerClosed  bool
	readDeadline  time.Time
	writeDeadline time.Time
	wake          *time.Timer // wakes the readers at the read deadline
}

func newStream() *stream {
	s := new(stream)
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readerClosed:
			return 0, net.ErrClosed
		case passed(s.readDeadline):
			return 0, os.ErrDeadlineExceeded
		case len(s.buffer) > 0:
			n := copy(p, s.buffer)
			s.buffer = s.buffer[n:]
			return n, nil
		case s.writerClosed:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.writerClosed:
		return 0, net.ErrClosed
	case s.readerClosed:
		return 0, syscall.EPIPE
	case passed(s.writeDeadline):
		return 0, os.ErrDeadlineExceeded
	}
	s.buffer = append(s.buffer, p...)
	s.changed.Broadcast()
	return len(p), nil
}

// closeReader ends the reading: writes fail from now on.
func (s *stream) closeReader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readerClosed = true
	s.buffer = nil
	s.stopTimer()
	s.changed.Broadcast()
}

// closeWriter says that nothing will follow: reads end after what is buffered.
func (s *stream) closeWriter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writerClosed = true
	s.changed.Broadcast()
}

func (s *stream) setReadDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopTimer()
	s.readDeadline = t
	if !t.IsZero() && !s.readerClosed {
		s.wake = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	s.changed.Broadcast()
}

func (s *stream) setWriteDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeDeadline = t
}

func (s *stream) stopTimer() {
	if s.wake != nil {
		s.wake.Stop()
		s.wake = nil
	}
}

// passed reports whether a deadline is over. The zero time is none.
func passed(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}
