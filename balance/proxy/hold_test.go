package proxy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/balance/resume"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// holding contains the settings of a Balancer that holds all clients.
var holding = Settings{Hold: Hold{Mode: HoldStateless}, MovesPerSecond: 1e5, Retries: 2}

// A client stays connected while it sends messages and its servers drain: every message is echoed once and in order.
func TestHoldDrains(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {}} {
		servers := []*testServer{serveMessages(t, nil), serveMessages(t, nil)}
		b := newBalancer(t, holding, servers[0].addr(), servers[1].addr())
		k := dialClient(t, b, &websocket.ConnOptions{Compression: compression})
		writing := bounded.Context(t)
		ctx, stop := context.WithCancel(writing)
		sent := make(chan int, 1)
		go func() {
			n := 0
			for ; ctx.Err() == nil; n++ {
				m := websocket.Message{Type: websocket.Text, Data: []byte(strconv.Itoa(n) + strings.Repeat(" ", n%3*1000))}
				if err := k.Write(writing, m); err != nil {
					t.Error(err)
					break
				}
			}
			sent <- n
		}()
		var heard atomic.Int64
		over := make(chan error, 1)
		go func() {
			for n := 0; ; n++ {
				m, err := k.Read(writing)
				if err != nil {
					over <- err
					return
				}
				if got := strings.TrimRight(string(m.Data), " "); got != strconv.Itoa(n) {
					t.Errorf("got message %s, want %d", got, n)
				}
				heard.Add(1)
			}
		}()
		for i := range 6 {
			from, to := servers[i%2], servers[1-i%2]
			if err := b.Undrain("ws://" + to.addr()); err != nil {
				t.Fatal(err)
			}
			if err := b.Drain("ws://"+from.addr(), 0); err != nil {
				t.Fatal(err)
			}
			was := heard.Load()
			bounded.Until(t, func() bool {
				return state(b, from.addr()).Live == 0 && state(b, to.addr()).Live == 1 && heard.Load() > was+10
			})
			select {
			case e := <-from.ended:
				if e.Code != websocket.CodeGoingAway {
					t.Errorf("old server: got %v, want a close with 1001", e)
				}
			default: // the first drain may have moved the client
			}
		}
		stop()
		n := bounded.Receive(t, sent)
		bounded.Until(t, func() bool { return heard.Load() >= int64(n) })
		k.CloseNow()
		bounded.Receive(t, over)
		bounded.Receive(t, k.ended)
		total := Counts{}
		for _, s := range servers {
			c := state(b, s.addr())
			total.Resumed += c.Resumed
			total.Traffic.add(c.Traffic)
		}
		if total.Resumed < 5 || total.MessagesFromClients != total.MessagesFromServer || total.MessagesFromServer < uint64(n) {
			t.Errorf("got %+v, want 5 resumed at least, and as many messages in each direction", total)
		}
	}
}

// A failed server is replaced by another server, or by itself if it comes back. The messages of its client arrive nevertheless.
func TestHoldKill(t *testing.T) {
	const kills = 5
	for name, end := range map[string]func(c *websocket.Conn){
		"cut":             func(c *websocket.Conn) { c.CloseNow() },
		"going away":      func(c *websocket.Conn) { c.Close(websocket.CodeGoingAway, "") },
		"service restart": func(c *websocket.Conn) { c.Close(websocket.CodeServiceRestart, "") },
	} {
		t.Run(name, func(t *testing.T) {
			conns := make(chan *websocket.Conn, 100)
			up := serveMessages(t, func(c *websocket.Conn) { conns <- c; echo(c) })
			s := holding
			s.Hold.Wait = time.Minute // the pauses grow if a server is lost repeatedly
			b := newBalancer(t, s, up.addr())
			k := dialClient(t, b, nil)
			for range kills {
				c := bounded.Receive(t, conns)
				k.send("before")
				k.receive("before")
				end(c)
			}
			bounded.Receive(t, conns)
			k.send("after")
			k.receive("after")
			bounded.Until(t, func() bool { return state(b, up.addr()).Resumed == kills })
			if e := k.Close(websocket.CodeNormal, ""); e != nil {
				t.Error(e)
			}
			bounded.Receive(t, k.ended)
		})
	}
}

