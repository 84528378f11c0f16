package websocket

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// handled returns an upgrade request for the Handler to answer.
func (a *arrival) handled() *responder {
	s := a.server
	var r http.Request
	if err := opening.Request(&r, a.text); err != nil {
		a.refuse(opening.Unparsable(err))
		return nil
	}
	ctx := context.WithValue(a.ctx, http.LocalAddrContextKey, a.nc.LocalAddr())
	w := &responder{server: s, yielded: a.yielded, nc: a.nc, header: http.Header{}, length: -1}
	if rest := a.buf[a.head.Len():]; len(rest) > 0 {
		w.early = bytes.Clone(rest)
	}
	w.ctx.Context, w.ctx.cancel = context.WithCancel(ctx)
	w.ctx.w = w
	w.r = r.WithContext(&w.ctx)
	w.r.RemoteAddr, w.r.TLS = remoteOf(a.nc).String(), tlsState(a.nc)
	if a.nc.SetDeadline(time.Time{}) != nil || !a.settle(w) {
		w.ctx.cancel()
		a.close()
		return nil
	}
	if d := s.HTTP.WriteTimeout; d > 0 {
		a.nc.SetWriteDeadline(time.Now().Add(d)) //nolint:errcheck // a connection that is gone shows so by itself
	}
	return w
}

// run has the Handler answer, and ends the connection unless that has taken it over.
func (w *responder) run() {
	defer w.over(http.StateClosed)
	defer w.ctx.cancel()
	if w.serve() && !w.hijacked {
		if w.finish() == nil && w.nc.SetDeadline(time.Now().Add(lingerTime)) == nil {
			linger(w.nc, make([]byte, 512))
		}
		w.nc.Close()
	}
}

// over notes that the connection is closed, or no longer the Server's.
func (w *responder) over(state http.ConnState) {
	w.server.mu.Lock()
	delete(w.server.pending, w)
	w.server.mu.Unlock()
	if f := w.server.connState; f != nil && !w.hijacked {
		t := trail{server: w.server}
		t.guard(func() { f(w.yielded, state) })
	}
}

// abort cuts the connection from outside.
func (w *responder) abort() { lower(w.yielded).Close() }

// serve calls the Handler. When a panic or runtime.Goexit ends that, the connection is cut, and serve returns false if it returns.
func (w *responder) serve() (returned bool) {
	defer func() {
		w.stopWatching()
		if returned {
			return
		}
		w.abort()
		if v := recover(); v != nil && !aborts(v) {
			t := trail{server: w.server}
			t.panicked(v)
		}
	}()
	w.server.handler.ServeHTTP(w, w.r)
	return true
}

// requestContext is the context of a request. It ends when the client goes away: the connection is not watched before the
// context's Done is called.
type requestContext struct {
	context.Context
	cancel context.CancelFunc
	w      *responder
}

// Done returns the channel that is closed when the client goes away, or when the handler has returned.
func (c *requestContext) Done() <-chan struct{} {
	c.w.watch()
	return c.Context.Done()
}

// watcher reads from a connection while a handler runs.
type watcher struct {
	mu      sync.Mutex
	running chan struct{} // closed when the goroutine has ended
	stopped bool          // the connection is not to be watched any more
}

// mostEarly bounds what a client may send behind its request while the handler runs: a client that sends more is noticed as
// gone only when the handler answers.
const mostEarly = 4 << 10

// watch has the context end when the client goes away.
func (w *responder) watch() {
	w.watcher.mu.Lock()
	defer w.watcher.mu.Unlock()
	if w.watcher.running != nil || w.watcher.stopped {
		return
	}
	running := make(chan struct{})
	w.watcher.running = running
	go func() { // ends when the client goes away or has sent too much, or with stopWatching
		defer close(running)
		room := make([]byte, 512)
		for len(w.early) < mostEarly {
			n, err := w.nc.Read(room)
			w.early = append(w.early, room[:n]...)
			if err != nil {
				if !transport.IsTimeout(err) {
					w.ctx.cancel()
				}
				return
			}
		}
	}()
}

// stopWatching ends the watch, so that the next to read from the connection misses nothing.
func (w *responder) stopWatching() {
	w.watcher.mu.Lock()
	defer w.watcher.mu.Unlock()
	w.watcher.stopped = true
	if w.watcher.running == nil {
		return
	}
	w.nc.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // a connection that is gone ends the read by itself
	<-w.watcher.running
	w.watcher.running = nil
	w.nc.SetReadDeadline(time.Time{}) //nolint:errcheck // likewise
}

// takeOver takes the connection away from the Server. It returns what the client has sent behind its request.
func (w *responder) takeOver() (net.Conn, []byte, error) {
	if w.hijacked {
		return nil, nil, http.ErrHijacked
	}
	w.stopWatching()
	if w.wrote { // some write the 101 by WriteHeader, and hijack then
		if err := w.flush(); err != nil {
			return nil, nil, err
		}
	}
	if err := w.nc.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	w.over(http.StateHijacked)
	w.hijacked = true
	return w.nc, w.early, nil
}

var _ io.ReaderFrom = (*responder)(nil)
