package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// stallTimeout is how long a client may accept nothing of an available response, or send nothing of a request that is being read.
// There are no other limits: a download or an event stream may last indefinitely.
const stallTimeout = 30 * time.Second

// clientSide is the client's side of an ordinary HTTP request. It has a deadline for each step, in place of the deadlines of the
// http.Server, which are for whole requests and responses.
type clientSide struct {
	http.ResponseWriter
	control *http.ResponseController

	mu    sync.Mutex
	ended bool // the server owns the connection again
}

// newClientSide removes the deadlines of a request and its response. end sets deadlines again.
func newClientSide(w http.ResponseWriter) *clientSide {
	c := &clientSide{ResponseWriter: w, control: http.NewResponseController(w)}
	_ = c.control.EnableFullDuplex() // otherwise net/http discards a part of the body when the response begins before the body has ended
	c.setDeadline(c.control.SetReadDeadline, 0)
	c.setDeadline(c.control.SetWriteDeadline, 0)
	return c
}

// setDeadline limits the next step to d; 0 means no limit.
func (c *clientSide) setDeadline(set func(time.Time) error, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	at := time.Time{}
	if d > 0 {
		at = time.Now().Add(d)
	}
	_ = set(at) // a writer without deadlines has none to remove
}

// Write implements [http.ResponseWriter].
func (c *clientSide) Write(p []byte) (int, error) {
	c.setDeadline(c.control.SetWriteDeadline, stallTimeout)
	defer c.setDeadline(c.control.SetWriteDeadline, 0)
	return c.ResponseWriter.Write(p)
}

// FlushError implements the interface that [http.ResponseController] uses.
func (c *clientSide) FlushError() error {
	c.setDeadline(c.control.SetWriteDeadline, stallTimeout)
	defer c.setDeadline(c.control.SetWriteDeadline, 0)
	return c.control.Flush()
}

// Unwrap implements the interface that [http.ResponseController] uses.
func (c *clientSide) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// end limits the time for the rest of the request and of the response.
func (c *clientSide) end() {
	c.setDeadline(c.control.SetReadDeadline, stallTimeout)
	c.setDeadline(c.control.SetWriteDeadline, stallTimeout)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

// clientBody is the body of a client's request. It remembers whether the client failed to send it, which is not the server's fault.
type clientBody struct {
	io.ReadCloser
	side *clientSide
	last func() // called at the end of the body, when the trailer is known
	bad  atomic.Bool
}

func (b *clientBody) Read(p []byte) (int, error) {
	b.side.setDeadline(b.side.control.SetReadDeadline, stallTimeout)
	defer b.side.setDeadline(b.side.control.SetReadDeadline, 0)
	n, err := b.ReadCloser.Read(p)
	switch err { //nolint:errorlint // a body returns these errors unwrapped
	case nil, http.ErrBodyReadAfterClose:
	case io.EOF:
		b.last()
	default:
		b.bad.Store(true)
	}
	return n, err
}

var errBody = errors.New("the body of the request cannot be read")

// failed returns a general error if the body has failed, or nil.
func (b *clientBody) failed() error {
	if b.bad.Load() {
		return errBody
	}
	return nil
}
