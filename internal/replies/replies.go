// Package replies sends the replies of a protocol on a connection whose queue may be full.
package replies

import (
	"errors"

	"github.com/handfast/handfast/websocket"
)

// most bounds the bytes of replies that wait for room in the queue of a connection. One reply may wait however large it is.
const most = 256 << 10

// Queue sends text messages on a connection, in their order: those that the queue of the connection has no room for wait for
// [Queue.Drained]. It may be used by one goroutine at a time,
// as the calls of a [websocket.Receiver] are.
type Queue struct {
	// Out is the connection.
	Out websocket.Sender

	waiting [][]byte
	size    int  // of these, in bytes
	slow    bool // they are too many
}

// Send sends a reply, or keeps it until there is room. text must not be changed afterwards.
func (q *Queue) Send(text []byte) {
	if len(q.waiting) == 0 {
		err := q.Out.Send(websocket.Message{Type: websocket.Text, Data: text})
		if !errors.Is(err, websocket.ErrQueueFull) {
			return // it is sent, or the connection has ended
		}
	}
	if q.size > 0 && q.size+len(text) > most {
		q.slow = true
		return
	}
	q.size += len(text)
	q.waiting = append(q.waiting, text)
}

// Drained sends what waits. It is to be called when the queue of the connection is empty again.
func (q *Queue) Drained() {
	waiting := q.waiting
	q.waiting, q.size = nil, 0
	for _, text := range waiting {
		q.Send(text)
	}
}

// Waiting reports whether replies wait: what is to be sent behind them has to wait, too.
func (q *Queue) Waiting() bool { return len(q.waiting) > 0 }

// Slow reports whether more replies waited than the queue keeps. Some are lost, so the connection has to be closed.
func (q *Queue) Slow() bool { return q.slow }
