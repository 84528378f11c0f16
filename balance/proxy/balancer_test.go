package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// newBalancer returns a Balancer for servers at these addresses.
func newBalancer(t *testing.T, s Settings, addrs ...string) *Balancer {
	t.Helper()
	b := New(s, Hooks{})
	t.Cleanup(func() { b.Close() })
	if err := b.SetServers("test", specs(addrs...)); err != nil {
		t.Fatal(err)
	}
	return b
}

func specs(addrs ...string) (list []balance.Spec) {
	for _, a := range addrs {
		list = append(list, balance.Spec{ID: "ws://" + a})
	}
	return list
}

// opening returns the handshake of a client.
func opening(t *testing.T) *Request {
	r := httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": newKey()} {
		r.Header.Set(name, value)
	}
	return &Request{Request: r, Source: netip.MustParseAddrPort("127.0.0.1:1")}
}

const accepts = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n"

// open opens a WebSocket at a server, for a client without a tunnel.
func open(t *testing.T, b *Balancer) *Conn {
	t.Helper()
	c, err := b.Open(bounded.Context(t), opening(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// state returns the Balancer's status of a server.
func state(b *Balancer, addr string) (s ServerStatus) {
	for _, s = range b.Status().Servers {
		if s.ID == "ws://"+addr {
			return s
		}
	}
	return ServerStatus{}
}

// A client that is to be moved while its tunnel begins is moved nevertheless.
func TestMoveBeforeTunnel(t *testing.T) {
	up := serveRaw(t, listen(t), accepts+"HOLD")
	b := newBalancer(t, Settings{}, up.addr)
	c := open(t, b)
	c.Move()
	far, near := tcpPair(t)
	defer far.Close()
	done := make(chan error, 1)
	if err := c.Tunnel(near, nil, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 4)
	far.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.ReadFull(far, head); err != nil || head[0] != 0x88 || websocket.Code(head[2])<<8|websocket.Code(head[3]) != websocket.CodeServiceRestart {
		t.Fatalf("got % x, %v, want a close frame with 1012", head, err)
	}
	far.Close()
	bounded.Receive(t, done)
}

// A tunnel that cannot begin leaves no open connection.
func TestTunnelAfterClose(t *testing.T) {
	up := serveRaw(t, listen(t), accepts+"HOLD")
	b := newBalancer(t, Settings{}, up.addr)
	c := open(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	far, near := tcpPair(t)
	defer far.Close()
	if err := c.Tunnel(near, nil, func(error) { t.Error("done was called") }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Tunnel: got %v, want net.ErrClosed", err)
	}
	if err := near.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("connection to the client: got %v, want net.ErrClosed", err)
	}
	bounded.Receive(t, up.gone)
}

// If several slots become free, several waiting clients each get a slot.
func TestQueueAfterScaleOut(t *testing.T) {
	const waiting, wait = 3, time.Minute
	up, joins := serveRaw(t, listen(t), accepts), serveRaw(t, listen(t), accepts)
	b := newBalancer(t, Settings{MaxWaiting: 10, Wait: wait})
	one := balance.Spec{ID: "ws://" + up.addr, Capacity: 1}
	if err := b.SetServers("test", []balance.Spec{one}); err != nil {
		t.Fatal(err)
	}
	defer open(t, b).Abandon()
	opened := make(chan *Conn, waiting)
	for range waiting {
		go func() {
			c, err := b.Open(bounded.Context(t), opening(t))
			if err != nil {
				t.Error(err)
			}
			opened <- c
		}()
	}
	bounded.Until(t, func() bool { return b.Status().Waiting == waiting })
	if err := b.SetServers("test", []balance.Spec{one, {ID: "ws://" + joins.addr}}); err != nil {
		t.Fatal(err)
	}
	began, conns := time.Now(), []*Conn{}
	for range waiting {
		if c := bounded.Receive(t, opened); c != nil {
			conns = append(conns, c)
		}
	}
	for _, c := range conns { // not earlier, because a returned slot goes to a waiting client
		c.Abandon()
	}
	if took := time.Since(began); took > wait/2 {
		t.Errorf("got a wait of %v, want at most %v", took, wait/2)
	}
}

// A client that sends an invalid body cannot cause a server to be ejected.
func TestInvalidRequestBody(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer page.Close()
	addr := page.Listener.Addr().String()
	b := newBalancer(t, Settings{}, addr, "127.0.0.1:1")
	if err := b.Drain("ws://127.0.0.1:1", 0); err != nil { // all requests go to the first server
		t.Fatal(err)
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.ServeRequest(w, &Request{Request: r}) }))
	defer front.Close()
	for range 6 {
		nc, err := net.Dial("tcp", front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(nc, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n")
		nc.SetReadDeadline(time.Now().Add(2 * time.Minute))
		line := make([]byte, len("HTTP/1.1 400"))
		if _, err := io.ReadFull(nc, line); err != nil || string(line) != "HTTP/1.1 400" {
			t.Errorf("got %q, %v, want status 400", line, err)
		}
		nc.Close()
	}
	if s := state(b, addr); s.Counts.Failed != 0 || s.Failures != 0 {
		t.Errorf("got %d failures of the server, want 0", s.Counts.Failed)
	}
}

// A 101 in response to a page request is a failure, and leaves nothing behind.
func TestPageSwitchesProtocols(t *testing.T) {
	up := serveRaw(t, listen(t), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
	b := newBalancer(t, Settings{}, up.addr)
	for _, field := range []string{"", "h2c"} {
		r := httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)
		if field != "" {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", field)
		}
		w := httptest.NewRecorder()
		b.ServeRequest(w, &Request{Request: r})
		if w.Code != http.StatusBadGateway {
			t.Errorf("Upgrade %q: got %d %s, want 502", field, w.Code, w.Body)
		}
		if s := state(b, up.addr); s.Live != 0 {
			t.Errorf("Upgrade %q: got %d open connections, want 0", field, s.Live)
		}
	}
}

// A drain that a server has announced does not last forever. Without a time limit, no response could end it, because no client is
// sent to that server.
func TestAnnouncedDrainExpires(t *testing.T) {
	up := serveRaw(t, listen(t), strings.Replace(accepts, "Upgrade: w", DrainHeader+": 1\r\nUpgrade: w", 1))
	b := newBalancer(t, Settings{}, up.addr)
	open(t, b).Abandon()
	if s := state(b, up.addr); s.State != balance.Draining {
		t.Fatalf("got state %s, want draining", s.State)
	}
	b.expireAnnouncedDrains(time.Now().Add(drainValidity / 2))
	if s := state(b, up.addr); s.State != balance.Draining {
		t.Errorf("before the end of the drain: got state %s, want draining", s.State)
	}
	b.expireAnnouncedDrains(time.Now().Add(drainValidity))
	if s := state(b, up.addr); s.State != balance.Ready {
		t.Errorf("after the drain: got state %s, want ready", s.State)
	}
}

// The result of a check is discarded when checks are disabled.
func TestConfigureWithoutCheck(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		want   balance.State
	}{"down": {http.StatusNotFound, balance.Down}, "draining": {http.StatusServiceUnavailable, balance.Draining}} {
		t.Run(name, func(t *testing.T) {
			page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer.status) }))
			defer page.Close()
			addr := page.Listener.Addr().String()
			b := newBalancer(t, Settings{Health: Health{Check: CheckHTTP, Path: "/", Every: time.Minute}}, addr)
			bounded.Until(t, func() bool { return state(b, addr).State == answer.want })
			if err := b.Configure(Settings{}); err != nil {
				t.Fatal(err)
			}
			if s := state(b, addr); s.State != balance.Ready {
				t.Errorf("without checks: got state %s (%s), want ready", s.State, s.Why)
			}
		})
	}
}

