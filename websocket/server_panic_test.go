package websocket

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// panicHooks install a call of hook in a place where the application's code runs before the 101 response. useTLS means that the
// Server is started with ServeTLS.
var panicHooks = map[string]func(t *testing.T, s *Server, useTLS bool, hook func()){
	"GetCertificate": func(t *testing.T, s *Server, useTLS bool, hook func()) {
		config := certifying(t, func(h *tls.ClientHelloInfo) {
			if l, r := h.Conn.LocalAddr(), h.Conn.RemoteAddr(); l == nil || r == nil || l.String() == r.String() {
				t.Errorf("GetCertificate was called with a connection from %v to %v", r, l)
			}
			hook()
		})
		if s.HTTP.TLSConfig = config; !useTLS {
			s.TLS = func(context.Context, net.Conn) *tls.Config { return config }
		}
	},
	"TLS": func(t *testing.T, s *Server, _ bool, hook func()) {
		config := certifying(t, func(*tls.ClientHelloInfo) {})
		s.TLS = func(context.Context, net.Conn) *tls.Config {
			hook()
			return config
		}
	},
	"Preface": func(_ *testing.T, s *Server, _ bool, hook func()) {
		s.Preface = func(context.Context, net.Conn) (net.Addr, error) {
			hook()
			return nil, nil
		}
	},
	"ConnContext": func(_ *testing.T, s *Server, _ bool, hook func()) {
		s.HTTP.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			hook()
			return ctx
		}
	},
	"Check": func(_ *testing.T, s *Server, _ bool, hook func()) {
		s.HTTP.Handler = acceptEcho(&AcceptOptions{Check: func(*http.Request) error {
			hook()
			return nil
		}})
	},
	"handler": func(_ *testing.T, s *Server, _ bool, hook func()) {
		next := s.HTTP.Handler
		s.HTTP.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hook()
			next.ServeHTTP(w, r)
		})
	},
}

// certifying returns a TLS configuration whose GetCertificate calls f.
func certifying(t *testing.T, f func(*tls.ClientHelloInfo)) *tls.Config {
	cert := testCertificate(t)
	return &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		f(h)
		return &cert, nil
	}}
}

// A panic in the application's code before the 101 response costs one connection, and is reported.
func TestServer_PanicCostsOneConnection(t *testing.T) {
	for name, install := range panicHooks {
		for way, e := range map[string]*Endpoint{"Serve": {Serve: serveEcho}, "Open": {Open: openEcho}} {
			for _, useTLS := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/ServeTLS=%t", name, way, useTLS), func(t *testing.T) {
					panicked := make(chan any, 2)
					var armed atomic.Bool
					s := ownServer(&Endpoint{Serve: e.Serve, Open: e.Open})
					s.Panicked = func(v any, _ []byte) { panicked <- v }
					s.HTTP.TLSConfig = &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
					install(t, s, useTLS, func() {
						if armed.CompareAndSwap(true, false) {
							panic("oh")
						}
					})
					url := serveWithOrWithoutTLS(t, s, useTLS)
					bystander, err := dialInsecure(t, url)
					if err != nil {
						t.Fatal(err)
					}
					armed.Store(true)
					if _, err := dialInsecure(t, url); err == nil {
						t.Error("the connection for which the hook panicked was opened")
					}
					if v := bounded.Receive(t, panicked); v != "oh" {
						t.Errorf("reported: %v", v)
					}
					expectConnEcho(t, bystander)
					next, err := dialInsecure(t, url)
					if err != nil {
						t.Fatal(err)
					}
					expectConnEcho(t, next)
					bounded.Until(t, func() bool { return s.Handshakes() == 0 })
					if len(panicked) > 0 {
						t.Errorf("also reported: %v", bounded.Receive(t, panicked))
					}
				})
			}
		}
	}
}

// serveWithOrWithoutTLS runs s with ServeTLS or Serve, and returns its URL.
func serveWithOrWithoutTLS(t *testing.T, s *Server, useTLS bool) (url string) {
	t.Helper()
	if !useTLS {
		addr := serveOwn(t, s)
		if s.TLS != nil {
			return "wss://" + addr
		}
		return "ws://" + addr
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return "wss://" + serveOn(t, s, ln, func(l net.Listener) error { return s.ServeTLS(l, "", "") })
}

// dialInsecure opens a connection without verifying the certificate.
func dialInsecure(t *testing.T, url string) (*Conn, error) {
	t.Helper()
	c, err := Dial(bounded.Context(t), url, &DialOptions{Proxy: noProxy, TLS: &tls.Config{InsecureSkipVerify: true}})
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
	}
	return c, err
}

// expectConnEcho sends a message, and waits for the echo.
func expectConnEcho(t *testing.T, c *Conn) {
	t.Helper()
	if err := c.Write(bounded.Context(t), Message{Text, []byte("hello")}); err != nil {
		t.Error(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "hello" {
		t.Errorf("the echo is %q, %v", m.Data, err)
	}
}