// Messages that a client sends while there is no server wait, and arrive at the next server.
func TestHoldWaits(t *testing.T) {
	conns := make(chan *websocket.Conn, 10)
	up := serveMessages(t, func(c *websocket.Conn) { conns <- c; echo(c) })
	other := serveMessages(t, nil)
	b := newBalancer(t, holding, up.addr())
	k := dialClient(t, b, nil)
	c := bounded.Receive(t, conns)
	removeServer(t, b, k, c) // a message that is sent earlier could still reach the lost server
	for i := range 20 {
		k.send(strconv.Itoa(i))
	}
	if err := b.SetServers("more", specs(other.addr())); err != nil {
		t.Fatal(err)
	}
	bounded.Receive(t, other.opens)
	for i := range 20 {
		k.receive(strconv.Itoa(i))
	}
	k.CloseNow()
	bounded.Receive(t, k.ended)
}

// A client that cannot be held is closed with 1012, the cause, and the time after which to reconnect.
func TestHoldFails(t *testing.T) {
	for name, tt := range map[string]struct {
		next  func(t *testing.T) string
		cause Cause
	}{
		"another subprotocol": {func(t *testing.T) string { return serveMessages(t, nil, "b").addr() }, CauseNotResumed},
		"a refusal": {func(t *testing.T) string {
			s := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(s.Close)
			return s.Listener.Addr().String()
		}, CauseNotResumed},
		"nothing": {func(t *testing.T) string {
			l := listen(t)
			defer l.Close()
			return l.Addr().String()
		}, CauseNoServer},
	} {
		t.Run(name, func(t *testing.T) {
			conns := make(chan *websocket.Conn, 10)
			up := serveMessages(t, func(c *websocket.Conn) { conns <- c; echo(c) }, "a")
			s := holding
			s.Hold.Wait = 300 * time.Millisecond
			b := newBalancer(t, s, up.addr())
			k := dialClient(t, b, nil, "b", "a")
			c := bounded.Receive(t, conns)
			if err := b.SetServers("test", specs(tt.next(t))); err != nil {
				t.Fatal(err)
			}
			c.CloseNow()
			k.expectClose(websocket.CodeServiceRestart, string(tt.cause)+"; retry-after=")
			bounded.Receive(t, k.ended)
		})
	}
}

// A close frame that does not mean that the server is going away is passed on to the client, as without hold.
func TestHoldEnds(t *testing.T) {
	for _, code := range []websocket.Code{websocket.CodeNormal, websocket.CodePolicy, 4000} {
		up := serveMessages(t, func(c *websocket.Conn) { c.Close(code, "done") })
		b := newBalancer(t, holding, up.addr())
		k := dialClient(t, b, nil)
		k.expectClose(code, "done")
		bounded.Receive(t, k.ended)
	}
}

// The resume mode holds only connections whose protocol can be resumed; for others, bytes are forwarded.
func TestHoldByProtocol(t *testing.T) {
	up := serveMessages(t, nil, "handfast.v1.json", "other")
	b := newBalancer(t, Settings{Hold: Hold{Mode: HoldResume}}, up.addr())
	for offer, want := range map[string]bool{"": false, "other": false, "other, more": false, "handfast.v1.json": true, "more, handfast.v1.json": true} {
		r := opening(t)
		if offer != "" {
			r.Header.Set("Sec-Websocket-Protocol", offer)
		}
		r.Header.Set("Sec-Websocket-Extensions", "permessage-deflate")
		c, err := b.Open(bounded.Context(t), r)
		if err != nil {
			t.Fatal(err)
		}
		if c.ByMessage() != want || (c.Extensions() == "") != want {
			t.Errorf("%q: got by message %v with extensions %q, want by message %v", offer, c.ByMessage(), c.Extensions(), want)
		}
		c.Abandon()
	}
}

