package drivertest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// acceptedBeforeClose checks that the server's replies to messages are sent before its reply to a close frame that
// arrived together with those messages.
func acceptedBeforeClose(t *testing.T, d *suite) {
	const n = 50
	for name, answer := range map[string]func(s websocket.Sender, m websocket.Message) error{
		"Send": websocket.Sender.Send,
		"SendPrepared": func(s websocket.Sender, m websocket.Message) error {
			p, err := websocket.Prepare(m)
			if err != nil {
				return err
			}
			return s.SendPrepared(p)
		},
	} {
		for _, size := range []int{10, 5000, 100_000} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				m := newMember()
				m.message = func(msg websocket.Message) error { return answer(m.sender, msg) }
				nc := d.serve(t, &websocket.ConnOptions{QueueBytes: 64 << 20}, m.open)
				b := &batch{masked: d.peer == protocol.RoleClient}
				for i := range n {
					b.add(websocket.Binary, numbered(i, size))
				}
				b.add(8, []byte("\x03\xe8done"))
				go nc.Write(b.out) //nolint:errcheck // if the write fails, the reader fails, too
				c := Conn(t, nc, d.peer, nil)
				t.Cleanup(func() { c.CloseNow() })
				for i := range n {
					msg, err := c.Read(bounded.Context(t))
					if err != nil || string(msg.Data) != string(numbered(i, size)) {
						t.Fatalf("answer %d of %d: %.20q, %v", i, n, msg.Data, err)
					}
				}
				if _, err := c.Read(bounded.Context(t)); websocket.CloseCode(err) != websocket.CodeNormal {
					t.Errorf("after the answers: %v", err)
				}
				m.wantClosed(t, websocket.CodeNormal, "done", true)
			})
		}
	}
}

func numbered(i, size int) []byte {
	b := make([]byte, size)
	for k := range b {
		b[k] = byte(i)
	}
	return b
}

func closeFromServer(t *testing.T, d *suite) {
	m := newMember()
	m.message = func(msg websocket.Message) error {
		for i := range 10 {
			if err := m.sender.Send(websocket.Message{Type: websocket.Text, Data: fmt.Append(nil, i)}); err != nil {
				return err
			}
		}
		if m.sender.Shut(1006, "") == nil {
			t.Error("Shut accepts a code that must not be sent")
		}
		return m.sender.Shut(4321, "that is all")
	}
	c := join(t, d, nil, m.open)
	send(t, c, "go")
	for i := range 10 {
		want(t, c, fmt.Sprint(i))
	}
	wantEnd(t, c, 4321, "that is all")
	if err := m.wantClosed(t, 4321, "that is all", false); err.Err != nil {
		t.Errorf("Closed(%v)", err)
	}
	if m.sender.Shut(websocket.CodeNormal, "") != nil {
		t.Error("Shut after the end returns an error")
	}
}

func closeFromClient(t *testing.T, d *suite) {
	m := newMember()
	c := join(t, d, nil, m.open)
	send(t, c, "hello")
	want(t, c, "hello")
	if err := c.Close(4000, "enough"); err != nil {
		t.Errorf("Close: %v", err)
	}
	m.wantClosed(t, 4000, "enough", true)
}

func closeNow(t *testing.T, d *suite) {
	m := newMember()
	c := join(t, d, nil, m.open)
	m.sender.CloseNow() //nolint:errcheck // CloseNow always returns nil
	wantEnd(t, c, websocket.CodeAbnormal, "")
	m.wantClosed(t, websocket.CodeAbnormal, "", false)
}

func errorCloses(t *testing.T, d *suite) {
	for _, tt := range []struct {
		name   string
		err    error
		code   websocket.Code
		reason string
	}{
		{"any error", errors.New("secret"), websocket.CodeInternalError, ""},
		{"a CloseError", &websocket.CloseError{Code: 4001, Reason: "unauthorized"}, 4001, "unauthorized"},
		{"a wrapped CloseError", fmt.Errorf("secret: %w", &websocket.CloseError{Code: 4002}), 4002, ""},
		{"a code that cannot be sent", &websocket.CloseError{Code: 1006, Reason: "secret"}, websocket.CodeInternalError, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMember()
			m.message = func(websocket.Message) error { return tt.err }
			c := join(t, d, nil, m.open)
			send(t, c, "hello")
			wantEnd(t, c, tt.code, tt.reason)
			m.wantClosed(t, tt.code, tt.reason, false)
		})
	}
}

func panics(t *testing.T, d *suite) {
	m := newMember()
	m.message = func(websocket.Message) error { panic("a secret\nof two lines") }
	c := join(t, d, nil, m.open)
	send(t, c, "hello")
	wantEnd(t, c, websocket.CodeInternalError, "")
	err := m.wantClosed(t, websocket.CodeInternalError, "", false)
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "panic: a secret of two lines") {
		t.Errorf("Closed(%q)", text)
	}

	c = join(t, d, nil, func(websocket.Sender) websocket.Receiver { panic("secret") })
	wantEnd(t, c, websocket.CodeInternalError, "")
}

// Like a net/http handler, a Receiver can close its connection by panicking with http.ErrAbortHandler.
func abort(t *testing.T, d *suite) {
	m := newMember()
	m.message = func(websocket.Message) error { panic(http.ErrAbortHandler) }
	c := join(t, d, nil, m.open)
	send(t, c, "hello")
	wantEnd(t, c, websocket.CodeAbnormal, "")
	m.wantClosed(t, websocket.CodeAbnormal, "", false)

	c = join(t, d, nil, func(websocket.Sender) websocket.Receiver { panic(http.ErrAbortHandler) })
	wantEnd(t, c, websocket.CodeAbnormal, "")
}

func nilReceiver(t *testing.T, d *suite) {
	var s websocket.Sender
	c := join(t, d, nil, func(to websocket.Sender) websocket.Receiver { s = to; return nil })
	send(t, c, "not received")
	if err := s.SendPrepared(prepared(t, "news")); err != nil {
		t.Fatal(err)
	}
	want(t, c, "news")
	if _, err := c.Ping(bounded.Context(t)); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if err := c.Close(websocket.CodeNormal, ""); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// Sending a Prepared that was not made by Prepare returns an error instead of silently losing the message.
func notPrepared(t *testing.T, d *suite) {
	m := newMember()
	c := join(t, d, nil, m.open)
	if err := m.sender.SendPrepared(new(websocket.Prepared)); err == nil {
		t.Error("SendPrepared of the zero value returns no error")
	}
	m.sender.CloseNow() //nolint:errcheck // CloseNow always returns nil
	wantEnd(t, c, websocket.CodeAbnormal, "")
	m.wantClosed(t, websocket.CodeAbnormal, "", false)
}
