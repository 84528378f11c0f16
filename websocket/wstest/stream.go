package wstest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// half is one direction of a stream in memory: the bytes that one end has written and the other has not read yet. Its mutex is never held
// while waiting. Waits use a sync.Cond, which testing/synctest treats as durably blocked.
type half struct {
	mu      sync.Mutex
	cond    sync.Cond // signals a change of any of the following fields
	buf     bytes.Buffer
	size    int   // the maximum length of buf
	writing bool  // a Write is in progress, and others wait for it, so that their data is not mixed
	writer  state // state of the writing end
	reader  state // state of the reading end
	readBy  deadline
	writeBy deadline
}

// state is the state of one end of a half.
type state uint8

const (
	open     state = iota
	finished       // by CloseWrite: nothing more will be written
	closed         // by Close
	reset          // by Reset
)

// deadline limits the waits of one end.
type deadline struct {
	timer  *time.Timer
	passed bool
}

func newHalf(size int) *half {
	h := &half{size: size}
	h.cond.L = &h.mu
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.reader != open:
			return 0, net.ErrClosed
		case h.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.buf.Len() > 0:
			h.cond.Broadcast()
			return h.buf.Read(p)
		case h.writer == reset:
			return 0, errReset
		case h.writer != open:
			return 0, io.EOF
		}
		h.cond.Wait()
	}
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.writing && h.writeError() == nil {
		h.cond.Wait()
	}
	if h.writing {
		return 0, h.writeError()
	}
	h.writing = true
	defer func() {
		h.writing = false
		h.cond.Broadcast()
	}()
	for n := 0; ; {
		if err := h.writeError(); err != nil {
			return n, err
		}
		k := min(len(p)-n, h.size-h.buf.Len())
		h.buf.Write(p[n : n+k])
		if n += k; n == len(p) {
			return n, nil
		}
		h.cond.Broadcast()
		h.cond.Wait()
	}
}

// drain waits until the other end has read everything that was written.
func (h *half) drain() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.buf.Len() > 0 {
		if err := h.writeError(); err != nil {
			return err
		}
		h.cond.Wait()
	}
	return nil
}

// writeError returns the reason why no data can be written. The caller holds mu.
func (h *half) writeError() error {
	switch {
	case h.writer == finished:
		return errClosed
	case h.writer != open:
		return net.ErrClosed
	case h.writeBy.passed:
		return os.ErrDeadlineExceeded
	case h.reader == reset:
		return errReset
	case h.reader != open:
		return errClosed
	}
	return nil
}

// finish sets the state of the writing or the reading side. The state of a side never reverts.
func (h *half) finish(side *state, by *deadline, s state) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *side >= closed {
		return
	}
	*side = s
	if s >= closed && by.timer != nil {
		by.timer.Stop()
	}
	if h.reader != open {
		h.buf.Reset()
	}
	h.cond.Broadcast()
}

// limit sets the deadline of one end.
func (h *half) limit(side *state, by *deadline, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *side >= closed {
		return net.ErrClosed
	}
	if by.timer != nil {
		by.timer.Stop()
	}
	by.timer, by.passed = nil, false
	if t.IsZero() {
		return nil
	}
	left := time.Until(t)
	if left <= 0 {
		by.passed = true
		h.cond.Broadcast()
		return nil
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if by.timer == timer { // the deadline has not been changed since then
			by.passed = true
			h.cond.Broadcast()
		}
	})
	by.timer = timer
	return nil
}

// stream is one end of a connection in memory: a net.Conn that can be half-closed and reset.
type stream struct {
	in, out *half
	local   addr
	remote  addr
}

// addr is the address of an end, which is its name.
type addr string

func (a addr) Network() string { return "memory" }
func (a addr) String() string  { return string(a) }

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.in.read(p)
	return n, s.failed("read", err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.out.write(p)
	return n, s.failed("write", err)
}

// drain waits until the other end has read everything that was written to s.
func (s *stream) drain() error { return s.failed("write", s.out.drain()) }

// Close closes both directions. The other end reads the data written before, and then io.EOF.
func (s *stream) Close() error { return s.end(closed) }

// Reset resets the connection. The other end reads the data written before, and then syscall.ECONNRESET.
func (s *stream) Reset() error { return s.end(reset) }

// CloseWrite closes the sending direction. The other end reads the data written before, and then io.EOF.
func (s *stream) CloseWrite() error {
	s.out.finish(&s.out.writer, &s.out.writeBy, finished)
	return nil
}

func (s *stream) end(to state) error {
	s.out.finish(&s.out.writer, &s.out.writeBy, to)
	s.in.finish(&s.in.reader, &s.in.readBy, to)
	return nil
}

func (s *stream) LocalAddr() net.Addr  { return s.local }
func (s *stream) RemoteAddr() net.Addr { return s.remote }

func (s *stream) SetReadDeadline(t time.Time) error {
	return s.failed("set", s.in.limit(&s.in.reader, &s.in.readBy, t))
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	return s.failed("set", s.out.limit(&s.out.writer, &s.out.writeBy, t))
}

func (s *stream) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// failed wraps an error as package net does. io.EOF is returned unchanged.
func (s *stream) failed(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: s.local.Network(), Source: s.local, Addr: s.remote, Err: err}
}
