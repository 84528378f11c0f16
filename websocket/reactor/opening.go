package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/header"
	"github.com/handfast/handfast/websocket/internal/upgrade"
)

var heads = sync.Pool{New: func() any { return new(upgrade.Head) }}

// prepare checks what handshakes are made of, once.
func (s *Server) prepare() (err error) {
	s.heads = upgrade.Limits{Bytes: s.maxHead}
	s.origins = handshake.OriginPolicy{
		Any: s.Options.AnyOrigin, Allowed: s.Options.Origins, Proxies: s.Options.TrustedProxies,
	}
	if err := handshake.CheckFields(s.Options.Header); err != nil {
		return fmt.Errorf("reactor: Options.Header: %w", err)
	}
	if err := handshake.CheckSubprotocols(s.Options.Subprotocols); err != nil {
		return fmt.Errorf("reactor: Options.Subprotocols: %w", err)
	}
	if z := s.Options.Conn.Compression; z != nil {
		s.deflate, err = handshake.NewDeflatePolicy(z.ServerNoTakeover, z.ClientNoTakeover, z.ServerWindowBits, z.ClientWindowBits)
		if err != nil {
			return fmt.Errorf("reactor: Options.Conn.Compression: %w", err)
		}
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
	h := heads.Get().(*upgrade.Head)
	defer heads.Put(h)
	h.Reset(c.loop.s.heads)
	verdict, v := h.Parse(text)
	if verdict == upgrade.More {
		if c.msg == nil {
			c.msg = borrow(len(text))
			c.msg.b = append(c.msg.b, text...)
		}
		return nil
	}
	whole := c.msg
	c.msg = nil
	defer whole.free()
	if verdict == upgrade.Bad {
		c.refuse(v, nil)
		return nil
	}
	if !c.answer(h, upgrade.View(text)) {
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
func (c *Conn) answer(h *upgrade.Head, text string) bool {
	s := c.loop.s
	o := h.Opening(text)
	o.TLS = c.sec != nil
	if len(s.origins.Proxies) > 0 {
		o.RemoteAddr = c.remote()
	}
	v := o.Check()
	if v == nil {
		v = o.CheckOrigin(s.origins)
	}
	if v != nil {
		c.refuse(v, nil)
		return false
	}
	if s.Options.Check != nil {
		if err := c.hook(text[:h.Len()]); err != nil {
			reject, _ := errors.AsType[*websocket.Reject](err)
			c.refuse(rejection(reject), reject)
			return false
		}
	}
	a := handshake.Answer{Key: o.Key[0], Subprotocol: o.Choose(s.Options.Subprotocols)}
	a.Header[1] = s.Options.Header
	if z := s.Options.Conn.Compression; z != nil {
		if agreed, ok := handshake.NegotiateDeflate(o.Offers(), s.deflate); ok {
			c.zip = newZipper(agreed, z)
			c.m.Compressed = true
			a.Extensions = header.FormatExtensions([]header.Extension{agreed.Extension()})
		}
	}
	c.subprotocol = uint16(slices.Index(s.Options.Subprotocols, a.Subprotocol) + 1)
	c.mu.Lock()
	out := c.room(0)
	out.b = a.AppendHead(out.b)
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
func (c *Conn) hook(head string) error {
	r, err := upgrade.Request(string([]byte(head))) // the request may be kept, the buffer is lent
	if err != nil {
		return err
	}
	r.RemoteAddr, r.TLS = c.remote(), c.TLS()
	return c.loop.s.Options.Check(r)
}

func (c *Conn) remote() string {
	if a := c.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

// rejection is what a client is told that Check keeps out.
func rejection(r *websocket.Reject) *handshake.Violation {
	v := &handshake.Violation{Status: http.StatusForbidden, Detail: "The server does not let this client in"}
	if r == nil {
		return v
	}
	v.Status, v.Header = or(r.Status, http.StatusForbidden), r.Header
	if v.Status < 300 || v.Status > 599 {
		v.Status = http.StatusInternalServerError
	}
	return v
}

// refuse answers a request that cannot be let in, and has the connection end when the client has the answer.
func (c *Conn) refuse(v *handshake.Violation, r *websocket.Reject) {
	c.stage = refused
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.room(0)
	out.b = appendRefusal(out.b, v, r)
	c.ends().begun = &websocket.CloseError{Code: websocket.CodeAbnormal, ByPeer: true, Err: v}
	c.become(lingering)
}

// appendRefusal appends the reply, which says what is wrong by which clause, and the next step.
func appendRefusal(dst []byte, v *handshake.Violation, r *websocket.Reject) []byte {
	status := strconv.Itoa(v.Status) + " " + http.StatusText(v.Status)
	fields := http.Header{}
	maps.Copy(fields, v.Header)
	body := status + "\n"
	switch {
	case r != nil && r.Reason != "":
		body = r.Reason
		if fields.Get("Content-Type") == "" {
			body += "\n"
		}
	case v.Status < 500:
		body += "\n" + v.Detail
		if v.Section != "" {
			body += " (" + v.Section + ")"
		}
		body += ".\n"
		if v.Hint != "" {
			body += "Next step: " + v.Hint + "\n"
		}
	}
	for _, f := range [][2]string{
		{"Content-Type", "text/plain; charset=utf-8"}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"},
	} {
		if fields.Get(f[0]) == "" {
			fields.Set(f[0], f[1])
		}
	}
	fields.Set("Content-Length", strconv.Itoa(len(body)))
	// A proxy that took the upgrade for granted would tunnel what follows: it must not be read as another request.
	fields["Connection"] = []string{"close"}
	if fields.Get("Upgrade") != "" {
		fields["Connection"] = []string{"close, Upgrade"} // RFC 9110 §7.8
	}
	dst = append(append(append(dst, "HTTP/1.1 "...), status...), "\r\n"...)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range fields[name] {
			if header.IsToken(name) && header.IsValue(value) { // what Check gave may be anything
				dst = append(append(append(append(dst, name...), ": "...), value...), "\r\n"...)
			}
		}
	}
	return append(append(dst, "\r\n"...), body...)
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
