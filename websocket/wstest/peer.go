package wstest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// Peer is one end of a connection after its opening handshake. It does nothing automatically: it does not reply to pings or close
// frames, it reads only in Next, and it sends frames unchecked. A Peer whose methods are not called behaves like a stalled peer.
//
// One goroutine at a time may read and one may write; the other methods are safe for concurrent use. The waits of a Peer have no limit
// unless SetDeadline sets one; Close ends them.
type Peer struct {
	role   protocol.Role
	stream net.Conn
	in     *bufio.Reader
}

// NewPeer returns a Peer in the given role on stream, after the opening handshake. It takes ownership of stream.
func NewPeer(stream net.Conn, role protocol.Role) *Peer {
	return &Peer{role: role, stream: stream, in: bufio.NewReader(stream)}
}

// PipePeer returns a Peer in the given role and a Conn in the other role, connected in memory. The Conn uses the options for its
// role in opts; nil means the defaults. Both are closed when the test of tb ends. If tb is nil, as in an example, the caller must
// close them.
func PipePeer(tb testing.TB, role protocol.Role, opts *Options) (*Peer, *websocket.Conn) {
	if opts == nil {
		opts = &Options{}
	}
	client, server := NetPipe(opts.Buffer)
	var p *Peer
	var c *websocket.Conn
	if role == protocol.RoleClient {
		p, c = NewPeer(client, role), conn(server, protocol.RoleServer, &opts.Server)
	} else {
		p, c = NewPeer(server, role), conn(client, protocol.RoleClient, &opts.Client)
	}
	if tb != nil {
		tb.Cleanup(func() {
			p.Close()
			c.CloseNow()
		})
	}
	return p, c
}

// Send sends frames with one write.
func (p *Peer) Send(frames ...Frame) error {
	_, err := p.stream.Write(p.Append(nil, frames...))
	return err
}

// Append appends the bytes that Send would send to dst, so that a test can truncate or modify them and send them with Write or
// Drip.
func (p *Peer) Append(dst []byte, frames ...Frame) []byte {
	for _, f := range frames {
		dst = f.append(dst, p.role)
	}
	return dst
}

// Write sends bytes unchanged.
func (p *Peer) Write(b []byte) (int, error) { return p.stream.Write(b) }

// Drip sends the bytes one at a time, with a pause after each. In memory each byte is read before the next is sent, so that the other end
// receives single bytes even without a pause.
func (p *Peer) Drip(b []byte, pause time.Duration) error {
	for i := range b {
		if _, err := p.stream.Write(b[i : i+1]); err != nil {
			return err
		}
		if s, ok := p.stream.(*stream); ok {
			if err := s.drain(); err != nil {
				return err
			}
		}
		if pause > 0 {
			<-time.After(pause)
		}
	}
	return nil
}

// Next reads a frame. The caller owns its Payload. io.EOF means that the stream has ended after a frame, and a wrapped
// io.ErrUnexpectedEOF that it has ended in the middle of one. A length that RFC 6455 §5.2 forbids is also an error.
//
// If a deadline interrupts Next in the middle of a frame, the start of the frame is lost.
func (p *Peer) Next() (Frame, error) {
	head, err := p.in.Peek(2)
	if err == nil {
		head, err = p.in.Peek(frame.Size(head[1]))
	}
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			return Frame{}, fmt.Errorf("wstest: a frame header is truncated after %d bytes: %w", len(head), io.ErrUnexpectedEOF)
		}
		return Frame{}, err
	}
	h, n, err := frame.Parse(head)
	if err != nil {
		return Frame{}, fmt.Errorf("wstest: % x: %w", head, err)
	}
	p.in.Discard(n) //nolint:errcheck // Peek has buffered these bytes
	var payload bytes.Buffer
	if got, err := io.CopyN(&payload, p.in, h.Length); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, fmt.Errorf("wstest: a frame is truncated after %d of %d bytes: %w", got, h.Length, err)
	}
	f := Frame{Opcode: h.Opcode, Payload: payload.Bytes(), More: !h.Fin, RSV: h.RSV, Key: h.Key}
	f.WrongMask = h.Masked != (p.role == protocol.RoleServer)
	if h.Masked {
		frame.Mask(f.Payload, h.Key)
	}
	return f, nil
}

// SetDeadline limits current and future waits, which fail with os.ErrDeadlineExceeded after t. The zero time means no limit.
func (p *Peer) SetDeadline(t time.Time) {
	p.stream.SetDeadline(t) //nolint:errcheck // SetDeadline fails only on a closed stream, on which no call waits
}

// Close closes the stream normally, without a close frame: the other end reads io.EOF after the sent data.
func (p *Peer) Close() { p.stream.Close() }

// CloseWrite closes the sending direction: the other end reads io.EOF after the sent data, and data from the other end can still be read.
// If the stream does not support this, CloseWrite returns errors.ErrUnsupported.
func (p *Peer) CloseWrite() error {
	half, ok := p.stream.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("wstest: closing one direction of a %T: %w", p.stream, errors.ErrUnsupported)
	}
	return half.CloseWrite()
}

// Reset resets the stream: the other end's reads and writes fail with syscall.ECONNRESET. In memory the other end first reads the data that
// was sent before. On a network this data may be lost. A stream other than TCP, TLS over TCP or memory is closed, and Reset returns
// errors.ErrUnsupported.
func (p *Peer) Reset() error {
	below := p.stream
	if t, ok := below.(*tls.Conn); ok {
		below = t.NetConn()
	}
	switch s := below.(type) {
	case *stream:
		return s.Reset()
	case *net.TCPConn:
		if err := s.SetLinger(0); err != nil {
			return err
		}
		return s.Close()
	}
	p.stream.Close()
	return fmt.Errorf("wstest: resetting a %T: %w", below, errors.ErrUnsupported)
}
