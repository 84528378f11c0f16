package proxy

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// testServer is a WebSocket server.
type testServer struct {
	*httptest.Server
	ended chan *websocket.CloseError // the final errors of the server's connections
	opens chan *http.Request
}

// serveMessages starts a server that serves connections, with one of these subprotocols. If serve is nil, it echoes.
func serveMessages(t *testing.T, serve func(c *websocket.Conn), subprotocols ...string) *testServer {
	t.Helper()
	return serveMessagesWith(t, websocket.ConnOptions{Compression: &websocket.Compression{}, MaxMessage: 64 << 20}, serve, subprotocols...)
}

// serveHalfClosing is speak for a server that closes each direction separately.
func serveHalfClosing(t *testing.T, serve func(c *websocket.Conn)) *testServer {
	t.Helper()
	return serveMessagesWith(t, websocket.ConnOptions{HalfClose: true}, serve)
}

func serveMessagesWith(t *testing.T, o websocket.ConnOptions, serve func(c *websocket.Conn), subprotocols ...string) *testServer {
	t.Helper()
	if serve == nil {
		serve = echo
	}
	s := &testServer{ended: make(chan *websocket.CloseError, 1000), opens: make(chan *http.Request, 1000)}
	ctx, stop := context.WithCancel(context.Background())
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols: subprotocols, AnyOrigin: true, Conn: o,
		})
		if err != nil {
			return
		}
		defer context.AfterFunc(ctx, func() { c.CloseNow() })()
		s.opens <- r
		serve(c)
		c.Close(websocket.CodeNormal, "")
		how, _ := errors.AsType[*websocket.CloseError](context.Cause(c.Context()))
		s.ended <- how
	}))
	t.Cleanup(func() { stop(); s.Close() })
	return s
}

func (s *testServer) addr() string { return s.Listener.Addr().String() }

// echo sends back each received message, until the connection ends.
func echo(c *websocket.Conn) {
	for {
		m, err := c.Read(context.Background())
		if err != nil || c.Write(context.Background(), m) != nil {
			return
		}
	}
}

// testClient is a client whose messages a Balancer forwards.
type testClient struct {
	*websocket.Conn
	t     *testing.T
	conn  *Conn
	ended chan *websocket.CloseError // the final error of the connection between the client and the Balancer
}

// dialClient opens a connection of a client. The options are those of the Balancer's end.
func dialClient(t *testing.T, b *Balancer, o *websocket.ConnOptions, subprotocols ...string) *testClient {
	t.Helper()
	r := opening(t)
	r.Header.Set("Sec-Websocket-Extensions", "permessage-deflate")
	if len(subprotocols) > 0 {
		r.Header.Set("Sec-Websocket-Protocol", strings.Join(subprotocols, ", "))
	}
	c, err := b.Open(bounded.Context(t), r)
	if err != nil {
		t.Fatal(err)
	}
	if !c.ByMessage() || c.Extensions() != "" {
		t.Fatalf("got by message %v with extensions %q, want messages without extensions", c.ByMessage(), c.Extensions())
	}
	far, near := tcpPair(t)
	hs := &websocket.Handshake{Subprotocol: c.Subprotocol()}
	if o != nil && o.Compression != nil {
		hs.Extensions = "permessage-deflate"
	}
	behind := websocket.ConnOptions{}
	if o != nil {
		behind = *o
	}
	behind.HalfClose = true
	front, err := websocket.NewConn(near, protocol.RoleServer, hs, &behind)
	if err != nil {
		t.Fatal(err)
	}
	peer := &websocket.ConnOptions{MaxMessage: 64 << 20, CloseTimeout: time.Minute}
	if o != nil {
		peer.Compression, peer.HalfClose = o.Compression, o.HalfClose
	}
	k := &testClient{t: t, conn: c, ended: make(chan *websocket.CloseError, 1)}
	if k.Conn, err = websocket.NewConn(far, protocol.RoleClient, hs, peer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.CloseNow() })
	unwanted := func(bytes int64) error { // like a limit, refuses messages of one size
		if bytes == 4711 {
			return &websocket.CloseError{Code: websocket.CodePolicy, Reason: "refused"}
		}
		return nil
	}
	go func() { k.ended <- c.Serve(front, unwanted, nil) }()
	return k
}

