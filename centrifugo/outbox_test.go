package centrifugo

import (
	"slices"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/websocket"
)

// recorder is a connection that records what is sent while its queue has room.
type recorder struct {
	websocket.Sender
	full bool
	sent []string
}

func (r *recorder) Send(m websocket.Message) error {
	if r.full {
		return websocket.ErrQueueFull
	}
	r.sent = append(r.sent, string(m.Data))
	return nil
}

func (r *recorder) SendPrepared(ps ...*websocket.Prepared) error {
	for _, p := range ps {
		if err := r.Send(websocket.Message{Data: p.Data()}); err != nil {
			return err
		}
	}
	return nil
}

func frameOf(t *testing.T, text string) *websocket.Prepared {
	t.Helper()
	p, err := websocket.Prepare(websocket.Message{Type: websocket.Text, Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newOutbox(to websocket.Sender, f format) *outbox {
	o := new(outbox)
	o.init(to, f)
	return o
}

// Messages of the hub are held until the reply was sent, and follow it.
func TestOutbox(t *testing.T) {
	r := new(recorder)
	o := newOutbox(r, asJSON)
	push := func(text string) {
		t.Helper()
		if err := o.SendPrepared(frameOf(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want ...string) {
		t.Helper()
		if !slices.Equal(r.sent, want) || o.tooSlow() {
			t.Fatalf("%.300q, want %.300q; slow: %v", r.sent, want, o.tooSlow())
		}
		r.sent = nil
	}
	push("free")
	want("free")
	o.hold()
	push("held")
	want()
	o.reply(&protocol.Reply{Id: 1})
	o.release()
	push("after")
	want(`{"id":1}`, "held", "after")
	o.release() // nothing is held
	r.full = true
	o.hold()
	push("held")
	o.reply(&protocol.Reply{Id: 2})
	o.reply(&protocol.Reply{Id: 3})
	o.release()
	o.drained()
	want()
	r.full = false
	o.drained()
	push("after")
	want(`{"id":2}`, `{"id":3}`, "held", "after")
	large := strings.Repeat("x", maxUnsent)
	for range 3 { // messages that were sent are no longer counted
		o.hold()
		push(large)
		o.release()
		want(large)
	}
	o.hold()
	push(large)
	push("x")
	if !o.tooSlow() {
		t.Error("not slow although the held messages exceed the limit")
	}
}

// A client that does not read its replies, or the held messages, is too slow.
func TestOutboxOfSlowClient(t *testing.T) {
	long := &protocol.Reply{Error: &protocol.Error{Message: strings.Repeat("x", maxUnsent/2)}}
	o := newOutbox(&recorder{full: true}, asJSON)
	if o.reply(long); o.tooSlow() {
		t.Error("slow with one reply")
	}
	if o.reply(long); !o.tooSlow() {
		t.Error("not slow although two waiting replies exceed the limit")
	}
	o = newOutbox(&recorder{full: true}, asJSON)
	if o.replies.Send(make([]byte, maxUnsent)); o.tooSlow() {
		t.Error("slow although the waiting reply is within the limit")
	}
	if o.replies.Send([]byte("x")); !o.tooSlow() {
		t.Error("not slow although the waiting replies exceed the limit")
	}
	o = newOutbox(&recorder{full: true}, asJSON)
	o.hold()
	if err := o.SendPrepared(frameOf(t, strings.Repeat("x", maxUnsent))); err != nil {
		t.Fatal(err)
	}
	if o.replies.Send(make([]byte, 2*maxUnsent)); o.tooSlow() {
		t.Error("slow although a single reply may exceed the limit, and the held messages do not")
	}
	o = newOutbox(&recorder{full: true}, asJSON)
	o.hold()
	if err := o.SendPrepared(frameOf(t, "held")); err != nil {
		t.Fatal(err)
	}
	if o.release(); !o.tooSlow() {
		t.Error("not slow although a held message was lost")
	}
}
