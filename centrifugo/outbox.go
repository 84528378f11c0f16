package centrifugo

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/websocket"
)

// maxUnsent bounds the bytes of replies that wait for room in the queue of the connection, and those of what the hub sends that wait for
// the reply that goes before them. One reply may wait however large it is: a client may ask for the next before it has read the last.
const maxUnsent = 1 << 20

// outbox is the Sender that the hub has: what the hub sends may be held until a reply is out.
type outbox struct {
	websocket.Sender
	format format
	held   atomic.Bool // set with mu, unset with mu

	mu      sync.Mutex
	waiting []*websocket.Prepared // held
	size    int                   // of these, in bytes
	unsent  [][]byte              // replies that the queue had no room for
	owed    int                   // of these, in bytes
	slow    bool                  // either are too many
	late    bool                  // what is held is to be released behind unsent
}

// SendPrepared implements [websocket.Sender].
func (o *outbox) SendPrepared(ps ...*websocket.Prepared) error {
	if !o.held.Load() {
		return o.Sender.SendPrepared(ps...)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.held.Load() {
		return o.Sender.SendPrepared(ps...)
	}
	size := 0
	for _, p := range ps {
		size += p.Len()
	}
	if o.size+size > maxUnsent {
		o.slow = true // it would not be told that there is room again
		return nil
	}
	o.size += size
	o.waiting = append(o.waiting, ps...)
	return nil
}

// hold holds what the hub sends, until release.
func (o *outbox) hold() {
	o.mu.Lock()
	o.held.Store(true)
	o.mu.Unlock()
}

// release sends what was held, behind the replies that wait.
func (o *outbox) release() {
	if !o.held.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.late = len(o.unsent) > 0; o.late {
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
	o.held.Store(false)
}

// reply sends an answer. What the queue has no room for waits.
func (o *outbox) reply(r *protocol.Reply) {
	data, err := o.format.encode(r)
	if err != nil { // what the application has said is not in the format
		data, _ = o.format.encode(&protocol.Reply{Id: r.Id, Error: (*protocol.Error)(errInternal)})
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send(data)
}

// send is reply for a caller that holds mu.
func (o *outbox) send(data []byte) {
	if len(o.unsent) == 0 {
		err := o.Sender.Send(o.format.message(data))
		if !errors.Is(err, websocket.ErrQueueFull) {
			return // it is sent, or the connection has ended
		}
	}
	if o.owed > 0 && o.owed+len(data) > maxUnsent {
		o.slow = true
		return
	}
	o.owed += len(data)
	o.unsent = append(o.unsent, data)
}

// drained sends the replies that wait.
func (o *outbox) drained() {
	if o.sendUnsent() {
		o.release()
	}
}

// sendUnsent sends replies, and reports whether what is held is to follow.
func (o *outbox) sendUnsent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	waiting := o.unsent
	o.unsent, o.owed = nil, 0
	for _, data := range waiting {
		o.send(data)
	}
	return o.late && len(o.unsent) == 0
}

// tooSlow reports whether the client does not read what it gets.
func (o *outbox) tooSlow() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.slow
}
