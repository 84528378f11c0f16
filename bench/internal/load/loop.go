//go:build linux

package load

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// eventLoop drives all connections from one thread.
type eventLoop struct {
	c     *Config
	epoll int
	conns []*conn
	meter *meter
	ops   int64
	due   int // deliveries of the current broadcast that have not arrived yet

	free  []*conn // ModeEcho: connections without a message in flight, the one that has waited longest first
	began time.Time
	begun int64 // number of messages sent, counted if the load has a rate

	entering bool // whether no broadcast has reached all connections yet
	events   [512]syscall.EpollEvent
	buf      [256 << 10]byte
}

// loop runs ModeEcho and ModeBroadcast over plain sockets.
func loop(c *Config, s *script) (Result, error) {
	conns, err := openAll(c, s)
	if err != nil {
		return Result{}, err
	}
	defer closeAll(conns)
	l := &eventLoop{c: c, conns: conns}
	if l.epoll, err = newEpoll(conns); err != nil {
		return Result{}, err
	}
	defer syscall.Close(l.epoll)
	l.meter = newMeter(c)
	if err := l.begin(); err != nil {
		return Result{}, err
	}
	for {
		if err := l.pace(); err != nil {
			return Result{}, err
		}
		n, err := syscall.EpollWait(l.epoll, l.events[:], l.patience())
		if err == syscall.EINTR {
			continue
		}
		if err == nil && n == 0 && l.entering {
			if err := l.again(); err != nil {
				return Result{}, err
			}
			continue
		}
		if err != nil || n == 0 && l.patience() > 0 {
			return Result{}, fmt.Errorf("load: no answer arrived: %w", errors.Join(err, errSilent))
		}
		for _, ev := range l.events[:n] {
			if err := l.handle(conns[ev.Fd], ev.Events); err != nil {
				return Result{}, err
			}
		}
		if l.meter.over(time.Now(), l.ops) {
			r := l.meter.result(l.ops)
			r.Answer = meanAnswer(conns)
			return r, nil
		}
	}
}

var errSilent = errors.New("the server is silent")

func meanAnswer(conns []*conn) float64 {
	var bytes, n int64
	for _, c := range conns {
		bytes, n = bytes+c.payload, n+c.total
	}
	return float64(bytes) / float64(max(n, 1))
}

// newEpoll makes an epoll instance for all conns, identified by their index.
func newEpoll(conns []*conn) (int, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return -1, err
	}
	for i, c := range conns {
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}
		err := errors.Join(syscall.SetNonblock(c.fd, true), syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, c.fd, &ev))
		if err != nil {
			syscall.Close(epoll)
			return -1, err
		}
	}
	return epoll, nil
}

// begin sends the first messages.
func (l *eventLoop) begin() error {
	if l.c.Mode == ModeBroadcast {
		l.entering = true
		return l.trigger()
	}
	l.free = append(l.free, l.conns...)
	l.began = time.Now()
	if l.c.Rate > 0 {
		return nil
	}
	for range cmp.Or(min(l.c.Busy, len(l.conns)), len(l.conns)) {
		if err := l.sendFree(); err != nil {
			return err
		}
	}
	return nil
}

// sendFree starts the next step of the connection that has waited longest.
func (l *eventLoop) sendFree() error {
	c := l.free[0]
	l.free = l.free[1:]
	return l.send(c)
}

// pace sends the messages that are due according to the rate. If no connection is free, a message's response time is measured from
// the time when it was due.
func (l *eventLoop) pace() error {
	if l.c.Rate == 0 {
		return nil
	}
	due := int64(time.Since(l.began).Seconds() * float64(l.c.Rate))
	for l.begun < due && len(l.free) > 0 {
		c := l.free[0]
		if err := l.sendFree(); err != nil {
			return err
		}
		c.sent = l.began.Add(time.Duration(l.begun) * time.Second / time.Duration(l.c.Rate))
		l.begun++
	}
	return nil
}

