package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/centrifugo"
	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/pusher"
	"github.com/handfast/handfast/websocket"
)

// frameRecorder records the marked frames that were sent, and the number of connections for each.
type frameRecorder struct {
	mark []byte
	mu   sync.Mutex
	all  map[*websocket.Prepared]int
}

func (f *frameRecorder) see(ps []*websocket.Prepared) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range ps {
		if bytes.Contains(p.Data(), f.mark) {
			f.all[p]++
		}
	}
}

// seenSender records what is sent on a connection.
type seenSender struct {
	websocket.Sender

	seen *frameRecorder
}

func (s seenSender) SendPrepared(ps ...*websocket.Prepared) error {
	s.seen.see(ps)
	return s.Sender.SendPrepared(ps...)
}

// discardConn is a connection without a peer.
type discardConn struct{ subprotocol string }

func (discardConn) Send(websocket.Message) error              { return nil }
func (discardConn) SendPrepared(...*websocket.Prepared) error { return nil }
func (discardConn) Buffered() int                             { return 0 }
func (discardConn) Shut(websocket.Code, string) error         { return nil }
func (discardConn) CloseNow() error                           { return nil }
func (n discardConn) Subprotocol() string                     { return n.subprotocol }
func (discardConn) RemoteAddr() net.Addr                      { return nil }

// codecOf is a protocol in one of its formats, with the way to open a connection and to subscribe.
type codecOf struct {
	subprotocol string
	open        func(*hub.Hub) func(websocket.Sender) websocket.Receiver
	commands    []websocket.Message
}

func codecs() map[string]codecOf {
	texts := func(all ...string) (ms []websocket.Message) {
		for _, text := range all {
			ms = append(ms, websocket.Message{Type: websocket.Text, Data: []byte(text)})
		}
		return ms
	}
	encoded := []websocket.Message{
		{Type: websocket.Binary, Data: []byte("\x04\x08\x01\x22\x00")},             // {id: 1, connect: {}}
		{Type: websocket.Binary, Data: []byte("\x0a\x08\x02\x2a\x06\x0a\x04news")}, // {id: 2, subscribe: {channel: "news"}}
	}
	openCentrifugo := func(h *hub.Hub) func(websocket.Sender) websocket.Receiver {
		return (&centrifugo.Server{Hub: h, App: "dev"}).Open(centrifugo.Client{Anonymous: true})
	}
	return map[string]codecOf{
		"channels": {wire.Subprotocol, func(h *hub.Hub) func(websocket.Sender) websocket.Receiver {
			return (&channels.Server{Hub: h, App: "dev"}).Open(channels.Client{})
		}, texts(`{"type":"subscribe","id":1,"channel":"news"}`)},
		"pusher": {"", func(h *hub.Hub) func(websocket.Sender) websocket.Receiver {
			s := &pusher.Server{Hub: h, Apps: []pusher.App{{ID: "dev", Key: "k", Secret: "s"}}}
			return s.Open(pusher.Client{Key: "k", Protocol: "7"})
		}, texts(`{"event":"pusher:subscribe","data":{"channel":"news"}}`)},
		"centrifugo in JSON":     {"", openCentrifugo, texts(`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{"channel":"news"}}`)},
		"centrifugo in Protobuf": {"centrifuge-protobuf", openCentrifugo, encoded},
	}
}

// serveOn serves connections with compression on a driver, until the test ends.
func serveOn(t *testing.T, driver, subprotocol string, open func(websocket.Sender) websocket.Receiver) string {
	t.Helper()
	accept := websocket.AcceptOptions{Conn: channels.ConnOptions()}
	accept.Conn.Compression = &websocket.Compression{}
	if subprotocol != "" {
		accept.Subprotocols = []string{subprotocol}
	}
	e := &websocket.Endpoint{Accept: accept, Open: open}
	if driver == "goroutine" {
		e.Open, e.Serve = nil, func(c *websocket.Conn) { c.Run(context.Background(), open) }
	}
	server := httptest.NewServer(http.Handler(e))
	t.Cleanup(server.Close)
	t.Cleanup(func() { e.Close() })
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// counted counts the bytes that are read.
type counted struct {
	net.Conn

	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// A publication to 10,000 subscribers of one protocol in one format, some of which are on real connections with compression, is
// encoded once: each of them gets the same Prepared, which the library compresses once for each window size
// (TestPreparedIsCompressedOncePerWindow, TestEventSendCompressesOnce). So the compressor is called once for each publication and
// codec.
func TestSharedFrames(t *testing.T) {
	const silent, real, publications = 10_000, 20, 3
	for name, c := range codecs() {
		for _, driver := range []string{"loop", "goroutine"} {
			t.Run(name+"/"+driver, func(t *testing.T) {
				h := hub.New(hub.Options{})
				t.Cleanup(func() { h.Close() })
				open, seen := c.open(h), &frameRecorder{mark: []byte("a mark"), all: map[*websocket.Prepared]int{}}
				var received atomic.Int64
				url := serveOn(t, driver, c.subprotocol, func(out websocket.Sender) websocket.Receiver { return open(seenSender{out, seen}) })
				var clients []*websocket.Conn
				for range real {
					o := &websocket.DialOptions{Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}}
					o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
						nc, err := new(net.Dialer).DialContext(ctx, network, address)
						return counted{nc, &received}, err
					}
					if c.subprotocol != "" {
						o.Subprotocols = []string{c.subprotocol}
					}
					client, err := websocket.Dial(bounded.Context(t), url, o)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { client.CloseNow() })
					for _, m := range c.commands {
						if err := client.Write(bounded.Context(t), m); err != nil {
							t.Fatal(err)
						}
					}
					clients = append(clients, client)
				}
				for range silent - real {
					r := open(seenSender{discardConn{c.subprotocol}, seen})
					for _, m := range c.commands {
						if err := r.Message(m); err != nil {
							t.Fatal(err)
						}
					}
					defer r.Closed(&websocket.CloseError{})
				}
				bounded.Until(t, func() bool { return h.Sizes().Subscriptions == silent })
				before := received.Load()
				for i := range publications {
					data := fmt.Appendf(nil, `"%d: a mark, %s"`, i, strings.Repeat("and again ", 500))
					if _, err := h.Publish(bounded.Context(t), "dev", "news", &hub.Publication{Data: data}, nil); err != nil {
						t.Fatal(err)
					}
				}
				for _, client := range clients {
					for got := 0; got < publications; {
						m, err := client.Read(bounded.Context(t))
						if err != nil {
							t.Fatal(err)
						}
						got += bytes.Count(m.Data, seen.mark)
					}
				}
				bounded.Until(t, func() bool {
					seen.mu.Lock()
					defer seen.mu.Unlock()
					sent := 0
					for _, n := range seen.all {
						sent += n
					}
					return sent == silent*publications
				})
				if n := len(seen.all); n != publications {
					t.Errorf("%d frames for %d publications", n, publications)
				}
				if n := received.Load() - before; n > real*publications*1000 {
					t.Errorf("%d bytes are not compressed messages", n)
				}
			})
		}
	}
}
