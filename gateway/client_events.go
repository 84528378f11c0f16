package gateway

import (
	"errors"
	"net/http"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/websocket"
)

// events returns the function that serves the connection with the target's events. What it calls of the target may panic:
// that costs this client, and no other.
func (k *client) events(open func(websocket.Sender) websocket.Receiver) func(websocket.Sender) websocket.Receiver {
	return func(s websocket.Sender) websocket.Receiver {
		k.begin()
		w := &receiver{k: k, from: s}
		if err := k.guard(func() error { w.to = open(&sender{s, k}); return nil }); err != nil {
			fail(s, err)
		}
		// From here on the client may be warned of its token's end, behind what the target has sent first. One that was closed
		// meanwhile is shut.
		k.e.adm.conns.Open(k.entry, s)
		if d, ok := w.to.(drainer); ok {
			return &drainedReceiver{w, d}
		}
		return w
	}
}

// fail closes a connection because of err: without a closing handshake, when that is http.ErrAbortHandler.
func fail(h auth.Handle, err error) {
	if aborts(err) {
		_ = h.CloseNow()
		return
	}
	_ = h.Shut(websocket.CodeInternalError, "") // it may have ended
}

// aborts reports whether v, the value of a panic or the error made of it, is http.ErrAbortHandler: as in net/http, it cuts the
// connection, and is not recorded.
func aborts(v any) bool { return v == http.ErrAbortHandler } //nolint:errorlint // as net/http compares it

// guard calls the target. A panic becomes an error, and is recorded, unless it is to be quiet as in net/http.
func (k *client) guard(call func() error) (err error) {
	defer func() {
		p := recover()
		if aborts(p) {
			err = http.ErrAbortHandler
			return
		}
		if p != nil {
			k.e.rec.panicked(k.e.metrics, k.entry, p)
			err = errPanicked
		}
	}()
	return call()
}

// sender counts what a target sends.
type sender struct {
	websocket.Sender
	k *client
}

// Send implements [websocket.Sender].
func (s *sender) Send(m websocket.Message) error {
	err := s.Sender.Send(m)
	if err == nil {
		s.k.entry.Out.Add(int64(len(m.Data)))
	}
	return err
}

// SendPrepared implements [websocket.Sender].
func (s *sender) SendPrepared(ps ...*websocket.Prepared) error {
	err := s.Sender.SendPrepared(ps...)
	if err == nil {
		for _, p := range ps {
			s.k.entry.Out.Add(int64(p.Len()))
		}
	}
	return err
}

// receiver counts what a client sends, and passes it to the target's Receiver, which is nil when there is none.
type receiver struct {
	k    *client
	from websocket.Sender
	to   websocket.Receiver
	err  error // with which the target gave the connection up
}

// Message implements [websocket.Receiver].
func (r *receiver) Message(m websocket.Message) error {
	r.k.entry.In.Add(int64(len(m.Data)))
	if r.to == nil {
		return nil
	}
	r.err = r.k.guard(func() error { return r.to.Message(m) })
	return r.err
}

// Closed implements [websocket.Receiver].
func (r *receiver) Closed(how *websocket.CloseError) {
	if r.to != nil {
		if err := r.k.guard(func() error { r.to.Closed(how); return nil }); err != nil {
			r.err = errors.Join(r.err, err)
		}
	}
	r.k.end(how, r.err)
}

// drainer is a Receiver that wants to know when the queue is empty again.
type drainer interface{ Drained() }

// drainedReceiver is a receiver for a drainer.
type drainedReceiver struct {
	*receiver
	to drainer
}

// Drained passes the event on.
func (r *drainedReceiver) Drained() {
	if err := r.k.guard(func() error { r.to.Drained(); return nil }); err != nil {
		r.err = err
		fail(r.from, err)
	}
}
