package gateway

import "sync"

// enders call what is to be done at the end of a tunnel, on goroutines of their own. A few of these stay for the next end, so that it need
// not wait for a stack to grow. Make it with newEnders.
type enders struct {
	work chan tunnelEnd // to goroutines that wait
	idle chan struct{}  // holds one for each of these
	over chan struct{}  // closed: none waits any more
	once sync.Once
}

// tunnelEnd is how a tunnel has ended, and what to call with that.
type tunnelEnd struct {
	done func(error)
	err  error
}

// maxEnders bounds the goroutines that wait.
const maxEnders = 8

func newEnders() *enders {
	return &enders{work: make(chan tunnelEnd), idle: make(chan struct{}, maxEnders), over: make(chan struct{})}
}

// end has done called with err, soon. It does not wait, and may be called after close.
func (e *enders) end(done func(error), err error) {
	select {
	case e.work <- tunnelEnd{done, err}:
	default:
		go e.run(tunnelEnd{done, err})
	}
}

// run is a goroutine. It ends after its work when enough others wait, or with close.
func (e *enders) run(x tunnelEnd) {
	for {
		x.done(x.err)
		select {
		case e.idle <- struct{}{}:
		default:
			return
		}
		select {
		case x = <-e.work:
			<-e.idle
		case <-e.over:
			<-e.idle
			return
		}
	}
}

// close has the goroutines that wait end. A second call does nothing.
func (e *enders) close() { e.once.Do(func() { close(e.over) }) }
