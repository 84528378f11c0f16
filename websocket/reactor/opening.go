package reactor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
	front "github.com/handfast/handfast/websocket/internal/opening" // opening is a phase here
)

var heads = sync.Pool{New: func() any { return new(front.Head) }}

// prepare checks what handshakes are made of, once.
func (s *Server) prepare() (err error) {
	s.heads = front.Limits{Bytes: s.maxHead}
	o := &s.Options
	s.rules = front.Rules{
		Origin:       handshake.OriginPolicy{Any: o.AnyOrigin, Allowed: o.Origins, Proxies: o.TrustedProxies},
		Subprotocols: o.Subprotocols,
		Header:       o.Header,
	}
	if z := o.Conn.Compression; z != nil {
		s.rules.Deflate = front.Deflate{
			On: true, ServerNoTakeover: z.ServerNoTakeover, ClientNoTakeover: z.ClientNoTakeover,
			ServerWindowBits: z.ServerWindowBits, ClientWindowBits: z.ClientWindowBits,
		}
	}
	if refused := s.rules.Check(); refused != nil {
		return fmt.Errorf("reactor: Options: %w; %s", refused.Err, refused.Hint)
	}
	return nil
}

// request takes bytes of the client's request. When that is answered with 101 it returns those behind it, otherwise nil.
func (c *Conn) request(d *driver, win []byte) []byte {
	text := win
	if c.msg != nil { // this is not its beginning
		c.msg = c.msg.grown(len(win))
		c.msg.b = append(c.msg.b, win...)
		if text = c.msg.b; bytes.IndexByte(win, '\n') < 0 && len(text) < c.loop.s.maxHead {
			return nil
		}
	}
	h := heads.Get().(*front.Head)
	defer heads.Put(h)
	h.Reset(c.loop.s.heads)
	verdict, v := h.Parse(text)
	if verdict == front.More {
		if c.msg == nil {
			c.msg = borrow(len(text))
			c.msg.b = append(c.msg.b, text...)
		}
		return nil
	}
	whole := c.msg
	c.msg = nil
	defer whole.free()
	if verdict == front.Bad {
		c.refuse(front.Violated(v), h.Opening(front.View(text)))
		return nil
	}
	if !c.answer(h, front.View(text)) {
		return nil
	}
	rest := text[h.Len():]
	if whole != nil && len(rest) > 0 {
		c.parse(d, rest) // it lies in what is given back
		return nil
	}
	return rest
}

// answer decides over a request, and lets the client in or tells it why not.
func (c *Conn) answer(h *front.Head, text string) bool {
	s := c.loop.s
	o := h.Opening(text)
	o.TLS = c.sec != nil
	if len(s.rules.Origin.Proxies) > 0 {
		o.RemoteAddr = c.remote()
	}
	var ask func() *front.Refusal
	if s.Options.Check != nil {
		ask = func() *front.Refusal { return c.hook(text[:h.Len()]) }
	}
	terms, refused := s.rules.Admit(o, ask)
	if refused != nil {
		c.refuse(refused, o)
		return false
	}
	if terms.Compressed {
		c.zip = newZipper(terms.Deflate, s.Options.Conn.Compression)
		c.m.Compressed = true
	}
	c.subprotocol = uint16(slices.Index(s.Options.Subprotocols, terms.Subprotocol) + 1)
	c.mu.Lock()
	out := c.room(0)
	out.b = terms.AppendAnswer(out.b, o, nil, s.Options.Header)
	c.cut = out.size() // goes out whole
	in := c.phase == opening && c.stop.Load() == 0
	if in {
		c.phase = open
		c.keepAlive()
	}
	c.mu.Unlock()
	if in {
		c.opened()
	}
	return in
}

// hook asks the application.
func (c *Conn) hook(head string) *front.Refusal {
	r, err := front.Request(string([]byte(head))) // the request may be kept, the buffer is lent
	if err != nil {
		return front.Unparsable(err)
	}
	s := c.loop.s
	r.RemoteAddr, r.TLS = c.remote(), c.TLS()
	ctx := context.WithValue(context.Background(), http.ServerContextKey, &s.http)
	if a := c.loop.k.local(int(c.fd)); a != nil {
		ctx = context.WithValue(ctx, http.LocalAddrContextKey, a)
	}
	err = s.Options.Check(r.WithContext(ctx))
	if err == nil {
		return nil
	}
	if reject, ok := errors.AsType[*websocket.Reject](err); ok {
		return front.Rejected(err, reject.Status, reject.Header, reject.Reason)
	}
	return front.Denied(err)
}

func (c *Conn) remote() string {
	if a := c.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

// refuse answers a request that is refused, and has the connection end when the client has the answer.
func (c *Conn) refuse(f *front.Refusal, o *handshake.Opening) {
	c.stage = refused
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.room(0)
	out.b, _ = f.Append(out.b, o, time.Now())
	c.cut = out.size()
	c.ends().begun = &websocket.CloseError{Code: websocket.CodeAbnormal, ByPeer: true, Err: f}
	c.become(lingering)
}

// keepAlive makes the time for the handshake that for the first look at a peer. The caller holds mu.
func (c *Conn) keepAlive() {
	c.loop.mu.Lock()
	c.loop.unschedule(c)
	c.loop.mu.Unlock()
	if s := c.loop.s; s.pingInterval > 0 {
		c.loop.after(c, s.pingInterval/2)
	}
}
