//go:build linux

package peers

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/gobwas/ws"
)

// rawLoop is an epoll server on bare descriptors, with one thread, one read buffer, and a few bytes per connection. It is the lower
// limit for a WebSocket server in Go.
type rawLoop struct {
	c        *Config
	epoll    int
	listener int
	conns    []*rawConn // indexed by descriptor
	events   [512]syscall.EpollEvent
	buf      [128 << 10]byte
}

type rawConn struct {
	fd       int
	upgraded bool
	waits    bool   // whether epoll waits for the socket to become writable
	in       []byte // the beginning of an incomplete frame
	message  []byte // the frames of a message before the last one
	out      []byte // bytes that the kernel has not accepted yet
}

func rawServe(c *Config, ln net.Listener) error {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return errors.ErrUnsupported
	}
	f, err := tcp.File()
	if err != nil {
		return err
	}
	defer f.Close()
	l := &rawLoop{c: c, listener: int(f.Fd())}
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	defer syscall.Close(l.epoll)
	if err := errors.Join(syscall.SetNonblock(l.listener, true), l.poll(syscall.EPOLL_CTL_ADD, l.listener, false)); err != nil {
		return err
	}
	for {
		n, err := syscall.EpollWait(l.epoll, l.events[:], -1)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for _, ev := range l.events[:n] {
			if int(ev.Fd) == l.listener {
				l.accept()
			} else if c := l.conns[ev.Fd]; c != nil && !l.handle(c, ev.Events) {
				l.drop(c)
			}
		}
	}
}

func (l *rawLoop) poll(op, fd int, write bool) error {
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if write {
		ev.Events |= syscall.EPOLLOUT
	}
	return syscall.EpollCtl(l.epoll, op, fd, &ev)
}

func (l *rawLoop) accept() {
	for {
		fd, _, err := syscall.Accept4(l.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return // accept is called again when the next connection arrives
		}
		// Package net sets this option for every connection, too. The next call reports an error.
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		_ = l.poll(syscall.EPOLL_CTL_ADD, fd, false)
		for fd >= len(l.conns) {
			l.conns = append(l.conns, make([]*rawConn, 1024)...)
		}
		l.conns[fd] = &rawConn{fd: fd}
	}
}

func (l *rawLoop) drop(c *rawConn) {
	l.conns[c.fd] = nil
	syscall.Close(c.fd)
}

// handle reports whether c stays open.
func (l *rawLoop) handle(c *rawConn, events uint32) bool {
	if events&syscall.EPOLLOUT != 0 && !l.write(c, nil) {
		return false
	}
	if events&^syscall.EPOLLOUT == 0 {
		return true
	}
	if !c.upgraded {
		_, err := ws.Upgrader{}.Upgrade(socket(c.fd))
		c.upgraded = true
		return err == nil
	}
	n, err := rawRead(c.fd, l.buf[:])
	if err == syscall.EAGAIN {
		return true
	}
	if err != nil || n == 0 {
		return false
	}
	return l.frames(c, l.buf[:n])
}

// frames handles the frames in b. It unmasks the payloads in place, and overwrites b with the replies.
func (l *rawLoop) frames(c *rawConn, b []byte) bool {
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		b = c.in
	}
	out := b[:0] // a reply is shorter than its request, which has a mask
	for {
		h, head, ok := header(b)
		if !ok || h.Length > int64(len(b)-head) {
			break
		}
		end := head + int(h.Length)
		payload := b[head:end]
		b = b[end:]
		if h.OpCode.IsControl() {
			return false
		}
		ws.Cipher(payload, h.Mask, 0)
		switch {
		case !h.Fin:
			c.message = append(c.message, payload...)
			continue
		case len(c.message) > 0:
			payload = append(c.message, payload...)
			c.message = nil
		}
		if l.c.Broadcast {
			l.broadcast(payload)
			continue
		}
		if h.OpCode == ws.OpContinuation { // the reply contains the whole message, and does not fit in place of the last frame
			if !l.write(c, answer(nil, payload)) {
				return false
			}
			continue
		}
		out = answer(out, payload)
	}
	if len(out) > 0 && !l.write(c, out) {
		return false
	}
	c.keep(b)
	return true
}

// keep stores the beginning of a frame, with room for all of it.
func (c *rawConn) keep(rest []byte) {
	if len(rest) == 0 {
		c.in = nil
		return
	}
	if len(c.in) > 0 && &rest[0] == &c.in[0] {
		return
	}
	size := len(rest)
	if h, head, ok := header(rest); ok {
		size = head + int(min(h.Length, maxMessage))
	}
	c.in = append(make([]byte, 0, size), rest...)
}

// header parses the frame header of a client.
func header(b []byte) (h ws.Header, n int, ok bool) {
	if len(b) < 6 {
		return h, 0, false
	}
	h.Fin, h.OpCode, n = b[0]&0x80 != 0, ws.OpCode(b[0]&0xf), 2
	switch size := b[1] & 0x7f; {
	case size < 126:
		h.Length = int64(size)
	case size == 126 && len(b) >= 8:
		h.Length, n = int64(binary.BigEndian.Uint16(b[2:])), 4
	case size == 127 && len(b) >= 14:
		h.Length, n = int64(binary.BigEndian.Uint64(b[2:])), 10
	default:
		return h, 0, false
	}
	copy(h.Mask[:], b[n:])
	return h, n + 4, true
}

// answer appends a frame with payload to dst. Both may be parts of one buffer, with dst before payload.
func answer(dst, payload []byte) []byte {
	dst = append(dst, 0x82)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

// write writes p after the queued data, and reports whether c stays open.
func (l *rawLoop) write(c *rawConn, p []byte) bool {
	if len(c.out) > 0 {
		c.out = append(c.out, p...)
		p = c.out
	}
	for len(p) > 0 {
		n, err := rawWrite(c.fd, p)
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			return false
		}
		p = p[n:]
	}
	switch {
	case len(p) == 0:
		c.out = nil
	case len(c.out) > 0:
		c.out = p
	default:
		c.out = append([]byte(nil), p...)
	}
	if waits := len(p) > 0; waits != c.waits {
		c.waits = waits
		return l.poll(syscall.EPOLL_CTL_MOD, c.fd, waits) == nil
	}
	return true
}

func (l *rawLoop) broadcast(payload []byte) {
	for range times(payload) {
		f := ws.MustCompileFrame(ws.NewBinaryFrame(payload))
		for _, c := range l.conns {
			if c != nil && c.upgraded && !l.write(c, f) {
				l.drop(c)
			}
		}
	}
}

// socket is a nonblocking descriptor. A request that arrives in pieces fails: the load sends it in one piece.
type socket int

func (s socket) Read(p []byte) (int, error) {
	n, err := rawRead(int(s), p)
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, err
}

func (s socket) Write(p []byte) (int, error) { return rawWrite(int(s), p) }