func (k *testClient) send(text string) {
	k.t.Helper()
	if err := k.Write(bounded.Context(k.t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
		k.t.Fatal(err)
	}
}

func (k *testClient) receive(want string) {
	k.t.Helper()
	if m, err := k.Read(bounded.Context(k.t)); err != nil || string(m.Data) != want {
		k.t.Fatalf("got %.80q, %v, want %.80q", m.Data, err, want)
	}
}

// expectClose waits for a close frame.
func (k *testClient) expectClose(code websocket.Code, reason string) {
	k.t.Helper()
	_, err := k.Read(bounded.Context(k.t))
	e, ok := errors.AsType[*websocket.CloseError](err)
	if !ok || e.Code != code || !strings.Contains(e.Reason, reason) || !e.ByPeer || e.Err != nil {
		k.t.Fatalf("got %v, want a close with %v and %q", err, code, reason)
	}
}

// Messages of both types pass in both directions, the server chooses the subprotocol, and the compression with the client is
// independent of the server.
func TestMessages(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {}} {
		up := serveMessages(t, nil, "b", "c")
		b := newBalancer(t, Settings{ByMessage: true}, up.addr())
		k := dialClient(t, b, &websocket.ConnOptions{Compression: compression}, "a", "b")
		if r := bounded.Receive(t, up.opens); k.Subprotocol() != "b" || r.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("got subprotocol %q and extensions %q, want b and none", k.Subprotocol(), r.Header.Get("Sec-WebSocket-Extensions"))
		}
		for _, size := range []int{0, 1, 200, 70_000, 1 << 20} {
			text := strings.Repeat("x", size)
			k.send(text)
			k.receive(text)
			m := websocket.Message{Type: websocket.Binary, Data: bytes.Repeat([]byte{0xff}, size)}
			if err := k.Write(bounded.Context(t), m); err != nil {
				t.Fatal(err)
			}
			if got, err := k.Read(bounded.Context(t)); err != nil || got.Type != m.Type || !bytes.Equal(got.Data, m.Data) {
				t.Fatalf("got a %v message of %d bytes, %v, want the sent one", got.Type, len(got.Data), err)
			}
		}
		s := state(b, up.addr())
		if want := int64(2 * (1 + 200 + 70_000 + 1<<20)); s.Live != 1 || s.MessagesFromClients != 10 || s.MessagesFromServer != 10 || s.FromClients != want || s.FromServer != want {
			t.Errorf("got %+v, want 10 messages and %d bytes each way", s, want)
		}
		if err := k.Close(4000, "enough"); err != nil {
			t.Error(err)
		}
		for who, ended := range map[string]chan *websocket.CloseError{"client": k.ended, "server": up.ended} {
			if e := bounded.Receive(t, ended); e.Code != 4000 || e.Reason != "enough" || e.Err != nil {
				t.Errorf("%s: got %v, want a close with 4000", who, e)
			}
		}
		bounded.Until(t, func() bool { s = state(b, up.addr()); return s.Live == 0 })
		if s.Closed[4000] != 1 || s.MessagesFromClients != 10 {
			t.Errorf("got %+v, want 10 messages and one close with 4000", s)
		}
	}
}

