package websocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// sendings maps names to the ways of sending a message.
var sendings = map[string]func(c *Conn, m Message) error{
	"Send": (*Conn).Send,
	"SendPrepared": func(c *Conn, m Message) error {
		p, err := Prepare(m)
		if err != nil {
			return err
		}
		return c.SendPrepared(p)
	},
	"Write": func(c *Conn, m Message) error { return c.Write(context.Background(), m) },
	"Writer": func(c *Conn, m Message) error {
		w, err := c.Writer(context.Background(), m.Type)
		if err != nil {
			return err
		}
		if _, err := w.Write(m.Data); err != nil {
			return err
		}
		return w.Close()
	},
}

// TestRFC6455_5_5_1_AcceptedMessagesGoBeforeTheClose sends messages in every way before the peer's close frame or protocol
// violation is handled. All of them must be sent before our close frame.
func TestRFC6455_5_5_1_AcceptedMessagesGoBeforeTheClose(t *testing.T) {
	const n = 20
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		for how, send := range sendings {
			for _, compressed := range []bool{false, true} {
				for _, size := range []int{5, 3000, 20_000} {
					for _, last := range []struct {
						name string
						op   frame.Opcode
						body string
						code Code
					}{
						{"close", frame.Close, closeBody(CodeNormal, ""), CodeNormal},
						{"violation", frame.Opcode(3), "", CodeProtocolError},
					} {
						t.Run(fmt.Sprint(role, " ", how, " ", compressed, " ", size, " ", last.name), func(t *testing.T) {
							near, far := tcpPair(t)
							opts := &ConnOptions{QueueBytes: 10 << 20}
							c, peer := overStream(near, role, opts), overStream(far, protocol.RoleClient-role, opts)
							t.Cleanup(func() { c.CloseNow(); peer.CloseNow() })
							if compressed {
								compressLater(c, handshake.Deflate{}, &Compression{})
								compressLater(peer, handshake.Deflate{}, &Compression{})
							}
							ended := make(chan error, 1)
							ctx := bounded.Context(t)
							go func() { ended <- answer(ctx, c, send) }()
							r := raw{t, far, protocol.RoleClient - role}
							var segment []byte
							body := strings.Repeat("x", size-1)
							for i := range n {
								segment = append(segment, r.frame(frame.Binary, true, string(rune('a'+i))+body)...)
							}
							go r.send(append(segment, r.frame(last.op, true, last.body)...))
							for i := range n {
								m, err := readSoon(t, peer)
								if want := string(rune('a'+i)) + body; err != nil || string(m.Data) != want {
									t.Fatalf("answer %d of %d: %.20q of %d bytes, %v", i, n, m.Data, len(m.Data), err)
								}
							}
							if _, err := readSoon(t, peer); CloseCode(err) != last.code {
								t.Errorf("after the answers: %v", err)
							}
							if err := bounded.Receive(t, ended); CloseCode(err) != last.code {
								t.Errorf("the connection ended with %v", err)
							}
						})
					}
				}
			}
		}
	}
}

// answer echoes messages until the connection ends, and then calls CloseNow, which must not lose any data.
func answer(ctx context.Context, c *Conn, send func(c *Conn, m Message) error) error {
	defer c.CloseNow()
	for {
		m, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if err := send(c, m); err != nil {
			return err
		}
	}
}

func readSoon(t testing.TB, c *Conn) (Message, error) {
	t.Helper()
	return c.Read(bounded.Context(t))
}

// blockedAtClose returns a server that has received the peer's close frame while its own messages are queued, because the peer does
// not read.
func blockedAtClose(t *testing.T, opts *ConnOptions) (c *Conn, peer net.Conn, sent int) {
	t.Helper()
	near, far := tcpPair(t)
	near.(*net.TCPConn).SetReadBuffer(16 << 10)
	far.(*net.TCPConn).SetWriteBuffer(16 << 10)
	opts.QueueBytes = 16 << 20
	c = overStream(far, protocol.RoleServer, opts)
	t.Cleanup(func() { c.CloseNow(); near.Close() })
	for ; c.Buffered() < 4<<20; sent++ {
		if err := c.Send(Message{Binary, make([]byte, 100_000)}); err != nil {
			t.Fatal(err)
		}
	}
	r := raw{t, near, protocol.RoleClient}
	r.send(r.frame(frame.Close, true, closeBody(CodeNormal, "")))
	return c, near, sent
}

// TestReadReturnsTheCloseWhenAllIsSent checks that Read waits for a peer that reads late, and that a later CloseNow discards no
// data.
func TestReadReturnsTheCloseWhenAllIsSent(t *testing.T) {
	c, near, sent := blockedAtClose(t, &ConnOptions{CloseTimeout: time.Minute})
	ctx := bounded.Context(t)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(ctx)
		c.CloseNow()
		ended <- err
	}()
	bounded.Until(t, c.isClosing)
	if len(ended) > 0 {
		t.Errorf("Read returned %v before the answers were sent", bounded.Receive(t, ended))
	}
	peer := overStream(near, protocol.RoleClient, nil)
	defer peer.CloseNow()
	for i := range sent {
		if _, err := readSoon(t, peer); err != nil {
			t.Fatalf("message %d of %d: %v", i, sent, err)
		}
	}
	if _, err := readSoon(t, peer); CloseCode(err) != CodeNormal {
		t.Error(err)
	}
	if err := bounded.Receive(t, ended); CloseCode(err) != CodeNormal {
		t.Error(err)
	}
}

// TestReadIsInterruptedWhileTheCloseWaits checks that the context of a Read applies while queued messages are being sent, and that
// the closing handshake continues without that Read.
func TestReadIsInterruptedWhileTheCloseWaits(t *testing.T) {
	c, near, sent := blockedAtClose(t, &ConnOptions{CloseTimeout: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(ctx)
		read <- err
	}()
	bounded.Until(t, c.isClosing)
	cancel()
	if err := bounded.Receive(t, read); !errors.Is(err, context.Canceled) {
		t.Errorf("the Read returned %v", err)
	}
	peer := overStream(near, protocol.RoleClient, nil)
	defer peer.CloseNow()
	for i := range sent {
		if _, err := readSoon(t, peer); err != nil {
			t.Fatalf("message %d of %d: %v", i, sent, err)
		}
	}
	if _, err := readSoon(t, peer); CloseCode(err) != CodeNormal {
		t.Error(err)
	}
	if _, err := readSoon(t, c); CloseCode(err) != CodeNormal {
		t.Errorf("the next Read returned %v", err)
	}
}

// TestCloseTimeoutBoundsWhatWasAccepted checks that a peer that never reads delays closing by at most CloseTimeout.
func TestCloseTimeoutBoundsWhatWasAccepted(t *testing.T) {
	c, _, _ := blockedAtClose(t, &ConnOptions{CloseTimeout: 50 * time.Millisecond})
	start := time.Now()
	_, err := readSoon(t, c)
	var ce *CloseError
	if !errors.As(err, &ce) || ce.Code != CodeNormal || ce.Err == nil {
		t.Errorf("Read returned %v, want the peer's code, and a cause because not all data was sent", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("Read took %v", took)
	}
}
