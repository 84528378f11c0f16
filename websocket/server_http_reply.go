package websocket

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// HTTP responds to some requests by itself, before the Handler gets them: those whose head is malformed, too large, or of another
// HTTP version. These responses are sent in the same form as all refusals, and are reported like them.

// readError is the reason why no more could be read from a connection that HTTP serves.
type readError struct{ err error }

// pending reports whether a request has begun to arrive, but was neither passed to the Handler nor answered.
func (h *httpConn) pending() bool { return h.requestBegun.Load() && !h.handled.Load() }

// timedOut reports whether the time limit for reading has passed.
func (h *httpConn) timedOut() bool {
	f := h.readErr.Load()
	return f != nil && transport.IsTimeout(f.err)
}

// headError returns the reason why the head of a request was never completed.
func (h *httpConn) headError() error {
	f := h.readErr.Load()
	switch {
	case f == nil:
		return errHead
	case f.err == io.EOF: //nolint:errorlint // connections return io.EOF unwrapped
		return io.ErrUnexpectedEOF
	}
	return f.err
}

// report reports a request that was refused before the Handler received it.
func (h *httpConn) report(e *HandshakeError) {
	if !errors.Is(e.Err, net.ErrClosed) && h.server.waiting.report(&h.waiter) {
		t := reporter{server: h.server}
		t.refused(h.ctx, h.remote.String(), nil, e)
	}
}

// Write sends p. While the Handler has no request, p is a response that HTTP generated itself.
func (r *replayed) Write(p []byte) (int, error) {
	h := r.conn
	if h.handled.Swap(true) {
		return r.Conn.Write(p)
	}
	f := opening.FromHTTP(p)
	switch {
	case f == nil:
		return r.Conn.Write(p)
	case h.timedOut(): // HTTP treats an incomplete head as a malformed one
		f = opening.Violated(requestTimeout)
	case h.readErr.Load() != nil: // the client has disconnected
		h.report(&HandshakeError{Stage: handshake.StageRequest, Err: h.headError()})
		return r.Conn.Write(p)
	}
	return len(p), r.refuse(f)
}

// Close closes the connection. A client that has begun a request and has not sent its complete head in time gets a response first
// (RFC 9110 §15.5.9), which HTTP does not send.
func (r *replayed) Close() error {
	if h := r.conn; h.pending() && h.timedOut() {
		h.handled.Store(true)
		r.refuse(opening.Violated(requestTimeout)) //nolint:errcheck // the connection is closed even if the response cannot be sent
	}
	return r.Conn.Close()
}

// refuse sends and reports a refusal. HTTP closes the connection afterwards.
func (r *replayed) refuse(f *opening.Refusal) error {
	b, body := f.Append(make([]byte, 0, 1024), &handshake.Opening{Major: 1, Minor: 1}, time.Now())
	r.conn.report(refusal(f, body))
	if err := r.Conn.SetDeadline(time.Now().Add(lingerTime)); err != nil {
		return err
	}
	if _, err := r.Conn.Write(b); err != nil {
		return err
	}
	linger(r.Conn, make([]byte, 1024))
	return nil
}
