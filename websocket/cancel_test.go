package websocket

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// fragments returns a text message in three frames, with a ping between two of them.
func fragments(r raw) []byte {
	var b []byte
	b = append(b, r.frame(frame.Text, false, "Grüße ")...)
	b = append(b, r.frame(frame.Ping, true, "still there?")...)
	b = append(b, r.frame(frame.Continuation, false, "aus der ")...)
	b = append(b, r.frame(frame.Continuation, true, "Ferne ✓")...)
	return b
}

const fragmentsText = "Grüße aus der Ferne ✓"

// TestCanceledReadLosesNothing cancels a read after every byte of a fragmented message, over TCP and TLS, in both roles, and
// alternates between Read and View.
func TestCanceledReadLosesNothing(t *testing.T) {
	links := map[string]func(testing.TB, protocol.Role, *ConnOptions) (*Conn, raw){"tcp": rawTCP, "tls": rawTLS}
	for name, link := range links {
		for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
			t.Run(name+"/"+role.String(), func(t *testing.T) {
				c, peer := link(t, role, nil)
				go io.Copy(io.Discard, peer.Conn) // discards the pong
				bytes := fragments(peer)
				for i := range bytes {
					m, err := readAndCancel(t, c, i%2 == 0, func() { peer.send(bytes[i : i+1]) })
					if i < len(bytes)-1 {
						if !errors.Is(err, context.Canceled) {
							t.Fatalf("byte %d: Read returned %q, %v", i, m.Data, err)
						}
						continue
					}
					if errors.Is(err, context.Canceled) { // the read was canceled after all bytes had arrived
						m, err = c.Read(bounded.Context(t))
					}
					if err != nil || string(m.Data) != fragmentsText || m.Type != Text {
						t.Fatalf("Read returned %v %q, %v", m.Type, m.Data, err)
					}
				}
				peer.send(peer.frame(frame.Binary, true, "and on"))
				if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "and on" {
					t.Fatalf("the connection is not usable: %q, %v", m.Data, err)
				}
			})
		}
	}
}

// readAndCancel starts a read, calls act, which sends data, and cancels the read after that data has been received.
func readAndCancel(t *testing.T, c *Conn, fresh bool, act func()) (Message, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		m   Message
		err error
	}
	done := make(chan result, 1)
	c.inbox.received.Store(false)
	go func() {
		var r result
		if fresh {
			r.m, r.err = c.Read(ctx)
		} else {
			r.m, r.err = readAppend(ctx, c, []byte("before: "))
			if string(r.m.Data[:8]) != "before: " {
				t.Errorf("the bytes before the message were changed: %q", r.m.Data)
			}
			r.m.Data = r.m.Data[8:]
		}
		done <- r
	}()
	act()
	bounded.Until(t, c.inbox.received.Load)
	cancel()
	r := bounded.Receive(t, done)
	return r.m, r.err
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := rawPipe(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
		f := peer.frame(frame.Text, true, "late, but whole")
		go func() {
			<-time.After(time.Second) // fake time
			peer.send(f[:9])
			<-time.After(time.Second)
			peer.send(f[9:])
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if _, err := c.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Read returned %v, want the deadline's error", err)
		}
		if m, err := c.Read(t.Context()); err != nil || string(m.Data) != "late, but whole" {
			t.Errorf("the next Read returned %q, %v", m.Data, err)
		}
	})
}

func TestReadWithACanceledContextTakesNothing(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	peer.send(peer.frame(frame.Text, true, "kept"))
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the user left")
	cancel(reason)
	_, err := c.Read(ctx)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
		t.Errorf("Read returned %v, want both the context's error and its cause", err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "kept" {
		t.Errorf("the next Read returned %q, %v", m.Data, err)
	}
}

// TestStaleContextHasNoEffect checks that canceling the context of an earlier call does not interrupt a later one.
func TestStaleContextHasNoEffect(t *testing.T) {
	client, server := tcpConns(t, nil)
	go echo(server)
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		if err := client.Write(ctx, Message{Text, []byte("x")}); err != nil {
			t.Fatal(err)
		}
		go cancel()
		if m, err := client.Read(bounded.Context(t)); err != nil || string(m.Data) != "x" {
			t.Fatalf("%q, %v", m.Data, err)
		}
	}
}

func TestCanceledWriteThatHadBegunSaysSoAndCloses(t *testing.T) {
	for name, link := range map[string]func(testing.TB, protocol.Role, *ConnOptions) (*Conn, raw){"tcp": rawTCP, "tls": rawTLS} {
		t.Run(name, func(t *testing.T) {
			c, _ := link(t, protocol.RoleClient, nil)
			ctx, cancel := context.WithCancel(t.Context())
			wrote := make(chan error, 1)
			go func() { wrote <- c.Write(ctx, Message{Binary, make([]byte, 64<<20)}) }() // no goroutine is reading
			bounded.Until(t, func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.outbox.writing
			})
			cancel()
			err := bounded.Receive(t, wrote)
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "so the connection is closed") {
				t.Errorf("Write returned %v", err)
			}
			if err := c.Write(bounded.Context(t), Message{Text, nil}); CloseCode(err) != CodeAbnormal || !errors.Is(err, net.ErrClosed) {
				t.Errorf("the next Write returned %v", err)
			}
		})
	}
}

func TestCanceledWriteThatWaitedForItsTurnSendsNothing(t *testing.T) {
	client, server := tcpConns(t, nil)
	w, err := client.Writer(bounded.Context(t), Text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wrote := make(chan error, 1)
	go func() { wrote <- client.Write(ctx, Message{Text, []byte("never")}) }()
	cancel()
	if err := bounded.Receive(t, wrote); !errors.Is(err, context.Canceled) {
		t.Errorf("Write returned %v", err)
	}
	io.WriteString(w, "whole")
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if m, err := server.Read(bounded.Context(t)); err != nil || string(m.Data) != "whole" {
		t.Errorf("the server got %q, %v", m.Data, err)
	}
}

func TestReaderSurvivesItsContext(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	peer.send(peer.frame(frame.Text, false, "first, "))
	ctx, cancel := context.WithCancel(t.Context())
	_, r, err := c.Reader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := r.Read(buf)
	if err != nil || string(buf[:n]) != "first, " {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	cancel()
	if _, err := r.Read(buf); !errors.Is(err, context.Canceled) {
		t.Fatalf("a read after its context had ended returned %v", err)
	}
	peer.send(peer.frame(frame.Continuation, true, "skipped"), peer.frame(frame.Text, true, "next"))
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "next" {
		t.Errorf("the next Read returned %q, %v", m.Data, err)
	}
	if _, err := r.Read(buf); err != errStaleReader {
		t.Errorf("the earlier reader returned %v", err)
	}
}

// TestReaderTakesOverFromAnInterruptedRead checks that the Reader first returns the part of the message that an interrupted Read
// has received.
func TestReaderTakesOverFromAnInterruptedRead(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	_, err := readAndCancel(t, c, true, func() { peer.send(peer.frame(frame.Text, false, "one ")) })
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	peer.send(peer.frame(frame.Continuation, true, "two"))
	typ, r, err := c.Reader(bounded.Context(t))
	if err != nil || typ != Text {
		t.Fatal(typ, err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "one two" {
		t.Errorf("%q, %v", got, err)
	}
}
