package gateway

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// resetConn resets a connection.
func resetConn(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	_ = nc.(*net.TCPConn).SetLinger(0)
	_ = nc.Close()
}

// The frames of a close with code 1000, a partial frame, and a complete message from a client and from a server.
const (
	clientCloses, serverCloses   = "\x88\x82\x00\x00\x00\x00\x03\xe8", "\x88\x02\x03\xe8"
	clientPart, serverPart       = "\x81\x85\x00\x00\x00\x00hel", "\x81\x05hel"
	clientMessage, serverMessage = "\x81\x82\x00\x00\x00\x00hi", "\x81\x02hi"
)

// scriptedServer is a server that runs a script.
type scriptedServer struct {
	id    string
	conns chan net.Conn // connections on which a request was received and a response sent
}

// script starts a scripted server. first is called for each new connection, and reports whether to continue; the request is read
// afterwards.
func script(t *testing.T, first func(nc net.Conn) bool, answer func(nc net.Conn, accept string)) *scriptedServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &scriptedServer{id: "ws://" + l.Addr().String(), conns: make(chan net.Conn, 8)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(2 * time.Minute))
			if !first(nc) {
				continue
			}
			r, err := http.ReadRequest(bufio.NewReader(nc))
			if err != nil {
				_ = nc.Close()
				continue
			}
			answer(nc, string(wshandshake.AppendAccept(nil, r.Header.Get("Sec-WebSocket-Key"))))
			p.conns <- nc
		}
	}()
	t.Cleanup(func() {
		l.Close()
		bounded.Receive(t, over)
	})
	return p
}

// If one side resets its connection at any stage, the other side is closed and nothing remains: no connection, and no slot at the
// server or the endpoint. The log shows which side closed an open connection. Plain connections are on the event loop, TLS
// connections are not.
func TestBalanceResets(t *testing.T) {
	opens := func(more string) func(net.Conn, string) {
		return func(nc net.Conn, accept string) {
			_, _ = io.WriteString(nc, strings.Replace(behindOpens, "KEY", accept, 1)+"\r\n"+more)
		}
	}
	keepOpen := func(net.Conn) bool { return true }
	cuts := func(said string) func(net.Conn, string) {
		return func(nc net.Conn, _ string) {
			_, _ = io.WriteString(nc, said)
			resetConn(nc)
		}
	}
	for name, tt := range map[string]struct { // if answer is nil, the server receives no request
		first  func(net.Conn) bool
		answer func(net.Conn, string)
		sends  string                                               // sent by the client
		then   func(client net.Conn, in *bufio.Reader, up net.Conn) // called after the request; up is nil if the server closed it
		status int                                                  // the status of the response; 0 if there is none
		by     string                                               // the field by in the log; "" if there is none
	}{
		"the server, before the head":   {first: func(nc net.Conn) bool { resetConn(nc); return false }, status: 502},
		"the server, in the head":       {answer: cuts("HTTP/1.1 101 Swi"), status: 502},
		"the server, before its answer": {answer: cuts(""), status: 502},
		"the server, behind the 101":    {answer: opens(""), then: func(_ net.Conn, _ *bufio.Reader, up net.Conn) { resetConn(up) }, status: 101, by: "local"},
		"the server, in a frame":        {answer: opens(serverPart), then: func(_ net.Conn, _ *bufio.Reader, up net.Conn) { resetConn(up) }, status: 101, by: "local"},
		"the server, in the close": {answer: opens(serverMessage + serverCloses), status: 101, by: "local", then: func(_ net.Conn, in *bufio.Reader, up net.Conn) {
			_, _ = io.ReadFull(in, make([]byte, len(serverMessage+serverCloses)))
			resetConn(up)
		}},
		"the client, in the head":    {sends: "GET / HTTP/1.1\r\nHost: a\r\nUpgr", then: func(c net.Conn, _ *bufio.Reader, _ net.Conn) { resetConn(c) }},
		"the client, before the 101": {answer: func(net.Conn, string) {}, then: func(c net.Conn, _ *bufio.Reader, _ net.Conn) { resetConn(c) }},
		"the client, behind the 101": {answer: opens(serverMessage), then: func(c net.Conn, _ *bufio.Reader, _ net.Conn) { resetConn(c) }, status: 101, by: "remote"},
		"the client, in a frame": {answer: opens(""), status: 101, by: "remote", then: func(c net.Conn, _ *bufio.Reader, up net.Conn) {
			_, _ = io.WriteString(c, clientMessage+clientPart)
			_, _ = io.ReadFull(up, make([]byte, len(clientMessage+clientPart)))
			resetConn(c)
		}},
		"the client, in the close": {answer: opens(""), status: 101, by: "remote", then: func(c net.Conn, _ *bufio.Reader, up net.Conn) {
			_, _ = io.WriteString(c, clientCloses)
			_, _ = io.ReadFull(up, make([]byte, len(clientCloses)))
			resetConn(c)
		}},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", TLS"}[secure], func(t *testing.T) {
				if tt.first == nil {
					tt.first = keepOpen
				}
				up := script(t, tt.first, tt.answer)
				t.Setenv("XDG_STATE_HOME", t.TempDir())
				text := strings.Replace(balancing(nil, "retries: 0"), "to: []", "to: ['"+up.id+"']", 1)
				if secure {
					text = "listen: [{address: '127.0.0.1:0', hosts: any, tls: dev}]" + text
				}
				r := run(t, parse(t, text))
				base, err := url.Parse(r.URLs()[0])
				if err != nil {
					t.Fatal(err)
				}
				c := send(t, base.Host, "127.0.0.1", "")
				if secure {
					pool := x509.NewCertPool()
					pool.AddCert(r.Dev().CA())
					c = tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "localhost"})
				}
				_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
				raw := tt.sends
				if raw == "" {
					raw = "GET / HTTP/1.1\r\n" + upgradeHead + "\r\n"
				}
				if _, err := io.WriteString(c, raw); err != nil {
					t.Fatal(err)
				}
				in := bufio.NewReader(c)
				if tt.status != 0 {
					resp, err := http.ReadResponse(in, nil)
					if err != nil || resp.StatusCode != tt.status {
						t.Fatalf("client: got %v, %v, want %d", resp, err, tt.status)
					}
				}
				var behind net.Conn
				if tt.sends == "" && tt.answer != nil {
					behind = bounded.Receive(t, up.conns)
				}
				if tt.then != nil {
					tt.then(c, in, behind)
				}
				if behind != nil { // both sides close
					_, _ = io.Copy(io.Discard, behind)
					_ = behind.Close()
				}
				if tt.by == "local" { // the client is idle, so the server closes first
					_, _ = io.Copy(io.Discard, in)
				}
				_ = c.Close()
				b := r.site.Load().balancers("")[0]
				bounded.Until(t, func() bool {
					s := b.Status()
					return s.Servers[0].Live == 0 && s.Storm.Underway == 0 && s.Waiting == 0
				})
				bounded.Until(t, func() bool {
					_, body := r.callAdmin(t, http.MethodGet, "/connections", url.Values{})
					return !strings.Contains(body, `"front"`)
				})
				r.metric(t, "handfast_handshakes_pending 0")
				if tt.by != "" {
					waitForLog(t, &r.log, "msg=closed", "by="+tt.by)
					r.metric(t, `handfast_connections{endpoint="front"} 0`)
				}
				if tt.status == 502 {
					waitForLog(t, &r.log, up.id, "handshake")
				}
			})
		}
	}
}
