package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// addressTimeout limits the time for connecting to an address if another address can be tried.
const addressTimeout = 2 * time.Second

// route is the way to the server, which additional connections also use.
type route struct {
	proxy *url.URL // nil if there is no proxy
	addr  string   // the address of the proxy, or of the server if there is no proxy
}

// link is a connection to the server or a proxy. The end of the context ends all waits, but does not close the connection, so that a
// closing handshake is still possible.
type link struct {
	net.Conn             // the stream for the handshake: raw, or TLS over raw
	raw         net.Conn // the socket
	seen        []byte   // the first bytes received in the TLS handshake
	stop        func() bool
	interrupted atomic.Bool
	reset       error // the reset that ended send
}

// send writes the request. The kernel reports a reset only once: if the write got it, a read gets io.EOF, and Read returns the reset.
func (l *link) send(b []byte) (int, error) {
	n, err := l.Write(b)
	if isReset(err) {
		l.reset = err
	}
	return n, err
}

// Read implements [net.Conn].
func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.reset != nil && isEOF(err) {
		err = l.reset
	}
	return n, err
}

// past is a deadline that has expired and ends every wait.
var past = time.Unix(1, 0)

// seenBytes is the number of bytes kept from the beginning of a TLS handshake.
const seenBytes = 64

// newLink returns a link that owns c.
func (t *dialer) newLink(c net.Conn) *link {
	l := &link{Conn: c, raw: c}
	l.stop = context.AfterFunc(t.run.ctx, func() {
		l.interrupted.Store(true)
		c.SetDeadline(past)
	})
	return l
}

// SetDeadline limits the following reads and writes. They fail immediately if the context is done.
func (l *link) SetDeadline(d time.Time) error { return l.limit(net.Conn.SetDeadline, d) }

// SetReadDeadline is like SetDeadline, for reads only.
func (l *link) SetReadDeadline(d time.Time) error { return l.limit(net.Conn.SetReadDeadline, d) }

// SetWriteDeadline is like SetDeadline, for writes only.
func (l *link) SetWriteDeadline(d time.Time) error { return l.limit(net.Conn.SetWriteDeadline, d) }

// limit calls set with d, and then with a deadline in the past if the context is done.
func (l *link) limit(set func(net.Conn, time.Time) error, d time.Time) error {
	err := set(l.Conn, d)
	if l.interrupted.Load() {
		return set(l.raw, past)
	}
	return err
}

// detachContext allows reads and writes after the end of the context, for the closing handshake.
func (l *link) detachContext() {
	l.stop()
	l.interrupted.Store(false)
}

// recordedConn keeps the first bytes that are read in l.seen.
type recordedConn struct {
	net.Conn
	l  *link
	mu sync.Mutex // held while l.seen grows
}

func (c *recordedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if room := seenBytes - len(c.l.seen); room > 0 {
		c.l.seen = append(c.l.seen, b[:min(n, room)]...)
	}
	return n, err
}

// awaitFirst waits a moment until seenBytes have arrived, so that the report does not depend on how the network splits them.
func (l *link) awaitFirst() {
	l.bound(time.Now().Add(arrivalTimeout))
	io.CopyN(io.Discard, l.Conn, int64(seenBytes-len(l.seen))) //nolint:errcheck // the received bytes are displayed in any case
}

// bound is SetDeadline without an error: the next read or write returns the error.
func (l *link) bound(d time.Time) { _ = l.SetDeadline(d) }

// end closes the connection immediately, without a TLS alert. It may be called several times.
func (l *link) end() {
	l.stop()
	l.raw.Close()
}

// connect opens the stream for the handshake. It records a failure, and then returns nil.
func (t *dialer) connect() *link {
	proxy, ok := t.findProxy()
	if !ok {
		return nil
	}
	host, port, stages := t.run.target.Name, t.run.target.Port, [2]Stage{StageDNS, StageTCP}
	if proxy != nil {
		host, port, stages = proxy.Hostname(), proxyPort(proxy), [2]Stage{StageProxy, StageProxy}
	}
	t.plan.proxy = proxy
	addrs := t.resolve(host, stages[0])
	if len(addrs) == 0 {
		return nil
	}
	l := t.dialFirst(addrs, port, stages[1])
	if l == nil {
		return nil
	}
	if proxy != nil && !t.tunnelStep(l) || t.run.target.Secure && !t.tlsStep(l) {
		l.end()
		return nil
	}
	return l
}

// connectTo is the beginning of the title of a step that connects to an address.
const connectTo = "connect to "