// The response to an HTTP check uses the same header field as other responses.
func TestCheckDrainHeader(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(DrainHeader, "1") }))
	defer page.Close()
	addr := page.Listener.Addr().String()
	b := newBalancer(t, Settings{Health: Health{Check: CheckHTTP, Path: "/", Every: time.Minute}}, addr)
	bounded.Until(t, func() bool { return state(b, addr).State == balance.Draining })
	if n := len(b.Status().Servers); n != 1 {
		t.Errorf("got %d servers, want 1", n)
	}
}

// A drain continues if the server fails its checks, or is removed from the list.
func TestDrainRemovedServer(t *testing.T) {
	up := serveRaw(t, listen(t), accepts+"HOLD")
	b := newBalancer(t, Settings{}, up.addr)
	c := open(t, b)
	far, near := tcpPair(t)
	defer far.Close()
	done := make(chan error, 1)
	if err := c.Tunnel(near, nil, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := b.SetServers("test", nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Drain("ws://"+up.addr, 0); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*websocket.CloseError](bounded.Receive(t, done)); !ok || e.Code != websocket.CodeServiceRestart {
		t.Errorf("got %v, want a close with 1012", e)
	}
	if n := b.carrier.Len(); n != 0 {
		t.Errorf("got %d open tunnels, want 0", n)
	}
}

// A closed Balancer accepts no settings and no clients.
func TestClosedBalancer(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	b := newBalancer(t, Settings{Health: Health{Check: CheckTCP, Every: time.Hour}}, up.addr)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Configure(Settings{Health: Health{Check: CheckTCP, Every: time.Hour}}); !errors.Is(err, ErrClosed) {
		t.Errorf("Configure: got %v, want ErrClosed", err)
	}
	if len(b.servers) != 0 {
		t.Errorf("got %d servers, want none", len(b.servers))
	}
	if err := b.SetServers("test", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("SetServers: got %v, want ErrClosed", err)
	}
	if _, err := b.Open(bounded.Context(t), opening(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("Open: got %v, want ErrClosed", err)
	}
	w := httptest.NewRecorder()
	b.ServeRequest(w, &Request{Request: httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)})
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "closing") {
		t.Errorf("ServeRequest: got %d %s, want 503 and that the server is closing", w.Code, w.Body)
	}
}

