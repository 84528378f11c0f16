package websocket

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// upgradeBy sends an upgrade request that offers compression to h, and returns the connection after reading the response's header.
func upgradeBy(t *testing.T, h http.Handler) (net.Conn, *http.Response, *bufio.Reader) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	nc, err := new(net.Dialer).DialContext(bounded.Context(t), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_, err = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nearly")
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return nc, resp, r
}

// A Tunnel receives the connection itself with the client's early data, and the 101 contains the extensions of the server behind
// it.
func TestEndpointTunnel(t *testing.T) {
	e := &Endpoint{
		Accept: AcceptOptions{Conn: ConnOptions{Compression: &Compression{}}}, // must not be negotiated for a Tunnel
		Admit: func(*http.Request) (*Admission, error) {
			return &Admission{Extensions: "permessage-deflate; server_no_context_takeover", Tunnel: func(nc net.Conn, early []byte) {
				go func() {
					defer nc.Close()
					nc.Write(append([]byte("got "), early...))
				}()
			}}, nil
		},
	}
	_, resp, r := upgradeBy(t, e)
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); resp.StatusCode != 101 || got != "permessage-deflate; server_no_context_takeover" {
		t.Errorf("%d, extensions %q", resp.StatusCode, got)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "got early" {
		t.Errorf("%q, %v", got, err)
	}
	if err := e.Shutdown(bounded.Context(t)); err != nil {
		t.Error(err)
	}
}

// Configuration errors of a Tunnel result in a 500 response, and a panic in the Tunnel closes the connection.
func TestEndpointTunnelMistakes(t *testing.T) {
	tunnel := func(nc net.Conn, _ []byte) { nc.Close() }
	for name, a := range map[string]*Admission{
		"two ways":                  {Tunnel: tunnel, Serve: func(*Conn) {}},
		"extensions without Tunnel": {Serve: func(*Conn) {}, Extensions: "permessage-deflate"},
		"a line end in extensions":  {Tunnel: tunnel, Extensions: "a\r\nSet-Cookie: b=c"},
	} {
		var refused error
		e := &Endpoint{
			Admit: func(*http.Request) (*Admission, error) { return a, nil },
			Hooks: Hooks{Refused: func(_ context.Context, _ string, _ *http.Request, err *HandshakeError) { refused = err }},
		}
		if _, resp, _ := upgradeBy(t, e); resp.StatusCode != 500 || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
		if err := e.Shutdown(bounded.Context(t)); err != nil || refused == nil {
			t.Errorf("%s: %v, %v", name, err, refused)
		}
	}
	panics := make(chan any, 1)
	e := &Endpoint{
		Admit: func(*http.Request) (*Admission, error) {
			return &Admission{Tunnel: func(net.Conn, []byte) { panic("broken") }}, nil
		},
		Hooks: Hooks{Panicked: func(value any, stack []byte) {
			if !strings.Contains(string(stack), "endpoint_tunnel_test") {
				value = errors.New("the stack is not that of the panic")
			}
			panics <- value
		}},
	}
	_, _, r := upgradeBy(t, e)
	io.ReadAll(r) //nolint:errcheck // ReadAll only waits until the connection is closed
	if got := bounded.Receive(t, panics); got != "broken" {
		t.Errorf("panic: %v", got)
	}
}
