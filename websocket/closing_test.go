package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// wantClose checks the error with which a connection ended.
func wantClose(t *testing.T, err error, code Code, reason string, byPeer bool) *CloseError {
	t.Helper()
	var ce *CloseError
	if !errors.As(err, &ce) || ce.Code != code || ce.Reason != reason || ce.ByPeer != byPeer {
		t.Fatalf("ended with %v, want %v %q, by the peer: %t", err, code, reason, byPeer)
	}
	return ce
}

func TestRFC6455_5_5_1_CloseEcho(t *testing.T) {
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		for _, code := range []Code{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
			c, peer := rawTCP(t, role, nil)
			peer.send(peer.frame(frame.Close, true, closeBody(code, "bye")), peer.frame(frame.Text, true, "not looked at"))
			ended := make(chan error, 1)
			go func() {
				_, err := c.Read(bounded.Context(t))
				ended <- err
			}()
			peer.expect(frame.Close, closeBody(code, "bye"))
			peer.Conn.Close()
			if ce := wantClose(t, bounded.Receive(t, ended), code, "bye", true); ce.Err != nil {
				t.Errorf("the closing handshake is complete, but the cause is %v", ce.Err)
			}
			if err := c.Close(CodeNormal, ""); err != nil {
				t.Errorf("Close after a closing handshake returned %v", err)
			}
		}
	}
}

func TestRFC6455_7_1_5_NoCodeIs1005(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	peer.send(peer.frame(frame.Close, true, ""))
	_, err := c.Read(bounded.Context(t))
	wantClose(t, err, CodeNoStatus, "", true)
	peer.expect(frame.Close, "")
}

func TestRFC6455_7_4_CodesThatMayNotBeSent(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	for _, code := range []Code{0, 999, 1004, CodeAbnormal, 1015, 1016, 2999, 5000, 65535} {
		if err := c.Close(code, ""); err == nil || !strings.Contains(err.Error(), "§7.4") {
			t.Errorf("Close(%d) returned %v", code, err)
		}
	}
	peer.send(peer.frame(frame.Text, true, "still here")) // a failed Close sends nothing and leaves the connection open
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "still here" {
		t.Errorf("%q, %v", m.Data, err)
	}
}

func TestRFC6455_5_5_ReasonIsCutWhereACharacterBegins(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleClient, nil)
	go c.Close(4000, strings.Repeat("✓", 50)) // 150 bytes, of which 41 runes of three bytes fit into the limit of 123
	peer.expect(frame.Close, closeBody(4000, strings.Repeat("✓", 41)))
}

func TestCloseWithoutAReader(t *testing.T) {
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		c, peer := rawTCP(t, role, nil)
		closed := make(chan error, 1)
		go func() { closed <- c.Close(CodeGoingAway, "restart") }()
		peer.expect(frame.Close, closeBody(CodeGoingAway, "restart"))
		peer.send(peer.frame(frame.Text, true, "on its way"), peer.frame(frame.Close, true, closeBody(CodeGoingAway, "")))
		if role == protocol.RoleServer {
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF { // §7.1.1: the server closes the TCP connection
				t.Errorf("the stream ended with %v", err)
			}
		}
		peer.Conn.Close()
		if err := bounded.Receive(t, closed); err != nil {
			t.Errorf("Close returned %v", err)
		}
		_, err := c.Read(bounded.Context(t))
		wantClose(t, err, CodeGoingAway, "restart", false)
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v is not net.ErrClosed", err)
		}
	}
}

// TestCloseWithAReader checks that a waiting Read returns the remaining messages before the peer's close frame.
func TestCloseWithAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		got := make(chan string, 10)
		go func() {
			for m, err := range c.Messages(context.Background()) {
				got <- string(m.Data)
				if err != nil {
					got <- err.Error()
				}
			}
			close(got)
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- c.Close(CodeNormal, "") }()
		peer.expect(frame.Close, closeBody(CodeNormal, ""))
		peer.send(peer.frame(frame.Text, true, "on its way"))
		peer.send(peer.frame(frame.Close, true, closeBody(CodeNormal, "")))
		if err := <-closed; err != nil {
			t.Errorf("Close returned %v", err)
		}
		if m := <-got; m != "on its way" {
			t.Errorf("got %q", m)
		}
		if m, ok := <-got; ok {
			t.Errorf("the sequence continued with %q", m)
		}
	})
}

func TestCloseIsBoundedByCloseTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{CloseTimeout: 3 * time.Second})
		go io.Copy(io.Discard, peer.Conn) // reads, but never sends a close frame
		start := time.Now()
		err := c.Close(4001, "token expired")
		ce := wantClose(t, err, 4001, "token expired", false)
		if ce.Err == nil || !strings.Contains(ce.Error(), "did not answer the close frame within 3s") {
			t.Errorf("%v does not say that the peer did not answer", ce)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

// TestCloseToAPeerThatReadsNothing calls Close when the close frame cannot be sent.
func TestCloseToAPeerThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		wrote := make(chan error, 1)
		go func() { wrote <- c.Write(context.Background(), Message{Text, []byte("stuck")}) }()
		synctest.Wait()
		start := time.Now()
		if err := c.Close(CodeNormal, ""); err == nil {
			t.Error("Close returned nil")
		}
		if took := time.Since(start); took > defaultCloseTimeout {
			t.Errorf("Close took %v", took)
		}
		if err := <-wrote; err == nil {
			t.Error("Write returned nil")
		}
	})
}

func TestBothSidesCloseConcurrently(t *testing.T) {
	for range 50 {
		client, server := tcpConns(t, nil)
		closed := make(chan error, 2)
		go func() { closed <- client.Close(4001, "client") }()
		go func() { closed <- server.Close(4002, "server") }()
		for range 2 {
			if err := bounded.Receive(t, closed); err != nil {
				t.Fatalf("Close returned %v", err)
			}
		}
	}
}

func TestRFC6455_5_5_1_NoDataAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		go c.Close(CodeNormal, "")
		peer.expect(frame.Close, closeBody(CodeNormal, ""))
		err := c.Write(t.Context(), Message{Text, []byte("too late")})
		wantClose(t, err, CodeNormal, "", false)
		if _, err := c.Ping(t.Context()); err == nil {
			t.Error("Ping returned nil")
		}
		read := make(chan error, 1)
		go func() { // waits until the connection has ended, so that a later CloseNow discards no data
			_, err := c.Read(bounded.Context(t))
			c.CloseNow()
			read <- err
		}()
		synctest.Wait()
		peer.send(peer.frame(frame.Ping, true, "sent before it heard of the close"))
		peer.expect(frame.Pong, "sent before it heard of the close") // §5.5.2: pings are answered until the peer's close frame has been received
		peer.send(peer.frame(frame.Close, true, closeBody(CodeNormal, "")))
		if n, err := peer.Read(make([]byte, 10)); err != io.EOF {
			t.Errorf("%d bytes after the close frame, %v", n, err)
		}
		wantClose(t, <-read, CodeNormal, "", false)
	})
}

// TestEndWithoutACloseFrame checks that the error describes where the stream ended.
func TestEndWithoutACloseFrame(t *testing.T) {
	tests := []struct {
		name string
		act  func(raw)
		says string
		is   error
	}{
		{"between messages", func(r raw) { r.Conn.Close() }, "ended between messages, without a close frame", io.ErrUnexpectedEOF},
		{"inside a header", func(r raw) { r.send([]byte{0x81}); r.Conn.Close() }, "inside a frame's header", io.ErrUnexpectedEOF},
		{"inside a frame", func(r raw) { r.send(r.frame(frame.Text, true, "hello")[:8]); r.Conn.Close() }, "inside a text frame", io.ErrUnexpectedEOF},
		{"between fragments", func(r raw) { r.send(r.frame(frame.Text, false, "hello")); r.Conn.Close() }, "between the fragments", io.ErrUnexpectedEOF},
		{"reset", func(r raw) { r.Conn.(*net.TCPConn).SetLinger(0); r.Conn.Close() }, "reset", syscall.ECONNRESET},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, peer := rawTCP(t, protocol.RoleServer, nil)
			tt.act(peer)
			_, err := c.Read(bounded.Context(t))
			ce := wantClose(t, err, CodeAbnormal, "", true)
			if !errors.Is(err, tt.is) || !strings.Contains(ce.Error(), tt.says) {
				t.Errorf("%v", err)
			}
			if cause := context.Cause(c.Context()); cause != error(ce) {
				t.Errorf("the context's cause is %v", cause)
			}
		})
	}
}

func TestCloseNowEndsEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := rawPipe(t, protocol.RoleClient, nil)
		waits := make(chan error, 4)
		ctx := c.Context()
		go func() { _, err := c.Read(bounded.Context(t)); waits <- err }()
		go func() { waits <- c.Write(context.Background(), Message{Text, []byte("not read")}) }()
		go func() { _, err := c.Ping(context.Background()); waits <- err }()
		go func() { <-ctx.Done(); waits <- context.Cause(ctx) }()
		synctest.Wait()
		if err := c.CloseNow(); err != nil {
			t.Error(err)
		}
		for range 4 {
			wantClose(t, <-waits, CodeAbnormal, "", false)
		}
	})
}

// TestWriteToAPeerThatClosed checks that a failed write returns the peer's close frame if that has not been read yet.
func TestWriteToAPeerThatClosed(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	peer.send(peer.frame(frame.Close, true, closeBody(4009, "not allowed")))
	peer.Conn.Close()
	for {
		if err := c.Write(bounded.Context(t), Message{Binary, make([]byte, 1<<16)}); err != nil {
			wantClose(t, err, 4009, "not allowed", true)
			return
		}
	}
}

// TestUnreadMessagesSurviveAFailedWrite checks that messages sent before the peer disconnected can still be read.
func TestUnreadMessagesSurviveAFailedWrite(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	peer.send(peer.frame(frame.Text, true, "last words"))
	peer.Conn.Close()
	for c.Write(bounded.Context(t), Message{Binary, make([]byte, 1<<16)}) == nil {
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "last words" {
		t.Fatalf("%q, %v", m.Data, err)
	}
	_, err := c.Read(bounded.Context(t))
	wantClose(t, err, CodeAbnormal, "", true)
}

func TestRFC6455_7_1_7_ViolationIsReportedToThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		ended := make(chan error, 1)
		go func() { _, err := c.Read(bounded.Context(t)); ended <- err }()
		peer.send([]byte{0x81, 0x00}) // not masked
		peer.expectClose(CodeProtocolError)
		peer.Conn.Close()
		err := <-ended
		wantClose(t, err, CodeProtocolError, "", true)
		var pe *protocol.Violation
		if !errors.As(err, &pe) || pe.Section != "RFC 6455 §5.1" || Code(pe.Code) != CodeProtocolError {
			t.Errorf("%v does not name the clause", err)
		}
	})
}

// TestViolationDoesNotWaitForever checks that a peer that violates a rule, and then neither reads nor closes, delays closing by at
// most CloseTimeout.
func TestViolationDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, nil)
		start := time.Now()
		go peer.Write([]byte{0x81, 0x00})
		_, err := c.Read(t.Context())
		wantClose(t, err, CodeProtocolError, "", true)
		if took := time.Since(start); took > defaultCloseTimeout {
			t.Errorf("Read took %v", took)
		}
	})
}

// TestAStuckWriteDoesNotHideHowItEnded uses a peer that sends a close frame but does not read the message that is being sent to it.
func TestAStuckWriteDoesNotHideHowItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
			c, peer := rawPipe(t, role, &ConnOptions{PingInterval: -1})
			wrote := make(chan error, 1)
			go func() { wrote <- c.Write(context.Background(), Message{Text, []byte("stuck")}) }()
			synctest.Wait()
			go peer.Write(peer.frame(frame.Close, true, closeBody(CodeServiceRestart, "deploy")))
			start := time.Now()
			_, err := c.Read(t.Context())
			wantClose(t, err, CodeServiceRestart, "deploy", true)
			wantClose(t, <-wrote, CodeServiceRestart, "deploy", true)
			if took := time.Since(start); took > defaultCloseTimeout {
				t.Errorf("Read took %v", took)
			}
		}
	})
}

// TestTheContextBoundsTheClosingHandshake checks that a client stops waiting for the server to close TCP when the context of its Read
// ends.
func TestTheContextBoundsTheClosingHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleClient, nil)
		go func() {
			peer.Write(append(peer.frame(frame.Text, true, "and"), peer.frame(frame.Close, true, closeBody(CodeNormal, "bye"))...))
			io.Copy(io.Discard, peer.Conn) // reads, but never closes TCP
		}()
		if m, err := c.Read(t.Context()); err != nil || string(m.Data) != "and" {
			t.Fatalf("%q, %v", m.Data, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := c.Read(ctx)
		wantClose(t, err, CodeNormal, "bye", true)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("Read took %v", took)
		}
	})
}

