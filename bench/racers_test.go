package bench_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/handfast/handfast/websocket"
)

// A racer is a library in the benchmarks. acceptor and dialer create the data that connections may share, and return functions that open
// one connection each.
type racer struct {
	name     string
	acceptor func() func(w http.ResponseWriter, r *http.Request) (runner, error)
	dialer   func(via dialFunc) func(ctx context.Context) (runner, error)
}

// dialFunc opens the stream for a client.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// address is the URL that clients dial; dialFunc determines the actual address.
const address = "ws://127.0.0.1/"

// A runner is one connection, used in the cheapest way that the library documents. Messages are binary.
type runner interface {
	readN(n int) error // reads n messages
	echoN(n int) error // reads n messages and writes each back
	write(p []byte) error
	readBack() ([]byte, error) // reads one message; valid until the next call
	close()
}

var racers = []racer{
	{"handfast", ourAcceptor, ourDialer},
	{"gorilla", gorillaAcceptor, gorillaDialer},
	{"coder", coderAcceptor, coderDialer},
	{"gws", gwsAcceptor, nil}, // gws's client delivers messages only to a callback
	{"gobwas", gobwasAcceptor, gobwasDialer},
}

// ourRunner passes a context that can be canceled to every call, as a server does.
type ourRunner struct {
	c      *websocket.Conn
	ctx    context.Context // the field has the role of the context of a server's request
	cancel context.CancelFunc
	buf    []byte
}

func newOurRunner(c *websocket.Conn) runner {
	r := &ourRunner{c: c}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

func ourAcceptor() func(http.ResponseWriter, *http.Request) (runner, error) {
	return func(w http.ResponseWriter, r *http.Request) (runner, error) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return nil, err
		}
		return newOurRunner(c), nil
	}
}

func ourDialer(via dialFunc) func(context.Context) (runner, error) {
	options := &websocket.DialOptions{DialContext: via}
	return func(ctx context.Context) (runner, error) {
		c, err := websocket.Dial(ctx, address, options)
		if err != nil {
			return nil, err
		}
		return newOurRunner(c), nil
	}
}

func (r *ourRunner) readBack() ([]byte, error) {
	err := r.c.View(r.ctx, func(m websocket.Message) error {
		r.buf = append(r.buf[:0], m.Data...)
		return nil
	})
	return r.buf, err
}

func (r *ourRunner) write(p []byte) error {
	return r.c.Write(r.ctx, websocket.Message{Type: websocket.Binary, Data: p})
}

func (r *ourRunner) readN(n int) error { return readN(r, n) }
func (r *ourRunner) echoN(n int) error { return echoN(r, n) }
func (r *ourRunner) close()            { r.cancel(); r.c.CloseNow() }

// readN and echoN are loops for libraries whose callers read.
func readN(r runner, n int) error {
	for range n {
		if _, err := r.readBack(); err != nil {
			return err
		}
	}
	return nil
}

func echoN(r runner, n int) error {
	for range n {
		p, err := r.readBack()
		if err != nil {
			return err
		}
		if err := r.write(p); err != nil {
			return err
		}
	}
	return nil
}

// appendAll reads r to its end into buf, which grows as needed and is reused.
func appendAll(buf []byte, r io.Reader) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// gorillaRunner reads into one buffer, with NextReader, because ReadMessage allocates.
type gorillaRunner struct {
	c   *gorilla.Conn
	buf []byte
}

func gorillaAcceptor() func(http.ResponseWriter, *http.Request) (runner, error) {
	u := &gorilla.Upgrader{}
	return func(w http.ResponseWriter, r *http.Request) (runner, error) {
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return nil, err
		}
		return &gorillaRunner{c: c}, nil
	}
}

func gorillaDialer(via dialFunc) func(context.Context) (runner, error) {
	d := &gorilla.Dialer{NetDialContext: via}
	return func(ctx context.Context) (runner, error) {
		c, resp, err := d.DialContext(ctx, address, nil)
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		return &gorillaRunner{c: c}, nil
	}
}

func (r *gorillaRunner) readBack() ([]byte, error) {
	_, m, err := r.c.NextReader()
	if err != nil {
		return nil, err
	}
	r.buf, err = appendAll(r.buf[:0], m)
	return r.buf, err
}

func (r *gorillaRunner) write(p []byte) error { return r.c.WriteMessage(gorilla.BinaryMessage, p) }
func (r *gorillaRunner) readN(n int) error    { return readN(r, n) }
func (r *gorillaRunner) echoN(n int) error    { return echoN(r, n) }
func (r *gorillaRunner) close()               { _ = r.c.Close() }

// coderRunner reads into one buffer, with Reader, and passes a context that can be canceled to every call, as a server does.
type coderRunner struct {
	c      *coder.Conn
	ctx    context.Context // the field has the role of the context of a server's request
	cancel context.CancelFunc
	buf    []byte
}

func newCoderRunner(c *coder.Conn) runner {
	c.SetReadLimit(2 << 20)
	r := &coderRunner{c: c}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

func coderAcceptor() func(http.ResponseWriter, *http.Request) (runner, error) {
	return func(w http.ResponseWriter, r *http.Request) (runner, error) {
		c, err := coder.Accept(w, r, nil)
		if err != nil {
			return nil, err
		}
		return newCoderRunner(c), nil
	}
}

func coderDialer(via dialFunc) func(context.Context) (runner, error) {
	options := &coder.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: via}}}
	return func(ctx context.Context) (runner, error) {
		c, _, err := coder.Dial(ctx, address, options) //nolint:bodyclose // the body is the connection itself
		if err != nil {
			return nil, err
		}
		return newCoderRunner(c), nil
	}
}

func (r *coderRunner) readBack() ([]byte, error) {
	_, m, err := r.c.Reader(r.ctx)
	if err != nil {
		return nil, err
	}
	r.buf, err = appendAll(r.buf[:0], m)
	return r.buf, err
}

func (r *coderRunner) write(p []byte) error { return r.c.Write(r.ctx, coder.MessageBinary, p) }
func (r *coderRunner) readN(n int) error    { return readN(r, n) }
func (r *coderRunner) echoN(n int) error    { return echoN(r, n) }
func (r *coderRunner) close()               { r.cancel(); _ = r.c.CloseNow() }