// patience returns how many milliseconds to wait for the next event.
func (l *eventLoop) patience() int {
	switch {
	case l.entering:
		return 1000
	case l.c.Rate > 0 && len(l.free) > 0:
		return 0 // the next message is due sooner than epoll can wait for
	}
	return patience * 1000
}

// again repeats the first broadcast. A server may register a connection only after its 101 response has arrived here, so that the
// first broadcast misses the last connections. After a second without a delivery, all of them are registered.
func (l *eventLoop) again() error {
	l.entering = false
	return l.trigger()
}

// trigger makes the server send to all connections.
func (l *eventLoop) trigger() error {
	l.due = l.c.Conns * l.c.Flight
	return l.send(l.conns[0])
}

// send starts the next step of c.
func (l *eventLoop) send(c *conn) error {
	c.out = c.next()
	c.sent = time.Now()
	return l.flush(c)
}

// flush writes as much as possible, and waits for the socket to become writable again if any data is left.
func (l *eventLoop) flush(c *conn) error {
	for len(c.out) > 0 {
		n, err := writeSocket(c.fd, c.out)
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			return fmt.Errorf("load: write: %w", err)
		}
		c.out = c.out[n:]
	}
	if wait := len(c.out) > 0; wait != c.polW {
		c.polW = wait
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.index)}
		if wait {
			ev.Events |= syscall.EPOLLOUT
		}
		return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_MOD, c.fd, &ev)
	}
	return nil
}

func (l *eventLoop) handle(c *conn, events uint32) error {
	if events&syscall.EPOLLOUT != 0 {
		if err := l.flush(c); err != nil {
			return err
		}
	}
	if events&^syscall.EPOLLOUT == 0 {
		return nil
	}
	n, err := readSocket(c.fd, l.buf[:])
	if err == syscall.EAGAIN {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load: read: %w", err)
	}
	done, err := c.feed(l.buf[:n])
	if err != nil {
		return err
	}
	l.ops += int64(done)
	if l.c.Mode == ModeBroadcast {
		return l.delivered(done)
	}
	if done == 0 || !c.done() {
		return nil
	}
	l.meter.times.add(time.Since(c.sent))
	l.free = append(l.free, c)
	if l.c.Rate > 0 {
		return nil
	}
	return l.sendFree()
}

func (l *eventLoop) delivered(n int) error {
	if l.due -= n; l.due > 0 {
		return nil
	}
	if l.due < 0 {
		return errors.New("load: more deliveries than expected")
	}
	l.entering = false
	l.meter.times.add(time.Since(l.conns[0].sent))
	return l.trigger()
}

// still runs ModeStill over plain sockets.
func still(c *Config, s *script) (Result, error) {
	conns, err := openAll(c, s)
	if err != nil {
		return Result{}, err
	}
	defer closeAll(conns)
	for _, cn := range conns {
		if err := cn.exchange(); err != nil {
			return Result{}, err
		}
	}
	m := newMeter(c)
	<-time.After(c.Warm) // waits instead of sending, because this mode measures an idle period
	m.over(time.Now(), 0)
	<-time.After(c.For)
	return m.result(max(1, int64(c.For/time.Second))), nil
}

// idle runs ModeIdle over plain sockets and over TLS.
func idle(c *Config, s *script, ready func()) (Result, error) {
	if c.TLS {
		return idleTLS(c, s, ready)
	}
	conns, err := openAll(c, s)
	if err != nil {
		return Result{}, err
	}
	defer closeAll(conns)
	for range c.Messages { // one connection after another, because they share a server
		for _, cn := range conns {
			if err := cn.exchange(); err != nil {
				return Result{}, err
			}
		}
	}
	ready()
	return Result{Ops: int64(len(conns) * c.Messages), Answer: meanAnswer(conns)}, nil
}

// exchange sends the next messages on a blocking socket, and waits for their echoes.
func (c *conn) exchange() error {
	if _, err := writeSocket(c.fd, c.next()); err != nil {
		return err
	}
	var buf [64 << 10]byte
	for !c.done() {
		n, err := readSocket(c.fd, buf[:])
		if err != nil {
			return fmt.Errorf("load: no echo arrived: %w", err)
		}
		if _, err := c.feed(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}
