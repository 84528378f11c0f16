package websocket

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// eachHalfClose runs a test of HalfClose with each role and each kind of stream.
func eachHalfClose(t *testing.T, test func(t *testing.T, c *Conn, peer raw)) {
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		for name, connect := range map[string]func(testing.TB, protocol.Role, *ConnOptions) (*Conn, raw){"TCP": rawTCP, "TLS": rawTLS, "memory": rawPipe} {
			t.Run(role.String()+" over "+name, func(t *testing.T) {
				c, peer := connect(t, role, &ConnOptions{HalfClose: true})
				test(t, c, peer)
			})
		}
	}
}

// async calls f in a goroutine, and returns a channel that receives the error.
func async(f func() error) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- f() }()
	return ch
}

// No messages are received after the peer's close frame. Messages can still be written before our own close frame, whose code may
// differ.
func TestRFC6455_5_5_1_HalfCloseAnswersWhenAsked(t *testing.T) {
	eachHalfClose(t, func(t *testing.T, c *Conn, peer raw) {
		go peer.send(slices.Concat(peer.frame(frame.Text, true, "a"), peer.frame(frame.Ping, true, "p"), peer.frame(frame.Close, true, closeBody(4000, "bye")), peer.frame(frame.Text, true, "not looked at")))
		pong := async(func() error { peer.expect(frame.Pong, "p"); return nil })
		if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "a" {
			t.Fatalf("%q, %v", m.Data, err)
		}
		for range 2 { // the same error is returned again
			_, err := c.Read(bounded.Context(t))
			if ce := wantClose(t, err, 4000, "bye", true); ce.Err != nil {
				t.Error(ce.Err)
			}
		}
		if err := bounded.Receive(t, pong); err != nil || c.Context().Err() != nil {
			t.Fatalf("%v; the connection has ended: %v", err, c.Context().Err())
		}
		sent := async(func() error {
			for _, text := range []string{"b", "c"} {
				if err := c.Write(bounded.Context(t), Message{Type: Text, Data: []byte(text)}); err != nil {
					return err
				}
			}
			return c.Shut(4001, "over")
		})
		peer.expect(frame.Text, "b")
		peer.expect(frame.Text, "c")
		peer.expect(frame.Close, closeBody(4001, "over"))
		if err := bounded.Receive(t, sent); err != nil {
			t.Error(err)
		}
		peer.Conn.Close()
		_, err := c.Read(bounded.Context(t))
		if ce := wantClose(t, err, 4000, "bye", true); ce.Err != nil { // §7.1.5: the code is that of the first close frame
			t.Error(ce.Err)
		}
		bounded.Receive(t, c.Context().Done())
		if err := c.Write(bounded.Context(t), Message{}); err == nil {
			t.Error("a message was accepted after the close frame")
		}
	})
}

// After Shut, Read continues to return messages until it returns the peer's close frame.
func TestRFC6455_5_5_1_HalfCloseReadsOn(t *testing.T) {
	eachHalfClose(t, func(t *testing.T, c *Conn, peer raw) {
		if err := c.Shut(4001, "over"); err != nil {
			t.Fatal(err)
		}
		peer.expect(frame.Close, closeBody(4001, "over"))
		go peer.send(slices.Concat(peer.frame(frame.Text, true, "a"), peer.frame(frame.Text, true, "b"), peer.frame(frame.Close, true, closeBody(4000, "bye"))))
		for _, want := range []string{"a", "b"} {
			if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != want {
				t.Fatalf("%q, %v", m.Data, err)
			}
		}
		closed := async(func() error { _, err := c.Read(bounded.Context(t)); return err })
		if c.m.Client {
			peer.Conn.Close() // a client waits for the server to close TCP
		}
		if ce := wantClose(t, bounded.Receive(t, closed), 4000, "bye", true); ce.Err != nil {
			t.Error(ce.Err)
		}
		peer.Conn.Close()
		if ce := wantClose(t, context.Cause(c.Context()), 4001, "over", false); ce.Err != nil { // §7.1.5: the code is that of the first close frame
			t.Error(ce.Err)
		}
	})
}

// Close waits for the peer's close frame as usual, and replies to a peer that has sent its close frame.
func TestHalfCloseClose(t *testing.T) {
	eachHalfClose(t, func(t *testing.T, c *Conn, peer raw) {
		closed := async(func() error { return c.Close(4001, "over") })
		peer.expect(frame.Close, closeBody(4001, "over"))
		peer.send(peer.frame(frame.Close, true, closeBody(4001, "over")))
		peer.Conn.Close()
		if err := bounded.Receive(t, closed); err != nil {
			t.Error(err)
		}
	})
	eachHalfClose(t, func(t *testing.T, c *Conn, peer raw) {
		go peer.send(peer.frame(frame.Close, true, closeBody(4000, "bye")))
		_, err := c.Read(bounded.Context(t))
		wantClose(t, err, 4000, "bye", true)
		closed := async(func() error { return c.Close(4001, "over") })
		peer.expect(frame.Close, closeBody(4001, "over"))
		peer.Conn.Close()
		if err := bounded.Receive(t, closed); err != nil {
			t.Error(err)
		}
		wantClose(t, context.Cause(c.Context()), 4000, "bye", true)
	})
}

// If one of the two close frames is missing, the connection is closed after a time limit.
func TestHalfCloseIsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		wait func(c *Conn, peer raw)
		code Code
		end  time.Duration
	}{
		"no reply from the peer": {func(c *Conn, peer raw) {
			c.Shut(4001, "over")
			c.Read(context.Background())
		}, 4001, 5 * time.Second},
		"no reply from this end": {func(c *Conn, peer raw) {
			go peer.send(peer.frame(frame.Close, true, closeBody(4000, "bye")))
			c.Read(context.Background())
			<-c.Context().Done()
		}, 1006, 20 * time.Second},
		"the peer disconnects": {func(c *Conn, peer raw) {
			go peer.send(peer.frame(frame.Close, true, closeBody(4000, "bye")))
			c.Read(context.Background())
			peer.Conn.Close()
			<-c.Context().Done()
		}, 4000, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{HalfClose: true, PingInterval: 10 * time.Second})
				began := time.Now()
				go func() {
					buf := make([]byte, 1<<10)
					for {
						if _, err := peer.Read(buf); err != nil {
							return
						}
					}
				}()
				tt.wait(c, peer)
				<-c.Context().Done()
				if took := time.Since(began); took > tt.end+time.Second {
					t.Errorf("closing took %v", took)
				}
				if code := CloseCode(context.Cause(c.Context())); code != tt.code {
					t.Errorf("%v", context.Cause(c.Context()))
				}
				c.CloseNow()
			})
		})
	}
}

// With Run there is no caller that could send the close frame, so HalfClose is an error.
func TestHalfCloseAndRun(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{HalfClose: true})
	ended := async(func() error { return c.Run(bounded.Context(t), openEcho) })
	peer.expectClose(CodeInternalError)
	peer.send(peer.frame(frame.Close, true, closeBody(CodeInternalError, "")))
	peer.Conn.Close()
	wantClose(t, bounded.Receive(t, ended), CodeInternalError, "", false)
}
