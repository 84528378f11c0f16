package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// tunnels is a target that forwards bytes to a server.
type tunnels struct {
	to     string // the address of the server
	broken atomic.Pointer[string]
	early  atomic.Int64 // bytes that arrived together with the request
	open   atomic.Int64
}

func (u *tunnels) Close() error { return nil }

func (u *tunnels) Open(ctx context.Context, r *Request) (*Opened, error) {
	up, err := new(net.Dialer).DialContext(ctx, "tcp", u.to)
	if err != nil {
		return nil, err
	}
	back := bufio.NewReader(up)
	head := "GET " + r.URL.Path + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	if offer := r.Header.Get("Sec-WebSocket-Extensions"); offer != "" {
		head += "Sec-WebSocket-Extensions: " + offer + "\r\n"
	}
	_, err = io.WriteString(up, head+"\r\n")
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(back, nil)
	}
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		up.Close()
		return nil, errors.Join(errors.New("the server behind does not open"), err)
	}
	return &Opened{
		Extensions: resp.Header.Get("Sec-WebSocket-Extensions"),
		Abandon:    func() { up.Close() },
		Tunnel: func(client net.Conn, early []byte, done func(error)) (auth.Handle, error) {
			u.early.Add(int64(len(early)))
			switch how := u.broken.Load(); {
			case how != nil && *how == "panic":
				up.Close()
				panic("Tunnel is broken")
			case how != nil:
				up.Close()
				return nil, errors.New(*how)
			}
			u.open.Add(1)
			p := &pipe{client: client, up: up}
			go func() {
				_, err := up.Write(early)
				if err == nil {
					_, err = io.Copy(up, client)
				}
				p.over(err)
			}()
			go func() {
				_, err := io.Copy(client, back)
				p.over(err)
				u.open.Add(-1)
				done(p.how.Load().error())
				done(errors.New("twice"))
			}()
			return p, nil
		},
	}, nil
}

// pipe is one tunnel.
type pipe struct {
	client, up net.Conn
	once       sync.Once
	how        atomic.Pointer[closed]
}

type closed struct{ e *websocket.CloseError }

func (c *closed) error() error {
	if c == nil {
		return nil
	}
	return c.e
}

func (p *pipe) over(error) {
	p.once.Do(func() {
		p.client.Close()
		p.up.Close()
	})
}

// Shut sends a close frame and closes the tunnel.
func (p *pipe) Shut(code websocket.Code, reason string) error {
	p.how.Store(&closed{&websocket.CloseError{Code: code, Reason: reason}})
	_, err := p.client.Write(append([]byte{0x88, byte(2 + len(reason)), byte(code >> 8), byte(code)}, reason...))
	p.over(nil)
	return err
}

func (p *pipe) CloseNow() error {
	p.over(nil)
	return nil
}

// A target may forward the bytes of a connection itself; the connection is still admitted, closed, revoked and drained like any
// other.
func TestTunnel(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Conn: websocket.ConnOptions{Compression: &websocket.Compression{Threshold: -1}}})
		if err != nil {
			return
		}
		for m, err := range c.Messages(r.Context()) {
			if err != nil || c.Write(r.Context(), m) != nil {
				return
			}
		}
	}))
	defer backend.Close()
	target := &tunnels{to: backend.Listener.Addr().String()}
	r := runTargets(t, parse(t, users+"drain: {spread: 0s}\n", key), sameTarget(target))
	alice := func() *websocket.Conn {
		opts := withToken(token("alice", time.Hour, nil))
		opts.Conn.Compression = &websocket.Compression{}
		c := r.open(t, "/chat", opts)
		if !strings.HasPrefix(c.Handshake().Extensions, "permessage-deflate") {
			t.Errorf("extensions %q", c.Handshake().Extensions)
		}
		wantEcho(t, c)
		return c
	}

	c := alice()
	if err := c.Close(websocket.CodeNormal, ""); err != nil {
		t.Errorf("closed by the client: %v", err)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 0 && target.open.Load() == 0 })
	waitForLog(t, &r.audited, `"disconnected"`, `"user":"alice"`)

	c = alice()
	if n := r.conns.Close(registry.Filter{User: "alice"}, 4000, "bye"); n != 1 {
		t.Errorf("%d tunnels were closed", n)
	}
	if e := readCloseError(t, c); e.Code != 4000 || e.Reason != "bye" {
		t.Errorf("shut: %v", e)
	}
	waitForLog(t, &r.audited, `"disconnected"`, `"code":4000`, `"reason":"bye"`, `"by":"local"`)

	c = alice()
	bounded.Until(t, func() bool { return r.conns.Len() == 1 })
	if err := r.store.Revoke(bounded.Context(t), auth.Revocation{Subject: "alice", At: time.Now().Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	if e := readCloseError(t, c); e.Code != auth.CodeExpired || e.Reason != auth.ReasonRevoked {
		t.Errorf("revoked: %v", e)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })

	for _, how := range []string{"panic", "the loop is full"} {
		target.broken.Store(&how)
		if e := readCloseError(t, r.open(t, "/open", nil)); e.Code != websocket.CodeAbnormal {
			t.Errorf("%s: %v", how, e)
		}
		bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	}
	target.broken.Store(nil)
	r.metric(t, `handfast_target_panics_total{endpoint="open"} 1`)
	waitForLog(t, &r.log, "the loop is full")

	c = r.open(t, "/open", nil)
	wantEcho(t, c)
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	if e := readCloseError(t, c); e.Code != websocket.CodeGoingAway || e.Reason != registry.Stopping {
		t.Errorf("drained: %v", e)
	}
	if err := bounded.Receive(t, stopped); err != nil {
		t.Error(err)
	}
}

// Bytes that a client has sent together with its request reach the tunnel.
func TestTunnelEarlyBytes(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_, _ = c.Read(r.Context())
			c.CloseNow()
		}
	}))
	defer backend.Close()
	target := &tunnels{to: backend.Listener.Addr().String()}
	r := runTargets(t, parse(t, users, key), sameTarget(target))
	nc := send(t, strings.TrimPrefix(r.URLs()[0], "http://"), "127.0.0.1", "GET /open HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x80\x00\x00\x00\x00")
	if _, err := io.Copy(io.Discard, nc); err != nil {
		t.Error(err)
	}
	if n := target.early.Load(); n != 6 {
		t.Errorf("%d bytes arrived early", n)
	}
}
