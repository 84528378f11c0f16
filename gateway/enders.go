package gateway

import "sync"

// enders runs the functions that are called at the end of tunnels, on separate goroutines. A few of the goroutines are reused, so that the
// next call does not have to grow a new stack. Use newEnders to create one.
type enders struct {
	work chan tunnelEnd // passes work to idle goroutines
	idle chan struct{}  // holds one value for each idle goroutine
	stop chan struct{}  // closed when idle goroutines must end
	once sync.Once
}

// tunnelEnd is the result of a tunnel, and the function to call with it.
type tunnelEnd struct {
	done func(error)
	err  error
}

// maxEnders limits the number of idle goroutines.
const maxEnders = 8

func newEnders() *enders {
	return &enders{work: make(chan tunnelEnd), idle: make(chan struct{}, maxEnders), stop: make(chan struct{})}
}

// end calls done with err on another goroutine. It does not block, and may be called after close.
func (e *enders) end(done func(error), err error) {
	select {
	case e.work <- tunnelEnd{done, err}:
	default:
		go e.run(tunnelEnd{done, err})
	}
}

// run calls the function in x, and then the functions that it receives while idle. It returns if enough other goroutines are idle, or when
// close is called.
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
		case <-e.stop:
			<-e.idle
			return
		}
	}
}

// close stops the idle goroutines. A second call does nothing.
func (e *enders) close() { e.once.Do(func() { close(e.stop) }) }