// A message that violates a rule never reaches the server, and closes both sides.
func TestMessageRules(t *testing.T) {
	const text, binary = websocket.Text, websocket.Binary
	for name, tt := range map[string]struct {
		rules Messages
		max   int64
		send  []websocket.Message // the last message violates the rule, unless code is 0
		code  websocket.Code      // 0 means that no message violates a rule
	}{
		"none":            {Messages{}, 0, []websocket.Message{{Type: text, Data: make([]byte, 1<<20)}, {Type: binary}}, 0},
		"text":            {Messages{Only: text}, 0, []websocket.Message{{Type: text}, {Type: text}}, 0},
		"not text":        {Messages{Only: text}, 0, []websocket.Message{{Type: text}, {Type: binary}}, websocket.CodeUnsupportedData},
		"not binary":      {Messages{Only: binary}, 0, []websocket.Message{{Type: binary}, {Type: text}}, websocket.CodeUnsupportedData},
		"as large as may": {Messages{}, 100, []websocket.Message{{Type: text, Data: make([]byte, 100)}}, 0},
		"too large":       {Messages{}, 100, []websocket.Message{{Type: text, Data: make([]byte, 101)}}, websocket.CodeTooBig},
		"one too many":    {Messages{}, 0, []websocket.Message{{Type: text}, {Type: text}, {Type: text, Data: make([]byte, 4711)}}, websocket.CodePolicy},
	} {
		t.Run(name, func(t *testing.T) {
			var heard atomic.Int64
			up := serveMessages(t, func(c *websocket.Conn) {
				for _, err := range c.Messages(context.Background()) {
					if err == nil {
						heard.Add(1)
					}
				}
			})
			b := newBalancer(t, Settings{ByMessage: true, Messages: tt.rules}, up.addr())
			k := dialClient(t, b, &websocket.ConnOptions{MaxMessage: tt.max})
			for _, m := range tt.send {
				if err := k.Write(bounded.Context(t), m); err != nil {
					t.Fatal(err)
				}
			}
			want := int64(len(tt.send))
			if tt.code == 0 {
				bounded.Until(t, func() bool { return heard.Load() == want })
				return
			}
			k.expectClose(tt.code, "")
			if e := bounded.Receive(t, up.ended); e.Code != websocket.CodeGoingAway || e.Err != nil {
				t.Errorf("server: got %v, want a close with 1001", e)
			}
			bounded.Receive(t, k.ended)
			if n := heard.Load(); n != want-1 {
				t.Errorf("server: got %d messages, want %d", n, want-1)
			}
			bounded.Until(t, func() bool { return state(b, up.addr()).Closed[tt.code] == 1 })
		})
	}
}

// When one side closes, the other side is closed with the same code, if there is one.
func TestMessageEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		serve  func(c *websocket.Conn)
		client func(k *testClient)
		sees   [2]websocket.Code // the close codes that the client and the server get
	}{
		"the server closes":       {serve: func(c *websocket.Conn) { c.Close(4001, "done") }, sees: [2]websocket.Code{4001, 4001}},
		"the server says no code": {serve: func(c *websocket.Conn) { c.Close(websocket.CodeNoStatus, "") }, sees: [2]websocket.Code{1005, 1005}},
		"the server is cut":       {serve: func(c *websocket.Conn) { c.CloseNow() }, sees: [2]websocket.Code{1012, 1006}},
		"the client closes":       {client: func(k *testClient) { k.Close(4002, "done") }, sees: [2]websocket.Code{4002, 4002}},
		"the client says no code": {client: func(k *testClient) { k.Close(websocket.CodeNoStatus, "") }, sees: [2]websocket.Code{1005, 1005}},
		"the client is cut":       {client: func(k *testClient) { k.CloseNow() }, sees: [2]websocket.Code{1006, 1001}},
		"the operator closes":     {client: func(k *testClient) { k.conn.Shut(4003, "go") }, sees: [2]websocket.Code{4003, 4003}},
		"the operator cuts":       {client: func(k *testClient) { k.conn.CloseNow() }, sees: [2]websocket.Code{1006, 1006}},
		"a message that is too big": {serve: func(c *websocket.Conn) {
			c.Write(context.Background(), websocket.Message{Type: websocket.Binary, Data: make([]byte, 2000)})
			echo(c)
		}, sees: [2]websocket.Code{1014, 1009}},
		"a move": {client: func(k *testClient) { k.conn.Move() }, sees: [2]websocket.Code{1012, 1012}},
	} {
		t.Run(name, func(t *testing.T) {
			up := serveMessages(t, tt.serve)
			b := newBalancer(t, Settings{ByMessage: true, Messages: Messages{MaxFromServer: 1000}}, up.addr())
			k := dialClient(t, b, nil)
			if tt.client != nil {
				k.send("hello")
				k.receive("hello")
				tt.client(k)
			}
			_, err := k.Read(bounded.Context(t))
			if code := websocket.CloseCode(err); code != tt.sees[client] {
				t.Errorf("client: got %v, want %d", err, tt.sees[client])
			}
			if e := bounded.Receive(t, up.ended); e.Code != tt.sees[upstream] {
				t.Errorf("server: got %v, want %d", e, tt.sees[upstream])
			}
			bounded.Receive(t, k.ended)
			bounded.Until(t, func() bool { return state(b, up.addr()).Live == 0 })
		})
	}
}

