package loop

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
)

// Options are the options of New. The zero value uses the defaults.
type Options struct {
	// Loops is the number of loops. 0 means runtime.GOMAXPROCS.
	Loops int

	// Kernel makes the kernel of each loop. If nil, the system's kernel is used; other kernels are for tests.
	Kernel func() (Kernel, error)

	// Failed is called if a loop's kernel fails. The connections of that loop are not closed, but are no longer served. If nil, the
	// failure is ignored.
	Failed func(error)
}

// Loops is a set of event loops, each driven by one goroutine at a time. Its methods are safe for concurrent use.
type Loops struct {
	loops    []*loop
	monitor  monitor
	failed   func(error)
	finished chan struct{} // closed when the loops have ended
	active   atomic.Int32  // number of loops that have not ended
	running  sync.WaitGroup
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
	ls := &Loops{failed: o.Failed, finished: make(chan struct{})}
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
	ls.active.Store(int32(len(ls.loops)))
	for _, l := range ls.loops {
		ls.running.Add(1)
		go l.drive()
	}
	ls.monitor.start(ls)
	return ls, nil
}

// Manual returns a single loop on k without a goroutine: the caller drives it with [Loops.Turn]. It is for tests.
func Manual(k Kernel) *Loops {
	ls := &Loops{finished: make(chan struct{})}
	l := newLoop(ls, k)
	ls.loops = []*loop{l}
	newDriver(l)
	return ls
}

// Turn runs one round of the loop of Manual: all scheduled work, and one wait. It returns false if the loop has ended or another driver has
// taken it over.
func (ls *Loops) Turn() bool { return ls.loops[0].driver.Load().turn() }

// Place is a slot for a descriptor in a loop.
type Place struct {
	l  *loop
	fd int
}

// Add assigns the place to f, whose handler is h. [FD.Wake] schedules the first visit. For an accepted connection the loop calls it.
func (p Place) Add(f *FD, h Handler) {
	f.fd, f.h = int32(p.fd), h
	p.l.add(f)
}

// Place returns a place for fd, which must not block, in the loop with the fewest descriptors.
func (ls *Loops) Place(fd int) Place { return Place{ls.leastLoaded(nil), fd} }

// Take returns a place for nc's socket, and closes nc: the loop has a separate descriptor for it. Only a *net.TCPConn or a
// *net.UnixConn can be taken, because a type that embeds one may override its methods. For any other type Take returns
// an error that wraps errors.ErrUnsupported, and nc is unchanged.
func (ls *Loops) Take(nc net.Conn) (Place, error) {
	fd, err := takeFD(nc)
	if err != nil {
		return Place{}, err
	}
	nc.Close()
	return ls.Place(fd), nil
}

// TakeBoth is like Take for two connections that are served together: both places are in one loop.
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

// TakeBeside is like Take for a connection that is served together with f: the place is in f's loop.
func (ls *Loops) TakeBeside(nc net.Conn, f *FD) (Place, error) {
	fd, err := takeFD(nc)
	if err != nil {
		return Place{}, err
	}
	nc.Close()
	return Place{f.loop, fd}, nil
}

// Dial returns a place for a socket that is connecting to addr over TCP. It does not wait: [FD.Write] returns ErrAgain until the connection
// is established, and fails if the connection cannot be established. TCP keep-alive is set as by a net.Dialer with the KeepAliveConfig
// keep.
func (ls *Loops) Dial(addr netip.AddrPort, keep net.KeepAliveConfig) (Place, error) {
	fd, err := dialFD(addr, keep)
	if err != nil {
		return Place{}, err
	}
	return ls.Place(fd), nil
}

// Discard closes the descriptor of an unused place.
func (p Place) Discard() { p.l.k.Close(p.fd) }

// Peer returns the address of the other end of the connection, or nil if it is unknown.
func (p Place) Peer() net.Addr { return p.l.k.Peer(p.fd) }

// Listen makes a loop accept connections from l's socket, which must be that of a *net.TCPListener or a *net.UnixListener. The loop has a
// separate descriptor for it until stop is called. For any other l Listen returns an error that wraps errors.ErrUnsupported. onAccept is called
// for each connection; it calls Add on the Place and returns the FD. If onAccept returns nil, the connection is closed. onAccept must not block.
func (ls *Loops) Listen(l net.Listener, onAccept func(Place) *FD) (stop func(), err error) {
	fd, err := listenerFD(l)
	if err != nil {
		return nil, err
	}
	return ls.ListenOn(fd, onAccept)
}

// ListenOn is like Listen for a descriptor, which must be non-blocking and is then owned by the loop.
func (ls *Loops) ListenOn(fd int, onAccept func(Place) *FD) (stop func(), err error) {
	l := ls.loops[0]
	n, err := l.listen(fd, onAccept)
	if err != nil {
		l.k.Close(fd)
		return nil, err
	}
	return func() { l.closeListener(n) }, nil
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

// Stop makes each loop end once it has no descriptors left. No descriptor may be added afterwards.
func (ls *Loops) Stop() {
	for _, l := range ls.loops {
		l.stop()
	}
}

// Wait waits until the loops have ended after Stop.
func (ls *Loops) Wait() { ls.running.Wait() }

// leastLoaded returns the loop with the fewest descriptors. If there are several, it prefers preferred, which may be nil.
func (ls *Loops) leastLoaded(preferred *loop) *loop {
	best, least := preferred, int64(1)<<62
	if preferred != nil {
		least = preferred.count.Load()
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
