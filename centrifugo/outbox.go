package centrifugo

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/internal/replies"
	"github.com/handfast/handfast/websocket"
)

// maxUnsent limits the bytes of replies that wait for room in the queue of the connection, and of messages from the hub that must
// follow a reply. A single reply may wait regardless of its size. A client may send the next command before it has read the last
// reply.
const maxUnsent = 1 << 20

// outbox is the Sender for the hub. It can hold back the hub's messages until a reply was sent.
type outbox struct {
	websocket.Sender
	format  format
	holding atomic.Bool // changed only while mu is locked

	mu           sync.Mutex
	replies      replies.Queue
	waiting      []*websocket.Prepared // messages that are held back
	size         int                   // the size of waiting in bytes
	slow         bool                  // whether waiting exceeded the limit, or a message of waiting was lost
	afterReplies bool                  // the messages in waiting must be sent after the replies that wait
}

// init sets the connection. It must be called first.
func (o *outbox) init(to websocket.Sender, f format) {
	o.Sender, o.format = to, f
	o.replies = replies.Queue{Out: to, Type: f.message(nil).Type, Max: maxUnsent}
}

// SendPrepared implements [websocket.Sender].
func (o *outbox) SendPrepared(ps ...*websocket.Prepared) error {
	if !o.holding.Load() {
		return o.Sender.SendPrepared(ps...)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.holding.Load() {
		return o.Sender.SendPrepared(ps...)
	}
	size := 0
	for _, p := range ps {
		size += p.Len()
	}
	if o.size+size > maxUnsent {
		o.slow = true // after ErrQueueFull the hub would wait for Drained, which would not be called
		return nil
	}
	o.size += size
	o.waiting = append(o.waiting, ps...)
	return nil
}

// hold holds the hub's messages, until release is called.
func (o *outbox) hold() {
	o.mu.Lock()
	o.holding.Store(true)
	o.mu.Unlock()
}

// release sends the held messages, after the waiting replies.
func (o *outbox) release() {
	if !o.holding.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.afterReplies = o.replies.Waiting(); o.afterReplies {
		return
	}
	for _, p := range o.waiting {
		o.size -= p.Len()
		if errors.Is(o.Sender.SendPrepared(p), websocket.ErrQueueFull) {
			o.slow = true
			break
		}
	}
	o.waiting = nil
	o.holding.Store(false)
}

// reply sends a reply. If the queue has no room, the reply waits.
func (o *outbox) reply(r *protocol.Reply) {
	data, err := o.format.encode(r)
	if err != nil { // the format cannot represent data of the application
		data, _ = o.format.encode(&protocol.Reply{Id: r.Id, Error: (*protocol.Error)(errInternal)})
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.replies.Send(data)
}

// drained sends the waiting replies, and the held messages if they must follow now.
func (o *outbox) drained() {
	o.mu.Lock()
	o.replies.Drained()
	follow := o.afterReplies && !o.replies.Waiting()
	o.mu.Unlock()
	if follow {
		o.release()
	}
}

// tooSlow reports whether the client reads too slowly.
func (o *outbox) tooSlow() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.slow || o.replies.Slow()
}
