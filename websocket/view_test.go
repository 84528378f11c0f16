package websocket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// viewing echoes messages with View.
func viewing(c *Conn) {
	ctx := context.Background()
	for c.View(ctx, func(m Message) error { return c.Write(ctx, m) }) == nil {
	}
}

// TestView checks that messages of all sizes arrive unchanged: sequentially and concurrently, in fragments, compressed, over
// sockets and pipes.
func TestView(t *testing.T) {
	for _, compress := range []*Compression{nil, {}} {
		e := &Endpoint{Serve: viewing}
		e.Accept.Conn = ConnOptions{Compression: compress, MaxMessage: -1}
		addr := serveOwn(t, ownServer(e))
		c, err := Dial(bounded.Context(t), "ws://"+addr, &DialOptions{Proxy: noProxy, Conn: ConnOptions{Compression: compress, MaxMessage: -1}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		for _, size := range []int{0, 1, 64, 125, 126, 4 << 10, 32 << 10, 33 << 10, 300 << 10, 300 << 10, 3 << 20, 3<<20 + 1, 5} {
			want := make([]byte, size)
			for i := range want {
				want[i] = byte(i * i >> 3)
			}
			if err := c.Write(bounded.Context(t), Message{Binary, want}); err != nil {
				t.Fatal(err)
			}
			if m, err := c.Read(bounded.Context(t)); err != nil || !bytes.Equal(m.Data, want) {
				t.Errorf("%d bytes: %d, %v", size, len(m.Data), err)
			}
		}
		w, err := c.Writer(bounded.Context(t), Text)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Repeat("in fragments ", 10<<10)
		if _, err := io.WriteString(w, want); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != want || m.Type != Text {
			t.Errorf("in fragments: %d bytes, %v", len(m.Data), err)
		}
		for i := range 200 {
			if err := c.Send(Message{Text, fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 200 {
			if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != fmt.Sprint(i) {
				t.Fatalf("message %d: %q, %v", i, m.Data, err)
			}
		}
	}
}

// TestViewKeepsItsMessage checks that data that is read while f runs does not overwrite the message.
func TestViewKeepsItsMessage(t *testing.T) {
	for name, pair := range map[string]func(testing.TB, protocol.Role, *ConnOptions) (*Conn, raw){"socket": rawTCP, "pipe": rawPipe, "TLS": rawTLS} {
		t.Run(name, func(t *testing.T) {
			c, peer := pair(t, protocol.RoleServer, nil)
			go func() {
				peer.send(append(peer.frame(frame.Text, true, strings.Repeat("1", 50)), peer.frame(frame.Pong, true, "unasked")...))
				_, ping := peer.next() // the pong follows a lot of unrelated data
				for range 300 {
					peer.send(peer.frame(frame.Pong, true, strings.Repeat("x", 100)))
				}
				peer.send(peer.frame(frame.Pong, true, ping), peer.frame(frame.Text, true, "2"))
			}()
			err := c.View(bounded.Context(t), func(m Message) error {
				for i := range m.Data { // f may modify the data
					m.Data[i]++
				}
				if _, err := c.Read(bounded.Context(t)); !errors.Is(err, ErrConcurrentRead) {
					t.Errorf("Read in a View: %v", err)
				}
				if err := c.View(bounded.Context(t), nil); !errors.Is(err, ErrConcurrentRead) {
					t.Errorf("View in a View: %v", err)
				}
				if _, err := c.Ping(bounded.Context(t)); err != nil {
					t.Errorf("Ping in a View: %v", err)
				}
				if want := strings.Repeat("2", 50); string(m.Data) != want {
					t.Errorf("the message became %q", m.Data)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "2" {
				t.Errorf("read %q, %v", m.Data, err)
			}
		})
	}
}

// TestViewReturnsTheErrorOfItsFunction also checks that the connection stays open after an error or a panic, and that a Close in the
// function does not wait for the View.
func TestViewReturnsTheErrorOfItsFunction(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	go peer.send(append(peer.frame(frame.Text, true, "1"), peer.frame(frame.Text, true, "2")...))
	mine := errors.New("mine")
	if err := c.View(bounded.Context(t), func(Message) error { return mine }); err != mine {
		t.Errorf("View: %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("View recovered the panic")
			}
		}()
		c.View(bounded.Context(t), func(Message) error { panic("mine") })
	}()
	go func() {
		peer.send(peer.frame(frame.Text, true, "3"))
		peer.expectClose(CodeNormal)
		peer.send(peer.frame(frame.Close, true, closeBody(CodeNormal, "")))
	}()
	err := c.View(bounded.Context(t), func(m Message) error {
		if string(m.Data) != "3" {
			t.Errorf("got %q", m.Data)
		}
		return c.Close(CodeNormal, "")
	})
	if err != nil {
		t.Errorf("Close in a View: %v", err)
	}
	if err := c.View(bounded.Context(t), nil); CloseCode(err) != CodeNormal {
		t.Errorf("View after the end: %v", err)
	}
}

// TestViewInterrupted checks that the part of a message that an interrupted View has received is not lost: the next View returns it.
func TestViewInterrupted(t *testing.T) {
	for _, size := range []int{100, 100 << 10} {
		want := strings.Repeat("0123456789", size/10)
		c, peer := rawTCP(t, protocol.RoleServer, nil)
		f := peer.frame(frame.Text, true, want)
		ctx, cancel := context.WithCancel(t.Context())
		peer.send(f[:len(f)/2])
		go func() {
			bounded.Until(t, c.inbox.received.Load)
			cancel()
		}()
		if err := c.View(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("View: %v", err)
		}
		go peer.send(f[len(f)/2:])
		err := c.View(bounded.Context(t), func(m Message) error {
			if string(m.Data) != want {
				t.Errorf("got %d bytes, want %d", len(m.Data), size)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestViewLendsNoMoreThanTheMessage checks that data appended to the message by f is stored elsewhere, however the frame was split.
func TestViewLendsNoMoreThanTheMessage(t *testing.T) {
	for cut := range 8 {
		c, peer := rawTCP(t, protocol.RoleServer, nil)
		one, two := peer.frame(frame.Text, true, "one"), peer.frame(frame.Text, true, "two")
		peer.send(one[:cut])
		go func() {
			bounded.Until(t, func() bool { return cut == 0 || c.inbox.received.Load() })
			peer.send(append(one[cut:], two...))
		}()
		for _, want := range []string{"one", "two"} {
			err := c.View(bounded.Context(t), func(m Message) error {
				if string(m.Data) != want {
					t.Errorf("cut at %d: %q, want %q", cut, m.Data, want)
				}
				_ = append(m.Data, "scribbled over"...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestViewAfterAReader checks that the unread rest of a Reader's message is skipped.
func TestViewAfterAReader(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	go peer.send(append(peer.frame(frame.Text, false, "1"), peer.frame(frame.Continuation, true, "1")...), peer.frame(frame.Text, true, "2"))
	if _, _, err := c.Reader(bounded.Context(t)); err != nil {
		t.Fatal(err)
	}
	err := c.View(bounded.Context(t), func(m Message) error {
		if string(m.Data) != "2" {
			t.Errorf("got %q", m.Data)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
