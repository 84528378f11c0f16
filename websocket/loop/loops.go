package loop

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
)

// Options are the options of New. The zero value is the default.
type Options struct {
	// Loops is the number of loops. 0 means runtime.GOMAXPROCS.
	Loops int

	// Kernel makes the kernel of each loop. nil means the system's; tests use others.
	Kernel func() (Kernel, error)

	// Failed is called if a loop's kernel fails. The connections of that loop are not closed, but not served any more. nil means
	// that the failure is ignored.
	Failed func(error)
}

// Loops is a set of event loops, each driven by one goroutine at a time. Its methods are safe for concurrent use.
type Loops struct {
	loops   []*loop
	monitor monitor
	failed  func(error)
	over    chan struct{} // closed when the loops have ended
	turning atomic.Int32  // loops that have not ended
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

// Manual returns a single loop on k without a goroutine: the caller drives it, with [Loops.Turn]. It is for tests.
func Manual(k Kernel) *Loops {
	ls := &Loops{over: make(chan struct{})}
	l := newLoop(ls, k)
	ls.loops = []*loop{l}
	newDriver(l)
	return ls
}

// Turn drives the loop of Manual for one round: all scheduled work, and one wait. It returns false if the loop has ended or was
// lost.
func (ls *Loops) Turn() bool { return ls.loops[0].driver.Load().turn() }

// Place is a place for a descriptor in a loop.
type Place struct {
	l  *loop
	fd int
}

// Add assigns the place to f, which h handles. [FD.Wake] schedules its first visit; the loop itself does so for an accepted
// connection.
func (p Place) Add(f *FD, h Handler) {
	f.fd, f.h = int32(p.fd), h
	p.l.add(f)
}

// Place returns a place for fd, which must not block, in the loop with the fewest descriptors.
func (ls *Loops) Place(fd int) Place { return Place{ls.idlest(nil), fd} }

// Take returns a place for nc's socket, and closes nc: the loop has a separate descriptor for it. Only a *net.TCPConn and a
// *net.UnixConn can be taken: a type that embeds one may have methods of its own. For anything else the error is an
// errors.ErrUnsupported, and nc is unchanged.
func (ls *Loops) Take(nc net.Conn) (Place, error) {
	fd, err := takeFD(nc)
	if err != nil {
		return Place{}, err
	}
	nc.Close()
	return ls.Place(fd), nil
}

// TakeBoth is Take for two connections that are served together: both places are in one loop.
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

// Dial returns a place for a socket that is connecting to addr, over TCP. It does not wait: [FD.Write] returns ErrAgain until the
// connection is established, and fails if it cannot be. TCP keep-alive is enabled, with the values that a net.Dialer with that
// KeepAliveConfig sets.
func (ls *Loops) Dial(addr netip.AddrPort, keep net.KeepAliveConfig) (Place, error) {
	fd, err := dialFD(addr, keep)
	if err != nil {
		return Place{}, err
	}
	return ls.Place(fd), nil
}

// Discard closes the descriptor of an unused place.
func (p Place) Discard() { p.l.k.Close(p.fd) }

// Peer returns the address of the other end of the descriptor, nil if it is unknown.
func (p Place) Peer() net.Addr { return p.l.k.Peer(p.fd) }

// Listen makes a loop accept from l's socket, which is a *net.TCPListener's or a *net.UnixListener's. The loop has a separate
// descriptor for it until stop is called. For any other l the error is an errors.ErrUnsupported. take is called for each
// connection, and calls Add of its place; if it returns nil, the connection is closed. It must not block.
func (ls *Loops) Listen(l net.Listener, take func(Place) *FD) (stop func(), err error) {
	fd, err := listenerFD(l)
	if err != nil {
		return nil, err
	}
	return ls.ListenOn(fd, take)
}

// ListenOn is Listen for a descriptor, which must not block and then belongs to the loop.
func (ls *Loops) ListenOn(fd int, take func(Place) *FD) (stop func(), err error) {
	l := ls.loops[0]
	n, err := l.listen(fd, take)
	if err != nil {
		l.k.Close(fd)
		return nil, err
	}
	return func() { l.deafen(n) }, nil
}

// Len returns the number of descriptors on the loops.
func (ls *Loops) Len() int {
	n := 0
	for _, l := range ls.loops {
		n += int(l.count.Load())
	}
	return n
}

// Each calls f for the handler of each descriptor that is on a loop at that time.
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

// Stop makes each loop end with its last descriptor. Nothing may be added afterwards.
func (ls *Loops) Stop() {
	for _, l := range ls.loops {
		l.stop()
	}
}

// Wait waits until the loops have ended after Stop.
func (ls *Loops) Wait() { ls.running.Wait() }

// idlest returns the loop with the fewest descriptors, preferring own.
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

// fail reports the failure of a loop.
func (ls *Loops) fail(err error) {
	if ls.failed != nil {
		ls.failed(err)
	}
}
