package replies

import (
	"fmt"
	"slices"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// out is a connection whose queue has space for a given number of messages.
type out struct {
	websocket.Sender
	room int
	sent []string
}

func (o *out) Send(m websocket.Message) error {
	if o.room == 0 {
		return websocket.ErrQueueFull
	}
	o.room--
	o.sent = append(o.sent, string(m.Data))
	return nil
}

// Replies are sent in order, as soon as there is space.
func TestOrder(t *testing.T) {
	o := &out{room: 1}
	q := Queue{Out: o}
	for i := range 4 {
		q.Send(fmt.Append(nil, i))
	}
	if !q.Waiting() || len(o.sent) != 1 {
		t.Errorf("%q", o.sent)
	}
	o.room = 2
	q.Drained()
	o.room = 1 // a later reply must not overtake the waiting one
	q.Send([]byte("4"))
	if !q.Waiting() || len(o.sent) != 3 {
		t.Errorf("%q", o.sent)
	}
	o.room = 9
	q.Drained()
	if want := []string{"0", "1", "2", "3", "4"}; q.Waiting() || q.Slow() || !slices.Equal(o.sent, want) {
		t.Errorf("%q", o.sent)
	}
}

// For a client that does not read, no more than the limit is queued.
func TestBound(t *testing.T) {
	o := &out{}
	q := Queue{Out: o}
	q.Send(make([]byte, maxWaiting-1))
	q.Send(make([]byte, 1))
	if q.Slow() {
		t.Error("slow at the limit")
	}
	q.Send(make([]byte, 1))
	if !q.Slow() || q.size != maxWaiting {
		t.Errorf("%v, %d bytes", q.Slow(), q.size)
	}
}
