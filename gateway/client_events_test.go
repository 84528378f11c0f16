package gateway

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// eventRecorder is a Receiver that executes the instruction in each message.
type eventRecorder struct {
	s       websocket.Sender
	closed  *atomic.Int32
	drained *atomic.Int32
}

func (p *eventRecorder) Message(m websocket.Message) error {
	switch string(m.Data) {
	case "abort":
		panic(http.ErrAbortHandler)
	case "panic":
		panic("the receiver is broken")
	case "leave":
		return &websocket.CloseError{Code: 4321, Reason: "as you wish"}
	case "prepared":
		one, err := websocket.Prepare(m)
		if err != nil {
			return err
		}
		return p.s.SendPrepared(one, one)
	}
	return p.s.Send(m)
}

func (p *eventRecorder) Closed(*websocket.CloseError) { p.closed.Add(1) }

func (p *eventRecorder) Drained() { p.drained.Add(1) }

// A target may serve its clients with events: messages are counted, the end of each connection is recorded, and a panic closes only
// one client.
func TestTargetEvents(t *testing.T) {
	var closed, drained atomic.Int32
	r := runTargets(t, parse(t, users, key), sameTarget(&fakeTarget{open: func(_ context.Context, r *Request) (*Opened, error) {
		return &Opened{Open: func(s websocket.Sender) websocket.Receiver {
			switch r.Identity.Method {
			case "jwt":
				return &eventRecorder{s, &closed, &drained}
			default:
				panic("Open is broken")
			}
		}}, nil
	}}))
	say := func(c *websocket.Conn, text string) {
		t.Helper()
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	alice := withToken(token("alice", time.Hour, nil))
	c := r.open(t, "/chat", alice)
	wantEcho(t, c)
	say(c, "prepared")
	for range 2 {
		if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "prepared" {
			t.Fatalf("%q, %v", m.Data, err)
		}
	}
	r.metric(t, `handfast_connections{endpoint="chat"} 1`)
	r.metric(t, `handfast_message_bytes_total{direction="in",endpoint="chat"} 13`)
	r.metric(t, `handfast_message_bytes_total{direction="out",endpoint="chat"} 21`)
	say(c, "leave")
	if e := readCloseError(t, c); e.Code != 4321 || e.Reason != "as you wish" {
		t.Errorf("closed with %v", e)
	}
	waitForLog(t, &r.audited, `"disconnected"`, `"code":4321`, `"by":"local"`, `"messages_in":3`, `"messages_out":3`)

	c = r.open(t, "/chat", alice)
	say(c, "panic")
	if e := readCloseError(t, c); e.Code != websocket.CodeInternalError {
		t.Errorf("closed with %v", e)
	}
	waitForLog(t, &r.log, `panic="the receiver is broken"`, "user=alice")
	if e := readCloseError(t, r.open(t, "/open", nil)); e.Code != websocket.CodeInternalError {
		t.Errorf("closed with %v", e)
	}
	r.metric(t, `handfast_target_panics_total{endpoint="open"} 1`)

	c = r.open(t, "/chat", alice)
	say(c, "abort")
	if e := readCloseError(t, c); e.Code != websocket.CodeAbnormal {
		t.Errorf("closed with %v", e)
	}
	r.metric(t, `handfast_target_panics_total{endpoint="chat"} 1`) // an abort is not counted

	c = r.open(t, "/chat", alice)
	wantEcho(t, c) // the target has received the message
	bounded.Until(t, func() bool { return r.conns.Len() == 1 })
	if n := r.conns.Close(registry.Filter{User: "alice"}, 4000, "bye"); n != 1 {
		t.Errorf("%d connections were closed", n)
	}
	if e := readCloseError(t, c); e.Code != 4000 || e.Reason != "bye" {
		t.Errorf("closed with %v", e)
	}
	bounded.Until(t, func() bool { return closed.Load() == 4 && r.conns.Len() == 0 })
}

// floodingReceiver is a Receiver that fills the queue, and reports when it is empty again.
type floodingReceiver struct {
	s      websocket.Sender
	panics bool
}

func (h *floodingReceiver) Message(m websocket.Message) error {
	h.panics = string(m.Data) == "panic"
	for h.s.Buffered() <= 640<<10 { // more than half of the queue
		if err := h.s.Send(websocket.Message{Type: websocket.Binary, Data: make([]byte, 32<<10)}); err != nil {
			return err
		}
	}
	return nil
}

func (h *floodingReceiver) Closed(*websocket.CloseError) {}

func (h *floodingReceiver) Drained() {
	if h.panics {
		panic("Drained is broken")
	}
	_ = h.s.Send(websocket.Message{Type: websocket.Text, Data: []byte("empty again")})
}

// A target is notified when the queue of a slow client is empty again. A panic in that callback closes only this client.
func TestTargetDrained(t *testing.T) {
	r := runTargets(t, parse(t, users, key), sameTarget(&fakeTarget{open: func(context.Context, *Request) (*Opened, error) {
		return &Opened{Open: func(s websocket.Sender) websocket.Receiver { return &floodingReceiver{s: s} }}, nil
	}}))
	c := r.open(t, "/open", nil)
	for _, text := range []string{"fill", "panic"} {
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
		if text == "panic" {
			break
		}
		for {
			m, err := c.Read(bounded.Context(t))
			if err != nil {
				t.Fatal(err)
			}
			if m.Type == websocket.Text {
				break
			}
		}
	}
	if e := readCloseError(t, c); e.Code != websocket.CodeInternalError {
		t.Errorf("closed with %v", e)
	}
	waitForLog(t, &r.log, `panic="Drained is broken"`)
	waitForLog(t, &r.log, "endpoint=open", `cause="the target panicked"`, "code=1011")
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
}

// The warning that a client's token will expire follows the first messages of the target.
func TestTargetEventsBeforeTheWarning(t *testing.T) {
	conns := make(chan *registry.Registry, 1)
	warnable := make(chan bool, 1)
	r := runTargets(t, parse(t, users+"\t- {name: short, path: /short, target: echo, auth: [users], expiry: {warn: 1h}}\n", key),
		sameTarget(&fakeTarget{open: func(context.Context, *Request) (*Opened, error) {
			return &Opened{Open: func(s websocket.Sender) websocket.Receiver {
				warnable <- (<-conns).List(registry.Filter{})[0].Handle() != nil
				if err := s.Send(websocket.Message{Type: websocket.Text, Data: []byte("welcome")}); err != nil {
					t.Error(err)
				}
				return nil
			}}, nil
		}}))
	conns <- r.conns
	c := r.open(t, "/short", withToken(token("ann", time.Minute, nil)))
	if bounded.Receive(t, warnable) {
		t.Error("the client can be warned before the target has sent anything")
	}
	for _, want := range []string{"welcome", `"refresh"`} {
		if m, err := c.Read(bounded.Context(t)); err != nil || !strings.Contains(string(m.Data), want) {
			t.Errorf("%q, %v, want %s", m.Data, err, want)
		}
	}
}
