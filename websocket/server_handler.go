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

// newResponder returns the responder with which the Handler responds to an upgrade request.
func (a *arrival) newResponder() *responder {
	var r http.Request
	if err := opening.Request(&r, a.text); err != nil {
		a.refuse(opening.Unparsable(err))
		return nil
	}
	w := &responder{server: a.server, raw: a.raw, nc: a.nc, header: http.Header{}, length: -1}
	if rest := a.buf[a.head.Len():]; len(rest) > 0 {
		w.early = bytes.Clone(rest)
	}
	w.ctx.parent, w.ctx.w = a.ctx, w
	w.r = r.WithContext(&w.ctx)
	w.r.RemoteAddr, w.r.TLS = remoteOf(a.nc).String(), tlsState(a.nc)
	if d := a.server.HTTP.WriteTimeout; d > 0 {
		w.writeBy = time.Now().Add(d)
	}
	if !a.leavePending(w) {
		w.ctx.cancel()
		a.close()
		return nil
	}
	return w
}

// setDeadlines replaces the time limit for the request's head with those for the response. It is called before anything else is done with
// the connection. It is not called if the handler accepts a WebSocket, which takes the connection over.
func (w *responder) setDeadlines() {
	w.deadlinesOnce.Do(func() {
		w.nc.SetDeadline(time.Time{}) //nolint:errcheck // if the connection has ended, the next read or write fails
		if !w.writeBy.IsZero() {
			w.nc.SetWriteDeadline(w.writeBy) //nolint:errcheck // if the connection has ended, the next read or write fails
		}
	})
}

// run calls the Handler, and closes the connection unless the Handler has taken it over.
func (w *responder) run() {
	defer w.release(http.StateClosed)
	defer w.ctx.cancel()
	if w.serve() && !w.hijacked {
		if w.finish() == nil && w.nc.SetDeadline(time.Now().Add(lingerTime)) == nil {
			linger(w.nc, make([]byte, 512))
		}
		w.nc.Close()
	}
}

// release records that the connection is closed, or is no longer the Server's.
func (w *responder) release(state http.ConnState) {
	w.server.mu.Lock()
	delete(w.server.pending, w)
	w.server.mu.Unlock()
	if f := w.server.connState; f != nil && !w.hijacked {
		t := reporter{server: w.server}
		t.callHook(func() { f(w.raw, state) })
	}
}

// abort cuts the connection from another goroutine.
func (w *responder) abort() { belowTLS(w.raw).Close() }

// serve calls the Handler. If the Handler panics, the connection is cut and serve returns false. If the Handler calls
// runtime.Goexit, the connection is cut.
func (w *responder) serve() (returned bool) {
	defer func() {
		w.stopWatching()
		if returned {
			return
		}
		w.abort()
		if v := recover(); v != nil && !isAbort(v) {
			t := reporter{server: w.server}
			t.panicked(v)
		}
	}()
	w.server.handler.ServeHTTP(w, w.r)
	return true
}

// requestContext is the context of a request. It is done when the client disconnects. The connection is watched only once the
// context's Done has been called.
type requestContext struct {
	parent context.Context // the context of the connection
	w      *responder

	mu        sync.Mutex
	ctx       context.Context // nil until Done is called
	cancelCtx context.CancelFunc
	canceled  bool // cancel has been called
}

// Deadline implements [context.Context].
func (c *requestContext) Deadline() (time.Time, bool) { return c.parent.Deadline() }

// Done returns the channel that is closed when the client disconnects, or when the handler has returned.
func (c *requestContext) Done() <-chan struct{} {
	c.mu.Lock()
	if c.ctx == nil {
		c.ctx, c.cancelCtx = context.WithCancel(c.parent)
		if c.canceled {
			c.cancelCtx()
		}
	}
	c.mu.Unlock()
	c.w.watch()
	return c.ctx.Done()
}

// Err implements [context.Context].
func (c *requestContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ctx != nil:
		return c.ctx.Err()
	case c.parent.Err() == nil && c.canceled:
		return context.Canceled
	}
	return c.parent.Err()
}

// Value implements [context.Context]. A context derived from this one finds ctx here, and is canceled with ctx.
func (c *requestContext) Value(key any) any {
	if key == http.LocalAddrContextKey {
		return c.w.nc.LocalAddr()
	}
	c.mu.Lock()
	from := c.parent
	if c.ctx != nil {
		from = c.ctx
	}
	c.mu.Unlock()
	return from.Value(key)
}

// cancel ends the context.
func (c *requestContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.canceled = true
	if c.cancelCtx != nil {
		c.cancelCtx()
	}
}

// watcher reads from a connection while a handler runs.
type watcher struct {
	mu      sync.Mutex
	running chan struct{} // closed when the goroutine has ended
	stopped bool          // the connection must not be watched any more
}

// maxEarly bounds the bytes that a client may send after its request while the handler runs. If a client sends more, its
// disconnection is noticed only when the handler responds.
const maxEarly = 4 << 10

// watch makes the context end when the client disconnects.
func (w *responder) watch() {
	w.watcher.mu.Lock()
	defer w.watcher.mu.Unlock()
	if w.watcher.running != nil || w.watcher.stopped {
		return
	}
	w.setDeadlines()
	running := make(chan struct{})
	w.watcher.running = running
	go func() { // ends when the client disconnects or has sent too much, or with stopWatching
		defer close(running)
		buf := make([]byte, 512)
		for len(w.early) < maxEarly {
			n, err := w.nc.Read(buf)
			w.early = append(w.early, buf[:n]...)
			if err != nil {
				if !transport.IsTimeout(err) {
					w.ctx.cancel()
				}
				return
			}
		}
	}()
}

// stopWatching stops the watcher, so that the next reader of the connection misses no bytes.
func (w *responder) stopWatching() {
	w.watcher.mu.Lock()
	defer w.watcher.mu.Unlock()
	w.watcher.stopped = true
	if w.watcher.running == nil {
		return
	}
	w.nc.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // if the connection has ended, the read fails anyway
	<-w.watcher.running
	w.watcher.running = nil
	w.nc.SetReadDeadline(time.Time{}) //nolint:errcheck // if the connection has ended, the read fails anyway
}

// takeOver takes the connection away from the Server. It returns the bytes that the client has sent after its request. If free is
// set, takeOver removes the deadlines; otherwise the caller sets both of them.
func (w *responder) takeOver(free bool) (net.Conn, []byte, error) {
	if w.hijacked {
		return nil, nil, http.ErrHijacked
	}
	w.stopWatching()
	if w.wrote { // some handlers write the 101 response with WriteHeader, and then hijack the connection
		if err := w.flush(); err != nil {
			return nil, nil, err
		}
	}
	if free {
		if err := w.nc.SetDeadline(time.Time{}); err != nil {
			return nil, nil, err
		}
	}
	w.release(http.StateHijacked)
	w.hijacked = true
	return w.nc, w.early, nil
}

var _ io.ReaderFrom = (*responder)(nil)
