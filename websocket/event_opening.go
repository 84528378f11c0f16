package websocket

import (
	"bytes"
	"net/http"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/loop"
)

var eventHeads = sync.Pool{New: func() any { return new(opening.Head) }}

// request parses bytes of the client's request. If the response is 101, it returns the bytes after the request, otherwise nil.
func (c *eventConn) request(d *loop.Driver, win []byte) []byte {
	settings := c.inbox.outbox.link.kind.opening
	text := win
	if c.inbox.msg != nil { // not the beginning of the request
		c.inbox.msg = c.inbox.msg.grown(len(win))
		c.inbox.msg.b = append(c.inbox.msg.b, win...)
		if text = c.inbox.msg.b; bytes.IndexByte(win, '\n') < 0 && len(text) < settings.headLimits.Bytes {
			return nil
		}
	}
	h := eventHeads.Get().(*opening.Head)
	defer eventHeads.Put(h)
	h.Reset(settings.headLimits)
	verdict, v := h.Parse(text)
	if verdict == opening.More {
		if c.inbox.msg == nil {
			c.inbox.msg = borrow(len(text))
			c.inbox.msg.b = append(c.inbox.msg.b, text...)
		}
		return nil
	}
	whole := c.inbox.msg
	c.inbox.msg = nil
	defer whole.free()
	switch {
	case settings.handOver != nil && v != nil && v.Status == http.StatusRequestHeaderFieldsTooLarge:
		c.handOver(text) // the head may still be within HTTP's own limit
		return nil
	case verdict == opening.Bad:
		c.refuse(opening.Violated(v), h.Opening(opening.View(text)))
		return nil
	case settings.handOver != nil && verdict == opening.Other:
		c.handOver(text)
		return nil
	case !c.answer(h, opening.View(text)):
		return nil
	}
	rest := text[h.Len():]
	if whole != nil && len(rest) > 0 {
		c.parse(d, rest) // rest is in whole, which goes back to the pool on return
		return nil
	}
	return rest
}

// answer responds to a request: it opens the connection, or rejects the client.
func (c *eventConn) answer(h *opening.Head, text string) bool {
	rules, endpoint := &c.inbox.outbox.link.kind.opening.rules, c.inbox.outbox.link.kind.opening.roster
	o := h.Opening(text)
	if endpoint != nil && !endpoint.enter() {
		c.refuse(denied(errGoingAway), o)
		return false
	}
	o.TLS = c.inbox.outbox.link.sec() != nil
	if len(rules.Origin.Proxies) > 0 {
		o.RemoteAddr = c.RemoteAddr().String()
	}
	terms, refused := rules.Admit(o, nil)
	if refused != nil {
		c.refuse(refused, o)
		endpoint.exit()
		return false
	}
	c.inbox.outbox.link.fd.Lock()
	c.inbox.outbox.link.agree(&terms)
	out := c.inbox.outbox.reserve(0)
	out.b = terms.AppendAnswer(out.b, o, nil, rules.Header)
	out.partialFrame = out.size() // drop must keep all of the response
	open := c.inbox.outbox.phase == phaseOpening && c.inbox.outbox.link.stop.Load() == 0
	if open {
		c.inbox.outbox.phase = phaseOpen
		c.keepAlive()
	}
	c.inbox.outbox.link.fd.Unlock()
	if !open {
		endpoint.exit()
		return false
	}
	c.openReceiver()
	if endpoint.isClosing() { // the connection was still in its handshake when a Shutdown listed the open ones
		c.Shut(CodeGoingAway, "") //nolint:errcheck // Shut fails only for an invalid code
	}
	return true
}

// requestTimedOut rejects a client whose request has begun and is still incomplete after the time limit.
func (c *eventConn) requestTimedOut() {
	text := c.inbox.msg
	c.inbox.msg = nil
	defer text.free()
	h := eventHeads.Get().(*opening.Head)
	defer eventHeads.Put(h)
	h.Reset(c.inbox.outbox.link.kind.opening.headLimits)
	h.Parse(text.b) //nolint:errcheck // the header is incomplete, so Parse returns an error
	c.refuse(opening.Violated(requestTimeout), h.Opening(opening.View(text.b)))
}

// refuse sends the reply to a rejected request, and ends the connection when the client has received it.
func (c *eventConn) refuse(f *opening.Refusal, o *handshake.Opening) {
	c.inbox.stage = stageRefused
	c.inbox.outbox.link.fd.Lock()
	out := c.inbox.outbox.reserve(0)
	var body string
	out.b, body = f.Append(out.b, o, time.Now())
	out.partialFrame = out.size()
	c.inbox.outbox.link.ensureEnding().begun = &CloseError{Code: CodeAbnormal, ByPeer: true, Err: f}
	c.inbox.outbox.setPhase(phaseLingering)
	remote := c.inbox.outbox.link.remoteLocked()
	c.inbox.outbox.link.fd.Unlock()
	if report := c.inbox.outbox.link.kind.opening.refused; report != nil {
		report(remote, f, body)
	}
}

// handOver passes the connection to HTTP, with all bytes that were read from it.
func (c *eventConn) handOver(text []byte) {
	c.inbox.stage = stageRefused
	early := bytes.Clone(text)
	c.inbox.outbox.link.fd.Lock()
	if c.inbox.outbox.link.end != nil { // the connection is already ending
		c.inbox.outbox.link.fd.Unlock()
		return
	}
	remote, left := c.inbox.outbox.link.remoteLocked(), c.inbox.outbox.link.fd.Left()
	nc, err := c.inbox.outbox.link.fd.Detach()
	if err != nil { // no file descriptors are left: the connection is closed
		c.inbox.outbox.link.fail(&CloseError{Code: CodeAbnormal, Err: err})
		c.inbox.outbox.link.fd.Unlock()
		if report := c.inbox.outbox.link.kind.opening.refused; report != nil {
			report(remote, &opening.Refusal{Stage: handshake.StageRequest, Err: err}, "")
		}
		return
	}
	c.inbox.outbox.phase = phaseDead
	c.inbox.outbox.link.stop.Or(stopNow | stopEnding)
	c.inbox.outbox.link.fd.Unlock()
	c.inbox.outbox.link.kind.opening.handOver(nc, early, left)
}
