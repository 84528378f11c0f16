package client

import (
	"encoding/json"
	"errors"

	"github.com/handfast/handfast/channels/wire"
)

// take handles a message from the server.
func (c *Client) take(text []byte) {
	var h struct {
		wire.Head
		Code wire.Code `json:"code"`
	}
	if json.Unmarshal(text, &h) != nil {
		return // ignores a message that this client does not know
	}
	switch {
	case h.ID != 0:
		c.answer(h.ID, h.Type == "error", text)
	case h.Type == "refresh":
		c.refresh()
	default:
		c.mu.Lock()
		s := c.subs[h.Channel]
		c.mu.Unlock()
		if s != nil {
			s.take(h.Type, h.Code, text)
		}
	}
}

// answer handles the reply to a command.
func (c *Client) answer(id uint64, failed bool, text []byte) {
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
		w.sub.answer(r)
		return
	}
	w.reply <- r
}

// answer handles the reply to the subscribe command.
func (s *Subscription) answer(r reply) {
	if failed, ok := errors.AsType[*Error](r.err); ok && failed.Code.Temporary() {
		s.client.again(s, retryPause)
		return
	}
	var a wire.Subscribed
	if r.err == nil {
		r.err = json.Unmarshal(r.text, &a)
	}
	if r.err != nil {
		s.client.drop(s)
		s.end(r.err)
		return
	}
	s.mu.Lock()
	gap := a.Recovered != nil && !*a.Recovered
	first := !s.answered
	s.position, s.known, s.answered, s.live = a.Position, true, true, true
	if first {
		s.Users, s.Members = a.Users, a.Members
		s.read = a.Position
	}
	s.mu.Unlock()
	if first {
		s.first <- nil
	}
	if gap {
		s.put(Event{Gap: a.Why})
	}
}

// take handles a message about the channel.
func (s *Subscription) take(kind string, code wire.Code, text []byte) {
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
		known := m.Offset != 0 && m.Offset <= s.position.Offset
		if m.Offset > s.position.Offset {
			s.position.Offset = m.Offset
		}
		s.mu.Unlock()
		if !known {
			s.put(Event{Message: m})
		}
	case "join", "update", "leave":
		ch := new(Change)
		if json.Unmarshal(text, ch) == nil {
			s.put(Event{Change: ch})
		}
	case "unsubscribed":
		switch {
		case code == wire.Unavailable:
			s.client.again(s, retryPause)
		case code.Temporary():
			s.client.again(s, 0)
		default:
			e := new(Error)
			_ = json.Unmarshal(text, e) // this does not fail, because text was already decoded once
			s.client.drop(s)
			s.end(e)
		}
	}
}