// If one side reads nothing, the other side is blocked, and nothing is lost when reading continues.
func TestMessageBackpressure(t *testing.T) {
	const size = 64 << 10
	flood := func(ctx context.Context, c *websocket.Conn, sent *atomic.Int64) {
		for c.Write(ctx, websocket.Message{Type: websocket.Binary, Data: make([]byte, size)}) == nil {
			sent.Add(1)
		}
	}
	// full waits until a writer has made no progress in 20 consecutive checks.
	full := func(t *testing.T, sent *atomic.Int64, b *Balancer, addr string) {
		var was int64 = -1
		rounds := 0
		bounded.Until(t, func() bool {
			n := sent.Load()
			if n == was && n > 0 {
				rounds++
			} else {
				rounds = 0
			}
			was = n
			return rounds > 20
		})
		if s := state(b, addr); was*size > 64<<20 || s.Live != 1 {
			t.Errorf("got %d bytes in transit and %+v, want 64 MiB at most and one connection", was*size, s)
		}
	}
	t.Run("the client", func(t *testing.T) {
		var sent atomic.Int64
		ctx, stop := context.WithCancel(context.Background())
		up := serveMessages(t, func(c *websocket.Conn) { flood(ctx, c, &sent) })
		b := newBalancer(t, Settings{ByMessage: true}, up.addr())
		k := dialClient(t, b, nil)
		full(t, &sent, b, up.addr())
		for range sent.Load() {
			if m, err := k.Read(bounded.Context(t)); err != nil || len(m.Data) != size {
				t.Fatalf("got %d bytes, %v, want %d", len(m.Data), err, size)
			}
		}
		stop()
		k.CloseNow()
		bounded.Receive(t, k.ended)
	})
	t.Run("the server", func(t *testing.T) {
		var sent, heard atomic.Int64
		ctx, stop := context.WithCancel(context.Background())
		read, over := make(chan struct{}), make(chan struct{})
		up := serveMessages(t, func(c *websocket.Conn) {
			<-read
			for _, err := range c.Messages(context.Background()) {
				if err == nil {
					heard.Add(1)
				}
			}
		})
		b := newBalancer(t, Settings{ByMessage: true}, up.addr())
		k := dialClient(t, b, nil)
		go func() { flood(ctx, k.Conn, &sent); close(over) }()
		full(t, &sent, b, up.addr())
		n := sent.Load()
		close(read)
		bounded.Until(t, func() bool { return heard.Load() >= n })
		stop()
		bounded.Receive(t, over)
		k.CloseNow()
		bounded.Receive(t, k.ended)
	})
}

// A server that does not answer pings is disconnected, and its client gets 1012.
func TestMessagePings(t *testing.T) {
	up := serveRaw(t, listen(t), accepts+"HOLD")
	b := newBalancer(t, Settings{ByMessage: true, Messages: Messages{Ping: 20 * time.Millisecond}}, up.addr)
	k := dialClient(t, b, nil)
	k.expectClose(websocket.CodeServiceRestart, "the server is gone")
	bounded.Receive(t, k.ended)
}

// Data that the server has sent after its 101 is read first.
func TestMessageEarlyData(t *testing.T) {
	up := serveRaw(t, listen(t), accepts+string(frameOf(1, false, []byte("early")))+string(closeFrameOfPeer(false, 4001, "done"))+"HOLD")
	b := newBalancer(t, Settings{ByMessage: true}, up.addr)
	k := dialClient(t, b, nil)
	k.receive("early")
	k.expectClose(4001, "done")
	bounded.Receive(t, k.ended)
}

// Close closes the connections whose messages are forwarded, and waits for them.
func TestMessageClose(t *testing.T) {
	up := serveMessages(t, nil)
	b := newBalancer(t, Settings{ByMessage: true}, up.addr())
	var all []*testClient
	for range 10 {
		k := dialClient(t, b, nil)
		k.send("x")
		k.receive("x")
		all = append(all, k)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		if e := bounded.Receive(t, k.ended); e.Code != websocket.CodeAbnormal {
			t.Errorf("got %v, want 1006", e)
		}
	}
	if list := b.members.all(); !slices.Equal(list, nil) {
		t.Errorf("got %d open connections, want 0", len(list))
	}
}