// A rebalance moves held clients without a close.
func TestHoldRebalance(t *testing.T) {
	a, z := serveMessages(t, nil), serveMessages(t, nil)
	s := holding
	s.Rebalance = &Rebalance{Rebalance: balance.Rebalance{Spread: 1.1, Percentage: 100}, PerSecond: 1e5}
	b := newBalancer(t, s, a.addr())
	var all []*testClient
	for range 10 {
		all = append(all, dialClient(t, b, nil))
	}
	if err := b.SetServers("test", specs(a.addr(), z.addr())); err != nil {
		t.Fatal(err)
	}
	bounded.Until(t, func() bool { n := state(b, z.addr()).Live; return n >= 4 && state(b, a.addr()).Live == 10-n })
	for i, k := range all {
		k.send(strconv.Itoa(i))
		k.receive(strconv.Itoa(i))
		k.CloseNow()
		bounded.Receive(t, k.ended)
	}
}

// panickingSession is a session that panics.
type panickingSession struct{ resume.Session }

func (panickingSession) Server(resume.Message) ([]resume.Message, bool, error) { panic("a mistake") }

// A panic in a session is propagated through Serve, whose caller may recover from it. Nothing of the connection remains.
func TestHoldPanics(t *testing.T) {
	up := serveMessages(t, nil)
	b := newBalancer(t, holding, up.addr())
	c := open(t, b)
	c.hold.session = panickingSession{c.hold.session}
	far, near := tcpPair(t)
	defer far.Close()
	front, err := websocket.NewConn(near, protocol.RoleServer, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	panicked := make(chan any, 1)
	go func() {
		defer func() { panicked <- recover() }()
		c.Serve(front, nil, nil)
	}()
	if _, err := far.Write(frameOf(frame.Text, true, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	if v := bounded.Receive(t, panicked); v != "a mistake" {
		t.Errorf("got panic %v, want that of the session", v)
	}
	rest(t, far)
	bounded.Receive(t, up.ended)
	if n := state(b, up.addr()).Live; n != 0 {
		t.Errorf("got %d open connections, want 0", n)
	}
}

// confirmingSession is a session that is resumed by a server's first message.
type confirmingSession struct{ resume.Session }

func (confirmingSession) Server(m resume.Message) ([]resume.Message, bool, error) {
	return nil, true, nil
}

// The time limit for resuming a connection no longer applies once the connection has been resumed: it stays on the new server.
func TestHoldResumedHasNoTimeLimit(t *testing.T) {
	up := serveMessages(t, nil)
	b := newBalancer(t, holding, up.addr())
	c := open(t, b)
	far, near := tcpPair(t)
	defer far.Close()
	front, err := websocket.NewConn(near, protocol.RoleServer, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer front.CloseNow()
	h := c.hold
	h.session, h.switching, h.until = confirmingSession{h.session}, true, time.Now().Add(time.Hour)
	r := &relay{conn: c, client: front, hold: h, gate: make(chan struct{}, 1), began: time.Now()}
	r.gate <- struct{}{}
	r.ctx, r.cancel = context.WithCancel(t.Context())
	defer r.cancel()
	link := c.link
	c.link = nil
	if r.server, err = newServerConn(r.ctx, c.server.Load(), link, c.messages); err != nil {
		t.Fatal(err)
	}
	defer b.release(c.server.Load())
	defer r.server.CloseNow()
	if err := r.server.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("resume")}); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- r.pumpResumed(r.server) }()
	if err := bounded.Receive(t, over); err != nil || !h.until.IsZero() || h.switching || len(r.gate) != 0 {
		t.Errorf("got %v, until %v, switching %v, want a resumed connection without a time limit", err, h.until, h.switching)
	}
}
