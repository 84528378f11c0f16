package client

import (
	"encoding/json"
	"errors"

	"github.com/handfast/handfast/channels/wire"
)

// receive handles a message from the server.
func (c *Client) receive(text []byte) {
	var h struct {
		wire.Head
		Code wire.Code `json:"code"`
	}
	if json.Unmarshal(text, &h) != nil {
		return // ignores a message that this client does not know
	}
	switch {
	case h.ID != 0:
		c.handleReply(h.ID, h.Type == "error", text)
	case h.Type == "refresh":
		c.refresh()
	default:
		c.mu.Lock()
		s := c.subs[h.Channel]
		c.mu.Unlock()
		if s != nil {
			s.handle(h.Type, h.Code, text)
		}
	}
}

// handleReply handles the reply to a command.
func (c *Client) handleReply(id uint64, failed bool, text []byte) {
	c.mu.Lock()
	w := c.calls[id]
	delete(c.calls, id)
	c.mu.Unlock()
	if w == nil {
		return
	}
	r := reply{text: text}
	if failed {
		e := new(Error)
		if err := json.Unmarshal(text, e); err != nil {
			r.err = err
		} else {
			r.err = e
		}
	}
	if w.sub != nil {
		w.sub.handleReply(r)
		return
	}
	w.reply <- r
}

// handleReply handles the reply to the subscribe command.
func (s *Subscription) handleReply(r reply) {
	if failed, ok := errors.AsType[*Error](r.err); ok && failed.Code.Temporary() {
		s.client.retrySubscribe(s, retryPause)
		return
	}
	var a wire.Subscribed
	if r.err == nil {
		r.err = json.Unmarshal(r.text, &a)
	}
	if r.err != nil {
		s.client.removeSubscription(s)
		s.end(r.err)
		return
	}
	s.mu.Lock()
	gap := a.Recovered != nil && !*a.Recovered
	first := !s.answered
	s.position, s.hasPosition, s.answered, s.live = a.Position, true, true, true
	if first {
		s.Users, s.Members = a.Users, a.Members
		s.read = a.Position
	}
	s.mu.Unlock()
	if first {
		s.firstReply <- nil
	}
	if gap {
		s.enqueue(Event{Gap: a.Why})
	}
}

// handle handles a message about the channel.
func (s *Subscription) handle(kind string, code wire.Code, text []byte) {
	s.mu.Lock()
	live := s.live
	if kind == "unsubscribed" {
		s.live = false
	}
	s.mu.Unlock()
	if !live {
		return // the message belongs to an earlier subscription
	}
	switch kind {
	case "message":
		m := new(Message)
		if json.Unmarshal(text, m) != nil {
			return
		}
		s.mu.Lock()
		duplicate := m.Offset != 0 && m.Offset <= s.position.Offset
		if m.Offset > s.position.Offset {
			s.position.Offset = m.Offset
		}
		s.mu.Unlock()
		if !duplicate {
			s.enqueue(Event{Message: m})
		}
	case "join", "update", "leave":
		ch := new(Change)
		if json.Unmarshal(text, ch) == nil {
			s.enqueue(Event{Change: ch})
		}
	case "unsubscribed":
		switch {
		case code == wire.Unavailable:
			s.client.retrySubscribe(s, retryPause)
		case code.Temporary():
			s.client.retrySubscribe(s, 0)
		default:
			e := new(Error)
			_ = json.Unmarshal(text, e) // this does not fail, because text was already decoded once
			s.client.removeSubscription(s)
			s.end(e)
		}
	}
}