// dialFirst connects to the first address that accepts a connection. It records a failure, and then returns nil.
func (t *dialer) dialFirst(addrs []netip.Addr, port string, stage Stage) *link {
	errs := make([]error, 0, len(addrs))
	for i, a := range addrs {
		addr := net.JoinHostPort(a.String(), port)
		s := t.run.begin(stage, connectTo+addr)
		wait := t.run.o.StepTimeout
		if i < len(addrs)-1 {
			wait = min(wait, addressTimeout)
		}
		l, err := t.dial(addr, wait)
		if err != nil {
			errs = append(errs, err)
			s.OK = false
			t.run.end(s, dialReason(err))
			if t.run.ctx.Err() != nil {
				break
			}
			continue
		}
		if local := l.LocalAddr(); local != nil {
			s.Facts = []Fact{{"from", local.String()}}
		}
		t.plan.addr, t.run.r.Address = addr, addr
		t.run.end(s, "connected")
		t.warnAboutIPv6(addrs[:i], a, errs)
		return l
	}
	t.judgeDial(stage, addrs, errs, port)
	return nil
}

// dial opens a TCP connection to addr within the time d.
func (t *dialer) dial(addr string, d time.Duration) (*link, error) {
	ctx, cancel := t.run.bounded(d)
	defer cancel()
	c, err := t.run.o.Dial(ctx, "tcp", addr)
	if err == nil && c == nil {
		err = errors.New("the dialer returned neither a connection nor an error")
	}
	if err != nil {
		return nil, err
	}
	return t.newLink(c), nil
}

// warnAboutIPv6 warns of IPv6 addresses that failed if an IPv4 address works. It does not warn if this machine has no IPv6, or of loopback
// addresses.
func (t *dialer) warnAboutIPv6(failed []netip.Addr, worked netip.Addr, errs []error) {
	if !worked.Is4() {
		return
	}
	for i, a := range failed {
		if a.Is6() && !a.IsLoopback() && !errors.Is(errs[i], syscall.ENETUNREACH) && !errors.Is(errs[i], syscall.EADDRNOTAVAIL) &&
			!errors.Is(errs[i], syscall.EAFNOSUPPORT) {
			t.run.warn(StageTCP, FaultIPv6, "RFC 8305 §2", fmt.Sprintf("%s: %s; %s answers", a, dialReason(errs[i]), worked))
			return
		}
	}
}

// judgeDial records why no connection could be opened. If the addresses failed for different reasons, the most certain reason is used.
func (t *dialer) judgeDial(stage Stage, addrs []netip.Addr, errs []error, port string) {
	if t.run.ctx.Err() != nil && t.run.stopped(stage) {
		return
	}
	fault, why := FaultUnreachable, errs[len(errs)-1]
	for _, err := range errs {
		if errors.Is(err, syscall.ECONNREFUSED) {
			fault, why = FaultRefused, err
			break
		}
		switch {
		case isReset(err) || errors.Is(err, syscall.ECONNABORTED):
			fault, why = FaultReset, err
		case isTimeout(err) && fault != FaultReset:
			fault, why = FaultConnectTimeout, err
		}
	}
	if stage == StageProxy {
		fault = FaultProxyUnreachable
	}
	where := "port " + port + " of " + addrs[0].String()
	if len(addrs) > 1 {
		where = fmt.Sprintf("port %s of %d addresses", port, len(addrs))
	}
	detail := where + ": " + dialReason(why)
	if fault == FaultRefused && len(addrs) == 1 && addrs[0].IsLoopback() {
		detail += t.probeOtherLoopback(addrs[0], port)
	}
	t.run.fail(stage, fault, "", detail)
}

// probeOtherLoopback checks whether a server listens on the loopback address of the other IP version. It returns the end of the detail, ""
// if there is no server.
func (t *dialer) probeOtherLoopback(refused netip.Addr, port string) string {
	other := netip.IPv6Loopback()
	if refused.Is6() {
		other = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if t.run.o.NoProbes {
		return ""
	}
	addr := net.JoinHostPort(other.String(), port)
	s := t.run.begin(StageProbe, "is a server listening on "+addr+"?")
	l, err := t.dial(addr, probeTimeout)
	if err != nil {
		t.run.end(s, "no")
		return ""
	}
	l.end()
	t.run.end(s, "yes")
	return listensOn + addr
}

const listensOn = "; a server listens on "

// dialReason describes why a connection could not be opened.
func dialReason(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused: nothing is listening there"
	case isTimeout(err):
		return "no response in time"
	case isReset(err), errors.Is(err, syscall.ECONNABORTED):
		return "the connection was reset immediately after it was opened"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return noRoute
	}
	return shortError(err)
}

const noRoute = "no route to the host"

// isTimeout reports whether err is a timeout.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// isReset reports whether err means that the peer has reset the connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// isEOF reports whether err means that the peer has closed the connection, possibly in the middle of a TLS record.
func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// shortError returns the part of an error of package net that describes the failure, without addresses.
func shortError(err error) string {
	var sys syscall.Errno
	switch {
	case errors.As(err, &sys):
		return sys.Error()
	case isTimeout(err):
		return "no response in time"
	case isEOF(err):
		return "the other end closed the connection"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	return strings.TrimPrefix(err.Error(), "tls: ")
}
