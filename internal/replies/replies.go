// Package replies sends the replies of a protocol on a connection whose queue may be full.
package replies

import (
	"cmp"
	"errors"

	"github.com/handfast/handfast/websocket"
)

// maxWaiting is the default of Queue.Max.
const maxWaiting = 256 << 10

// Queue sends messages on a connection, in order. Messages for which the connection's queue has no space wait for
// [Queue.Drained]. It may be used by one goroutine at a time, such as in the calls of a [websocket.Receiver].
type Queue struct {
	// Out is the connection.
	Out websocket.Sender

	// Type is the type of the messages; 0 means text.
	Type websocket.Type

	// Max is the maximum size, in bytes, of the waiting messages; 0 means 256 KiB. A single message of any size may wait.
	Max int

	waiting [][]byte
	size    int  // size of the waiting replies, in bytes
	slow    bool // the limit was exceeded
}

// Send sends a reply, or stores it until there is space. data must not be modified afterwards.
func (q *Queue) Send(data []byte) {
	if len(q.waiting) == 0 {
		err := q.Out.Send(websocket.Message{Type: cmp.Or(q.Type, websocket.Text), Data: data})
		if !errors.Is(err, websocket.ErrQueueFull) {
			return // the reply was sent, or the connection has ended
		}
	}
	if q.size > 0 && q.size+len(data) > cmp.Or(q.Max, maxWaiting) {
		q.slow = true
		return
	}
	q.size += len(data)
	q.waiting = append(q.waiting, data)
}

// Drained sends the waiting replies. It must be called when the connection's queue becomes empty.
func (q *Queue) Drained() {
	waiting := q.waiting
	q.waiting, q.size = nil, 0
	for _, data := range waiting {
		q.Send(data)
	}
}

// Waiting reports whether replies are waiting. If so, later messages must wait, too.
func (q *Queue) Waiting() bool { return len(q.waiting) > 0 }

// Slow reports whether more replies had to wait than the limit allows. Some replies are lost, so the connection must be closed.
func (q *Queue) Slow() bool { return q.slow }
