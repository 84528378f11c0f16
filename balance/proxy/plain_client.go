package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// stall is how long a client may take nothing of a response that is there, or send nothing of a request that is being read. Other bounds
// there are none: a download, and a stream of events, last as long as they want.
const stall = 30 * time.Second

// clientSide is the client's side of a request that is not a handshake. In place of the deadlines of the http.Server, which are
// for whole requests and responses, each step has one.
type clientSide struct {
	http.ResponseWriter
	control *http.ResponseController

	mu   sync.Mutex
	over bool // the connection is the server's again
}

// newClientSide takes the deadlines off a request and its response. They are the server's again with end.
func newClientSide(w http.ResponseWriter) *clientSide {
	c := &clientSide{ResponseWriter: w, control: http.NewResponseController(w)}
	_ = c.control.EnableFullDuplex() // or net/http discards a part of the body when the response begins before its end
	c.within(c.control.SetReadDeadline, 0)
	c.within(c.control.SetWriteDeadline, 0)
	return c
}

// within has the next step take d at most, 0 for no limit.
func (c *clientSide) within(set func(time.Time) error, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	at := time.Time{}
	if d > 0 {
		at = time.Now().Add(d)
	}
	_ = set(at) // a writer that has no deadlines has none to take off
}

// Write implements [http.ResponseWriter].
func (c *clientSide) Write(p []byte) (int, error) {
	c.within(c.control.SetWriteDeadline, stall)
	defer c.within(c.control.SetWriteDeadline, 0)
	return c.ResponseWriter.Write(p)
}

// FlushError is for [http.ResponseController].
func (c *clientSide) FlushError() error {
	c.within(c.control.SetWriteDeadline, stall)
	defer c.within(c.control.SetWriteDeadline, 0)
	return c.control.Flush()
}

// Unwrap is for [http.ResponseController].
func (c *clientSide) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// end bounds what the server has still to write, and what is left of the request.
func (c *clientSide) end() {
	c.within(c.control.SetReadDeadline, stall)
	c.within(c.control.SetWriteDeadline, stall)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// clientBody is the body of a client's request. It notes that the client has failed to send it, which is not the server's fault.
type clientBody struct {
	io.ReadCloser
	side *clientSide
	last func() // called at the end of the body, when the trailer is known
	bad  atomic.Bool
}

func (b *clientBody) Read(p []byte) (int, error) {
	b.side.within(b.side.control.SetReadDeadline, stall)
	defer b.side.within(b.side.control.SetReadDeadline, 0)
	n, err := b.ReadCloser.Read(p)
	switch err { //nolint:errorlint // a body returns them bare
	case nil, http.ErrBodyReadAfterClose:
	case io.EOF:
		b.last()
	default:
		b.bad.Store(true)
	}
	return n, err
}

var errBody = errors.New("its body cannot be read")

// failed returns what is wrong with the body, without its own text, or nil.
func (b *clientBody) failed() error {
	if b.bad.Load() {
		return errBody
	}
	return nil
}
