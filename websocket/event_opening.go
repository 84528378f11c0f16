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
	settings := c.kind.opening
	text := win
	if c.msg != nil { // not the beginning of the request
		c.msg = c.msg.grown(len(win))
		c.msg.b = append(c.msg.b, win...)
		if text = c.msg.b; bytes.IndexByte(win, '\n') < 0 && len(text) < settings.headLimits.Bytes {
			return nil
		}
	}
	h := eventHeads.Get().(*opening.Head)
	defer eventHeads.Put(h)
	h.Reset(settings.headLimits)
	verdict, v := h.Parse(text)
	if verdict == opening.More {
		if c.msg == nil {
			c.msg = borrow(len(text))
			c.msg.b = append(c.msg.b, text...)
		}
		return nil
	}
	whole := c.msg
	c.msg = nil
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
	rules, endpoint := &c.kind.opening.rules, c.kind.opening.roster
	o := h.Opening(text)
	if endpoint != nil && !endpoint.enter() {
		c.refuse(denied(errGoingAway), o)
		return false
	}
	o.TLS = c.sec() != nil
	if len(rules.Origin.Proxies) > 0 {
		o.RemoteAddr = c.RemoteAddr().String()
	}
	terms, refused := rules.Admit(o, nil)
	if refused != nil {
		c.refuse(refused, o)
		endpoint.exit()
		return false
	}
	c.fd.Lock()
	c.agree(&terms)
	out := c.reserve(0)
	out.b = terms.AppendAnswer(out.b, o, nil, rules.Header)
	out.partialFrame = out.size() // drop must keep all of the response
	open := c.phase == phaseOpening && c.stop.Load() == 0
	if open {
		c.phase = phaseOpen
		c.keepAlive()
	}
	c.fd.Unlock()
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
	text := c.msg
	c.msg = nil
	defer text.free()
	h := eventHeads.Get().(*opening.Head)
	defer eventHeads.Put(h)
	h.Reset(c.kind.opening.headLimits)
	h.Parse(text.b) //nolint:errcheck // the header is incomplete, so Parse returns an error
	c.refuse(opening.Violated(requestTimeout), h.Opening(opening.View(text.b)))
}

// refuse sends the reply to a rejected request, and ends the connection when the client has received it.
func (c *eventConn) refuse(f *opening.Refusal, o *handshake.Opening) {
	c.stage = stageRefused
	c.fd.Lock()
	out := c.reserve(0)
	var body string
	out.b, body = f.Append(out.b, o, time.Now())
	out.partialFrame = out.size()
	c.ensureEnding().begun = &CloseError{Code: CodeAbnormal, ByPeer: true, Err: f}
	c.setPhase(phaseLingering)
	remote := c.remoteLocked()
	c.fd.Unlock()
	if report := c.kind.opening.refused; report != nil {
		report(remote, f, body)
	}
}

// handOver passes the connection to HTTP, with all bytes that were read from it.
func (c *eventConn) handOver(text []byte) {
	c.stage = stageRefused
	early := bytes.Clone(text)
	c.fd.Lock()
	if c.end != nil { // the connection is already ending
		c.fd.Unlock()
		return
	}
	remote, left := c.remoteLocked(), c.fd.Left()
	nc, err := c.fd.Detach()
	if err != nil { // no file descriptors are left: the connection is closed
		c.fail(&CloseError{Code: CodeAbnormal, Err: err})
		c.fd.Unlock()
		if report := c.kind.opening.refused; report != nil {
			report(remote, &opening.Refusal{Stage: handshake.StageRequest, Err: err}, "")
		}
		return
	}
	c.phase = phaseDead
	c.stop.Or(stopNow | stopEnding)
	c.fd.Unlock()
	c.kind.opening.handOver(nc, early, left)
}
