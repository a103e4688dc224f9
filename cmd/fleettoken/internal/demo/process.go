package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Spawner makes the command of a process that calls Serve with cfg. It starts
// nothing. The PEM is of what cfg.Roots holds, for a file.
type Spawner func(cfg ReplicaConfig, pem []byte) (*exec.Cmd, error)

// inProcesses makes actors in processes of their own. Backstage waits until they
// are gone.
func inProcesses(backstage *sync.WaitGroup, spawn Spawner, pem []byte) hire {
	return func(cfg ReplicaConfig, hear func(Event)) (actor, error) {
		cmd, err := spawn(cfg, pem)
		if err != nil {
			return nil, err
		}
		p := &process{cmd: cmd, gone: make(chan struct{})}
		if p.stdin, err = cmd.StdinPipe(); err != nil {
			return nil, err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		cmd.Stderr = &p.stderr
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("start the process of replica %s: %w", cfg.Name, err)
		}
		backstage.Go(func() { p.listen(stdout, hear) })
		return p, nil
	}
}

type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr tail
	gone   chan struct{}

	mu     sync.Mutex
	killed bool
}

// listen tells what the process says until it ends, and then that it has.
func (p *process) listen(stdout io.Reader, hear func(Event)) {
	defer close(p.gone)
	scanner := bufio.NewScanner(stdout)
	scanner.Buffer(nil, 1<<20)
	polite := false
	for scanner.Scan() {
		var e Event
		if json.Unmarshal(scanner.Bytes(), &e) == nil {
			polite = polite || e.Event == EventBye
			hear(e)
		}
	}
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case p.killed || polite && err == nil:
	case ok && status.Signaled() && status.Signal() == syscall.SIGINT:
		// From the keyboard it goes to all processes, and this one had only begun.
		hear(Event{Event: EventBye})
	default:
		hear(Event{Event: eventDied, Error: strings.TrimSpace(fmt.Sprintf("%v %s", err, p.stderr.String()))})
	}
}

// eventDied is told of a process that ended, and nobody knows why.
const eventDied = "died"

func (p *process) send(c Command) {
	line, err := json.Marshal(c)
	if err != nil {
		return
	}
	_, _ = p.stdin.Write(append(line, '\n')) // a process that is gone says so itself
}

func (p *process) kill() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	_ = p.cmd.Process.Kill() // gone already is as good
	<-p.gone
}

func (p *process) leave() {
	p.send(Command{Do: DoQuit})
	_ = p.stdin.Close()
	select {
	case <-p.gone:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// A tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const tailSize = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(b)
	if n := t.text.Len() - tailSize; n > 0 {
		t.text.Next(n)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
