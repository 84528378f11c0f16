//go:build linux

package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// tlsStream opens a TLS connection and performs the WebSocket handshake. The buffers of crypto/tls count as memory of the client.
func tlsStream(c *Config, req []byte) (*tls.Conn, error) {
	plain, err := net.DialTimeout("tcp4", c.Addr, patience*time.Second)
	if err != nil {
		return nil, err
	}
	// Verification is not necessary: the server is on the loopback interface, and creates its certificate when it starts.
	t := tls.Client(plain, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err := shakeTLS(c, t, req); err != nil {
		plain.Close()
		return nil, fmt.Errorf("load: handshake over TLS: %w", err)
	}
	return t, nil
}

func shakeTLS(c *Config, t *tls.Conn, req []byte) error {
	if err := t.SetDeadline(time.Now().Add(patience * time.Second)); err != nil {
		return err
	}
	if c.Raw {
		return errors.Join(t.Handshake(), t.SetDeadline(time.Time{}))
	}
	if _, err := t.Write(req); err != nil {
		return err
	}
	buf := make([]byte, 0, 2<<10)
	for {
		n, err := t.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return err
		}
		buf = buf[:len(buf)+n]
		end, err := answered(c, buf)
		if err != nil {
			return err
		}
		if end > 0 {
			return t.SetDeadline(time.Time{})
		}
	}
}

// crowd is a number of goroutines that share a meter.
type crowd struct {
	mu    sync.Mutex // guards meter
	meter *meter
	ops   atomic.Int64
	stop  chan struct{}
	err   error
}

// done counts n operations that took d, and reports whether to continue.
func (w *crowd) done(n int, d time.Duration) bool {
	ops := w.ops.Add(int64(n))
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.stop:
		return false
	default:
	}
	w.meter.times.add(d)
	if w.meter.over(time.Now(), ops) {
		close(w.stop)
		return false
	}
	return true
}

func (w *crowd) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.stop: // the load has ended, which causes errors on the other connections
	default:
		w.err = err
		close(w.stop)
	}
}

// run calls f in n goroutines until the time is over, and measures.
func (w *crowd) run(n int, f func(i int) error) (Result, error) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := f(i); err != nil {
				w.fail(err)
			}
		})
	}
	<-w.stop
	w.mu.Lock()
	r, err := w.meter.result(w.ops.Load()), w.err
	w.mu.Unlock()
	all.Wait()
	return r, err
}

func newCrowd(c *Config) *crowd { return &crowd{meter: newMeter(c), stop: make(chan struct{})} }

// upgradeTLS runs ModeUpgrade over TLS.
func upgradeTLS(c *Config) (Result, error) {
	req, w := request(c), newCrowd(c)
	return w.run(c.Conns, func(int) error {
		for {
			begun := time.Now()
			t, err := tlsStream(c, req)
			if err != nil {
				return err
			}
			if tcp, ok := t.NetConn().(*net.TCPConn); ok {
				if err := tcp.SetLinger(0); err != nil {
					return err
				}
			}
			t.NetConn().Close()
			if !w.done(1, time.Since(begun)) {
				return nil
			}
		}
	})
}

// openTLS opens all connections.
func openTLS(c *Config, s *script) ([]*tls.Conn, []*conn, error) {
	var (
		req     = request(c)
		streams []*tls.Conn
		conns   []*conn
	)
	for range c.Conns {
		t, err := tlsStream(c, req)
		if err != nil {
			closeStreams(streams)
			return nil, nil, err
		}
		streams, conns = append(streams, t), append(conns, &conn{c: c, s: s})
	}
	return streams, conns, nil
}

func closeStreams(streams []*tls.Conn) {
	for _, t := range streams {
		t.NetConn().Close()
	}
}

// round writes a step and reads the responses.
func round(t *tls.Conn, cn *conn, buf []byte) (int, error) {
	if _, err := t.Write(cn.next()); err != nil {
		return 0, err
	}
	all := 0
	for !cn.done() {
		n, err := t.Read(buf)
		if err != nil {
			return all, err
		}
		done, err := cn.feed(buf[:n])
		if err != nil {
			return all, err
		}
		all += done
	}
	return all, nil
}

// echoTLS runs ModeEcho over TLS.
func echoTLS(c *Config, s *script) (Result, error) {
	streams, conns, err := openTLS(c, s)
	if err != nil {
		return Result{}, err
	}
	defer closeStreams(streams)
	w := newCrowd(c)
	r, err := w.run(c.Conns, func(i int) error {
		buf := make([]byte, 32<<10)
		for {
			begun := time.Now()
			n, err := round(streams[i], conns[i], buf)
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
				return nil
			}
			if err != nil {
				return err
			}
			if !w.done(n, time.Since(begun)) {
				return nil
			}
		}
	})
	r.Answer = meanAnswer(conns)
	return r, err
}

func idleTLS(c *Config, s *script, ready func()) (Result, error) {
	streams, conns, err := openTLS(c, s)
	if err != nil {
		return Result{}, err
	}
	defer closeStreams(streams)
	buf := make([]byte, 32<<10)
	for i, t := range streams {
		if _, err := round(t, conns[i], buf); err != nil {
			return Result{}, err
		}
	}
	ready()
	return Result{Ops: int64(len(conns)), Answer: meanAnswer(conns)}, nil
}