// TestRFC6455_7_1_1_AClientWaitsASecond checks that a client that has replied to the server's close frame waits for EOF for a
// limited time.
func TestRFC6455_7_1_1_AClientWaitsASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleClient, nil)
		start := time.Now()
		go func() {
			peer.Write(peer.frame(frame.Close, true, closeBody(CodeNormal, "bye")))
			io.Copy(io.Discard, peer.Conn) // reads, but never closes TCP
		}()
		_, err := c.Read(t.Context())
		if ce := wantClose(t, err, CodeNormal, "bye", true); ce.Err != nil {
			t.Error(ce)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Read took %v", took)
		}
	})
}

// TestCloseFrameWithBytesBehind checks that a client that sends data after its close frame receives the server's close frame and
// EOF, without a reset.
func TestCloseFrameWithBytesBehind(t *testing.T) {
	for name, pair := range map[string]func(testing.TB, protocol.Role, *ConnOptions) (*Conn, raw){"TCP": rawTCP, "TLS": rawTLS} {
		c, peer := pair(t, protocol.RoleServer, nil)
		peer.send(append(peer.frame(frame.Close, true, closeBody(4001, "")), make([]byte, 100<<10)...))
		if _, err := c.Read(bounded.Context(t)); CloseCode(err) != 4001 {
			t.Errorf("%s: Read: %v", name, err)
		}
		peer.expectClose(4001)
		if b, err := io.ReadAll(peer.Conn); err != nil || len(b) > 0 {
			t.Errorf("%s: the stream ends with %q, %v", name, b, err)
		}
		if below, ok := peer.Conn.(*tls.Conn); ok {
			if _, err := io.ReadAll(below.NetConn()); err != nil {
				t.Errorf("%s: the socket ends with %v", name, err)
			}
		}
	}
}

// TestMessagesClosesWhenItsContextEnds checks that the peer receives a close frame with 1001 (going away).
func TestMessagesClosesWhenItsContextEnds(t *testing.T) {
	client, server := tcpConns(t, nil)
	ctx, cancel := context.WithCancel(bounded.Context(t))
	ended := make(chan error, 1)
	go func() {
		defer server.CloseNow()
		for _, err := range server.Messages(ctx) {
			ended <- err
		}
	}()
	cancel()
	if _, err := readSoon(t, client); CloseCode(err) != CodeGoingAway {
		t.Errorf("the client read %v", err)
	}
	if err := bounded.Receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the last element is %v", err)
	}
}

// TestAFailedWriteHoldsNothing checks that a failed write discards the messages queued after it, even if the connection stays open
// to receive messages.
func TestAFailedWriteHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := blockedConn(t, writeQueue{})
		go peer.Write(peer.frame(frame.Text, true, "last words"))
		<-time.After(2 * unreadAfter) // the message is received, although no goroutine reads
		synctest.Wait()
		for range 3 {
			if err := c.Send(Message{Text, []byte("waits")}); err != nil {
				t.Fatal(err)
			}
		}
		c.mu.Lock()
		c.outbox.pingLocked()
		c.mu.Unlock()
		joined := make(chan error, 1)
		go func() { joined <- c.Write(t.Context(), Message{Text, []byte("joins")}) }()
		synctest.Wait()
		peer.Conn.Close()
		synctest.Wait()
		if err := <-joined; err == nil || !errors.Is(err, c.outbox.werr) {
			t.Errorf("a joined Write returned %v", err)
		}
		if n := c.Buffered(); n != 0 || c.outbox.ctl != nil || c.outbox.rest != nil || c.outbox.pending.queue != nil || c.outbox.pending.entries != nil || c.outbox.pending.smallBuf != nil || c.outbox.out.held {
			t.Errorf("%d bytes are queued: control frames %q, rest %q, %d entries; the out turn is held: %v", n, c.outbox.ctl, c.outbox.rest, len(c.outbox.pending.queue), c.outbox.out.held)
		}
		if err := c.Send(Message{Type: Text}); err == nil || c.ended() != nil {
			t.Errorf("the next message: %v; ended: %v", err, c.ended())
		}
		if m, err := c.Read(t.Context()); err != nil || string(m.Data) != "last words" {
			t.Errorf("%q, %v", m.Data, err)
		}
	})
}
