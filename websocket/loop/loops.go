package loop

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
)

// Options say how loops are made. The zero value is the default.
type Options struct {
	// Loops is how many there are. 0 means runtime.GOMAXPROCS.
	Loops int

	// Kernel makes the kernel of each loop. nil means the system's; tests play others.
	Kernel func() (Kernel, error)

	// Failed is called when a loop's kernel gives up, which ends nothing: the descriptors of that loop are not served any
	// more. nil means that the failure is ignored.
	Failed func(error)
}

// Loops is a set of event loops, each driven by one goroutine at a time. Its methods are safe for concurrent use.
type Loops struct {
	loops   []*loop
	monitor monitor
	failed  func(error)
	over    chan struct{} // closed when the loops have ended
	turning atomic.Int32  // loops that have not
	running sync.WaitGroup
}

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// New starts event loops. They end with [Loops.Stop].
func New(o Options) (*Loops, error) {
	if o.Kernel == nil {
		o.Kernel = NewKernel
	}
	if o.Loops <= 0 {
		o.Loops = runtime.GOMAXPROCS(0)
	}
	ls := &Loops{failed: o.Failed, over: make(chan struct{})}
	for range o.Loops {
		k, err := o.Kernel()
		if err != nil {
			for _, l := range ls.loops {
				l.k.Release()
			}
			return nil, err
		}
		ls.loops = append(ls.loops, newLoop(ls, k))
	}
	ls.turning.Store(int32(len(ls.loops)))
	for _, l := range ls.loops {
		ls.running.Add(1)
		go l.drive()
	}
	ls.monitor.start(ls)
	return ls, nil
}

// Manual returns a single loop on k that no goroutine drives: the caller does, with [Loops.Turn]. It is for tests.
func Manual(k Kernel) *Loops {
	ls := &Loops{over: make(chan struct{})}
	l := newLoop(ls, k)
	ls.loops = []*loop{l}
	newDriver(l)
	return ls
}

// Turn drives the loop of Manual for one round: all that must be done, and one wait. It returns false when the loop has ended
// or was lost.
func (ls *Loops) Turn() bool { return ls.loops[0].driver.Load().turn() }

// Place is where a descriptor goes.
type Place struct {
	l  *loop
	fd int
}

// Add gives f its place: h handles it from here on. [FD.Wake] has it visited for the first time; for a connection that was
// just accepted the loop does that by itself.
func (p Place) Add(f *FD, h Handler) {
	f.fd, f.h = int32(p.fd), h
	p.l.add(f)
}

// Place returns a place for fd, which does not block, in the loop with the fewest descriptors.
func (ls *Loops) Place(fd int) Place { return Place{ls.idlest(nil), fd} }

// Take returns a place for nc's socket, and closes nc: the loop has a descriptor of its own for it. Only a *net.TCPConn and a
// *net.UnixConn can be taken: a type that embeds one may have methods of its own. For any other the error is an
// errors.ErrUnsupported, and nc is as it was.
func (ls *Loops) Take(nc net.Conn) (Place, error) {
	fd, err := takeFD(nc)
	if err != nil {
		return Place{}, err
	}
	nc.Close()
	return ls.Place(fd), nil
}

// TakeBoth is Take for two connections that are served together: their places are in one loop.
func (ls *Loops) TakeBoth(a, b net.Conn) (pa, pb Place, err error) {
	fd, err := takeFD(b)
	if err != nil {
		return pa, pb, err
	}
	if pa, err = ls.Take(a); err != nil {
		ls.loops[0].k.Close(fd)
		return pa, pb, err
	}
	b.Close()
	return pa, Place{pa.l, fd}, nil
}

// TakeBeside is Take for a connection that is served together with f: its place is in f's loop.
func (ls *Loops) TakeBeside(nc net.Conn, f *FD) (Place, error) {
	fd, err := takeFD(nc)
	if err != nil {
		return Place{}, err
	}
	nc.Close()
	return Place{f.loop, fd}, nil
}

// Dial returns a place for a socket that is connecting to addr, over TCP. It does not wait: [FD.Write] returns ErrAgain until there is
// a connection, and fails when there will be none. Keep-alive is what a net.Dialer with that KeepAliveConfig sets, enabled in any case.
func (ls *Loops) Dial(addr netip.AddrPort, keep net.KeepAliveConfig) (Place, error) {
	fd, err := dialFD(addr, keep)
	if err != nil {
		return Place{}, err
	}
	return ls.Place(fd), nil
}

// Discard closes the descriptor of a place that was not used.
func (p Place) Discard() { p.l.k.Close(p.fd) }

// Peer returns the address of the other end of the descriptor, nil when it is not known.
func (p Place) Peer() net.Addr { return p.l.k.Peer(p.fd) }

// Listen has a loop accept from l's socket: a *net.TCPListener's or *net.UnixListener's, of which the loop has a descriptor
// of its own until stop is called. For any other l the error is an errors.ErrUnsupported. take is called for each
// connection, and calls Add of its place; nil has the connection closed. It must not block.
func (ls *Loops) Listen(l net.Listener, take func(Place) *FD) (stop func(), err error) {
	fd, err := listenerFD(l)
	if err != nil {
		return nil, err
	}
	return ls.ListenOn(fd, take)
}

// ListenOn is Listen for a descriptor, which does not block and becomes the loop's.
func (ls *Loops) ListenOn(fd int, take func(Place) *FD) (stop func(), err error) {
	l := ls.loops[0]
	n, err := l.listen(fd, take)
	if err != nil {
		l.k.Close(fd)
		return nil, err
	}
	return func() { l.deafen(n) }, nil
}

// Len returns how many descriptors are on the loops.
func (ls *Loops) Len() int {
	n := 0
	for _, l := range ls.loops {
		n += int(l.count.Load())
	}
	return n
}

// Each calls f for the handler of every descriptor that is on a loop when its turn comes.
func (ls *Loops) Each(f func(Handler)) {
	for _, l := range ls.loops {
		l.mu.Lock()
		all := make([]Handler, 0, len(l.slots))
		for _, at := range l.slots {
			if at != nil {
				all = append(all, at.h)
			}
		}
		l.mu.Unlock()
		for _, h := range all {
			f(h)
		}
	}
}

// Stop has each loop end when its last descriptor is gone. Nothing may be added from then on.
func (ls *Loops) Stop() {
	for _, l := range ls.loops {
		l.stop()
	}
}

// Wait waits until the loops have ended after Stop.
func (ls *Loops) Wait() { ls.running.Wait() }

// idlest returns the loop with the fewest descriptors, and own when there is none with fewer.
func (ls *Loops) idlest(own *loop) *loop {
	best, least := own, int64(1)<<62
	if own != nil {
		least = own.count.Load()
	}
	for _, l := range ls.loops {
		if n := l.count.Load(); n < least {
			best, least = l, n
		}
	}
	return best
}

// fail reports that a loop cannot go on.
func (ls *Loops) fail(err error) {
	if ls.failed != nil {
		ls.failed(err)
	}
}
