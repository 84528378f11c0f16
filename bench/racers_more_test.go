package bench_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/lxzan/gws"
)

// gwsRunner counts messages in a callback, because gws delivers messages only to a callback.
type gwsRunner struct {
	gws.BuiltinEventHandler
	c    *gws.Conn
	left int
	echo bool
	err  error
}

func gwsAcceptor() func(http.ResponseWriter, *http.Request) (runner, error) {
	r := &gwsRunner{}
	u := gws.NewUpgrader(r, nil)
	return func(w http.ResponseWriter, req *http.Request) (runner, error) {
		c, err := u.Upgrade(w, req)
		r.c = c
		return r, err
	}
}

func (r *gwsRunner) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }() // Close returns the buffer to the pool, and always returns nil
	if r.echo {
		r.err = errors.Join(r.err, c.WriteMessage(gws.OpcodeBinary, m.Bytes()))
	}
	if r.left--; r.left == 0 {
		c.NetConn().Close() // the only way to stop the loop
	}
}

func (r *gwsRunner) readN(n int) error { return r.run(n, false) }
func (r *gwsRunner) echoN(n int) error { return r.run(n, true) }

func (r *gwsRunner) run(n int, echo bool) error {
	r.left, r.echo = n, echo
	r.c.ReadLoop()
	if r.err == nil && r.left > 0 {
		r.err = io.ErrUnexpectedEOF
	}
	return r.err
}

func (r *gwsRunner) readBack() ([]byte, error) { return nil, errors.ErrUnsupported }
func (r *gwsRunner) write(p []byte) error      { return r.c.WriteMessage(gws.OpcodeBinary, p) }
func (r *gwsRunner) close()                    { r.c.NetConn().Close() }

// gobwasRunner is the loop that users of gobwas/ws write with its frame functions. It supports only unfragmented messages, ignores
// pings, and checks nothing. It shows the cost of framing alone.
type gobwasRunner struct {
	c      net.Conn
	r      *bufio.Reader
	buf    []byte
	out    frameBuffer
	client bool
}

// frameBuffer joins a header and a payload, so that one write sends both.
type frameBuffer []byte

func (b *frameBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func gobwasAcceptor() func(http.ResponseWriter, *http.Request) (runner, error) {
	return func(w http.ResponseWriter, r *http.Request) (runner, error) {
		c, rw, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return nil, err
		}
		return &gobwasRunner{c: c, r: rw.Reader}, nil
	}
}

func gobwasDialer(via dialFunc) func(context.Context) (runner, error) {
	d := ws.Dialer{NetDial: via}
	return func(ctx context.Context) (runner, error) {
		c, r, _, err := d.Dial(ctx, address)
		if err != nil {
			return nil, err
		}
		if r == nil { // the server has sent nothing after the handshake
			r = bufio.NewReader(c)
		}
		return &gobwasRunner{c: c, r: r, client: true}, nil
	}
}

func (r *gobwasRunner) readBack() ([]byte, error) {
	h, err := ws.ReadHeader(r.r)
	if err != nil {
		return nil, err
	}
	if !h.Fin || h.OpCode != ws.OpBinary {
		return nil, errors.ErrUnsupported
	}
	r.buf, _ = grow(r.buf[:0], int(h.Length))
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return nil, err
	}
	if h.Masked {
		ws.Cipher(r.buf, h.Mask, 0)
	}
	return r.buf, nil
}

func (r *gobwasRunner) write(p []byte) error {
	h := ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: r.client, Length: int64(len(p))}
	if r.client {
		h.Mask = [4]byte{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())}
	}
	r.out = r.out[:0]
	if err := ws.WriteHeader(&r.out, h); err != nil {
		return err
	}
	r.out = append(r.out, p...)
	if r.client {
		ws.Cipher(r.out[len(r.out)-len(p):], h.Mask, 0)
	}
	_, err := r.c.Write(r.out)
	return err
}

func (r *gobwasRunner) readN(n int) error { return readN(r, n) }
func (r *gobwasRunner) echoN(n int) error { return echoN(r, n) }
func (r *gobwasRunner) close()            { r.c.Close() }
