package websocket_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/drivertest"
)

// The drivers in this file get their connections from a real opening handshake.

type opener = func(websocket.Sender) websocket.Receiver

// TestDialRun runs the common test suite on connections made by Dial.
func TestDialRun(t *testing.T) {
	drivertest.TestClient(t, func(t *testing.T, opts *websocket.ConnOptions, open opener) net.Conn {
		ends := make(chan net.Conn, 1)
		hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			nc, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			head := handshake.AppendAccept([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
				"Sec-WebSocket-Accept: "), r.Header.Get("Sec-WebSocket-Key"))
			if _, err := nc.Write(append(head, "\r\n\r\n"...)); err != nil {
				t.Error(err)
			}
			if err := smallBuffers(nc); err != nil {
				t.Error(err)
			}
			ends <- nc
		}))
		t.Cleanup(hs.Close)
		dial := &websocket.DialOptions{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				err = smallBuffers(nc)
			}
			return nc, err
		}}
		if opts != nil {
			dial.Conn = *opts
		}
		c, err := websocket.Dial(bounded.Context(t), hs.URL, dial)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Run(t.Context(), open)
		}()
		nc := bounded.Receive(t, ends)
		t.Cleanup(func() { c.CloseNow(); nc.Close(); bounded.Receive(t, done) })
		return nc
	})
}

// smallBuffers limits what the kernel holds of a connection to less than a queue. Otherwise, a sender that is faster than the writing
// goroutine fills the queue, and the kernel then takes all of it although the peer reads nothing.
func smallBuffers(nc net.Conn) error {
	tcp := nc.(*net.TCPConn)
	return errors.Join(tcp.SetReadBuffer(32<<10), tcp.SetWriteBuffer(32<<10))
}

func withSmallBuffers(t *testing.T) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, nc net.Conn) context.Context {
		if err := smallBuffers(nc); err != nil {
			t.Error(err)
		}
		return ctx
	}
}

// TestEndpointOnHTTP runs the common test suite on an Endpoint under plain net/http.
func TestEndpointOnHTTP(t *testing.T) {
	for way, set := range map[string]func(e *websocket.Endpoint, open opener){
		"Open": func(e *websocket.Endpoint, open opener) { e.Open = open },
		"Serve": func(e *websocket.Endpoint, open opener) {
			e.Serve = func(c *websocket.Conn) { c.Run(context.Background(), open) }
		},
	} {
		for name, serve := range map[string]func(t *testing.T, h http.Handler) (addr string){
			"http.Server": serveHTTP,
			"httptest": func(t *testing.T, h http.Handler) string {
				hs := httptest.NewUnstartedServer(h)
				hs.Config.ConnContext = withSmallBuffers(t)
				hs.Start()
				t.Cleanup(hs.Close)
				return hs.Listener.Addr().String()
			},
		} {
			t.Run(way+" on "+name, func(t *testing.T) {
				drivertest.Test(t, func(t *testing.T, opts *websocket.ConnOptions, open opener) net.Conn {
					e := &websocket.Endpoint{}
					e.Panicked = func(any, []byte) {} // the suite finds panics in the CloseError
					if set(e, open); opts != nil {
						e.Accept.Conn = *opts
					}
					t.Cleanup(func() {
						e.Close()
						ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the context of t has ended
						defer cancel()
						if err := e.Shutdown(ctx); err != nil {
							t.Error(err)
						}
					})
					return upgraded(t, serve(t, e))
				})
			})
		}
	}
}

// serveHTTP runs h on an http.Server until the test ends.
func serveHTTP(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ConnContext: withSmallBuffers(t)}
	done := make(chan error, 1)
	go func() { done <- hs.Serve(ln) }()
	t.Cleanup(func() {
		hs.Close()
		if err := bounded.Receive(t, done); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// upgraded opens a connection without extensions, and returns it after the opening handshake.
func upgraded(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := smallBuffers(nc); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: "+addr+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var head strings.Builder // read byte by byte, because frames may follow
	for b := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); head.Write(b) {
		if _, err := io.ReadFull(nc, b); err != nil {
			t.Fatalf("%v after %q", err, head.String())
		}
	}
	if !strings.HasPrefix(head.String(), "HTTP/1.1 101 ") {
		t.Fatalf("got %q", head.String())
	}
	return nc
}