// The prefix for servers does not become a part of the path of a Unix socket.
func TestPrefixAtUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	up := serveRaw(t, l, accepts)
	b := newBalancer(t, Settings{Dial: DialerOptions{AddPrefix: "/v1/"}})
	if err := b.SetServers("test", []balance.Spec{{ID: "unix:" + path}}); err != nil {
		t.Fatal(err)
	}
	open(t, b).Abandon()
	if head := bounded.Receive(t, up.head); !strings.HasPrefix(head, "GET /v1/ HTTP/1.1\r\n") {
		t.Errorf("got %q, want a request for /v1/", head)
	}
}

// The bytes of a connection are counted, even if it ends before its tunnel is known.
func TestBytesOfShortConnection(t *testing.T) {
	up := serveRaw(t, listen(t), accepts+"\x81\x02hi") // the server then ends the connection
	b := newBalancer(t, Settings{}, up.addr)
	c := open(t, b)
	b.members.add(c)
	far, near := tcpPair(t)
	far.Close()
	ended := make(chan *Tunnel, 1)
	early := []byte("\x81\x80\x00\x00\x00\x00")
	if _, err := b.carrier.carry(near, c.link, early, TunnelOptions{}, func(t *Tunnel, _ error) { ended <- t }); err != nil {
		t.Fatal(err)
	}
	c.ended(bounded.Receive(t, ended), &websocket.CloseError{ByPeer: true})
	if s := state(b, up.addr); s.FromClients != int64(len(early)) || s.Live != 0 {
		t.Errorf("got %d bytes of clients and %d open connections, want %d and 0", s.FromClients, s.Live, len(early))
	}
}
