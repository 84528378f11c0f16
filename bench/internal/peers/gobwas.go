//go:build linux

package peers

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
)

func gobwasServe(c *Config, ln net.Listener) error {
	members := &room[net.Conn]{}
	return serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		var u ws.HTTPUpgrader
		if c.Compress != CompressNone {
			e := wsflate.Extension{Parameters: wsflate.DefaultParameters}
			u.Negotiate = func(o httphead.Option) (httphead.Option, error) { return e.Negotiate(o) }
		}
		conn, rw, _, err := u.Upgrade(r, w)
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			g := &gobwasConn{c: conn, r: rw.Reader}
			if c.Broadcast {
				members.enter(conn)
				defer members.leave(conn)
				g.broadcast(members)
				return
			}
			g.echo()
		}()
	})
}

// gobwasConn is the loop that users of the library write with its frame functions.
type gobwasConn struct {
	c   net.Conn
	r   *bufio.Reader
	in  []byte // the message
	out []byte // header and payload of the reply
}

// next reads a message and unmasks it, leaving room for a header before it. zipped is true if the message is compressed.
func (g *gobwasConn) next() (zipped bool, err error) {
	g.in = g.in[:0]
	for first := true; ; first = false {
		h, err := ws.ReadHeader(g.r)
		if err != nil {
			return false, err
		}
		if h.OpCode.IsControl() || h.Length > maxMessage {
			return false, errors.ErrUnsupported
		}
		if first {
			zipped = h.Rsv1()
		}
		start := len(g.in)
		g.in = slices.Grow(g.in, int(h.Length))[:start+int(h.Length)]
		if _, err := io.ReadFull(g.r, g.in[start:]); err != nil {
			return false, err
		}
		ws.Cipher(g.in[start:], h.Mask, 0)
		if h.Fin {
			return zipped, nil
		}
	}
}

// write writes a frame with one call.
func (g *gobwasConn) write(h ws.Header, p []byte) error {
	b := bytes.NewBuffer(g.out[:0])
	if err := ws.WriteHeader(b, h); err != nil {
		return err
	}
	if len(p) > 16<<10 { // a copy would cost more than writing two pieces
		bufs := net.Buffers{b.Bytes(), p}
		_, err := bufs.WriteTo(g.c)
		return err
	}
	b.Write(p)
	g.out = b.Bytes()
	_, err := g.c.Write(g.out)
	return err
}

func (g *gobwasConn) echo() {
	for {
		zipped, err := g.next()
		if err != nil {
			return
		}
		h := ws.Header{Fin: true, OpCode: ws.OpBinary, Length: int64(len(g.in))}
		if zipped {
			err = g.echoZipped(h)
		} else {
			err = g.write(h, g.in)
		}
		if err != nil {
			return
		}
	}
}

func (g *gobwasConn) broadcast(members *room[net.Conn]) {
	for {
		if _, err := g.next(); err != nil {
			return
		}
		for range times(g.in) {
			f, err := ws.CompileFrame(ws.NewBinaryFrame(g.in))
			if err != nil {
				return
			}
			members.all(func(c net.Conn) error { _, err := c.Write(f); return err })
		}
	}
}

// codec contains the state of a compressor and a decompressor. They are pooled here, because the library does not pool them.
type codec struct {
	w          *wsflate.Writer
	r          *wsflate.Reader
	plain, zip bytes.Buffer
}

var codecs = sync.Pool{New: func() any {
	return &codec{
		w: wsflate.NewWriter(nil, func(w io.Writer) wsflate.Compressor {
			f, err := flate.NewWriter(w, level)
			if err != nil {
				panic(err) // the level is a constant
			}
			return f
		}),
		r: wsflate.NewReader(nil, func(r io.Reader) wsflate.Decompressor { return flate.NewReader(r) }),
	}
}}

func (g *gobwasConn) echoZipped(h ws.Header) error {
	z := codecs.Get().(*codec)
	defer codecs.Put(z)
	z.plain.Reset()
	z.zip.Reset()
	z.r.Reset(bytes.NewReader(g.in))
	z.w.Reset(&z.zip)
	if _, err := z.plain.ReadFrom(z.r); err != nil {
		return err
	}
	if _, err := z.w.Write(z.plain.Bytes()); err != nil {
		return err
	}
	if err := z.w.Flush(); err != nil {
		return err
	}
	h.Length, h.Rsv = int64(z.zip.Len()), ws.Rsv(true, false, false)
	return g.write(h, z.zip.Bytes())
}
