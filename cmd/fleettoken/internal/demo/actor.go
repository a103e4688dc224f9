package demo

import "sync"

// An actor plays a replica: in this process, or in one of its own. Both speak
// the same protocol.
type actor interface {
	send(Command)
	kill()  // as SIGKILL does: at once, and nothing is tidied up
	leave() // politely; it returns when the replica is gone
}

// A hire makes an actor. What it has to say is told to hear.
type hire func(cfg ReplicaConfig, hear func(Event)) (actor, error)

// inProcess makes actors in this process. What the killed ones leave behind is
// tidied up in the background, and backstage waits for that.
func inProcess(backstage *sync.WaitGroup) hire {
	return func(cfg ReplicaConfig, hear func(Event)) (actor, error) {
		r, err := newReplica(cfg, hear)
		if err != nil {
			return nil, err
		}
		hear(r.ready())
		return &local{r, backstage}, nil
	}
}

type local struct {
	replica   *replica
	backstage *sync.WaitGroup
}

func (l *local) send(c Command) { l.replica.do(c) }

func (l *local) kill() {
	l.replica.sever()
	l.backstage.Go(l.replica.close)
}

func (l *local) leave() { l.replica.close() }
