//go:build e2e

package balance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// startSilentServer starts a server that accepts connections and sends nothing. It counts the connections on which it receives data, including
// those of health checks.
func startSilentServer(t *testing.T) (id string, asked *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				if n, _ := c.Read(make([]byte, 1)); n > 0 {
					asked.Add(1)
				}
				_, _ = io.Copy(io.Discard, c) // until the balancer closes the connection
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait() // does not block: the balancer has stopped and closed its connections
	})
	return l.Addr().String(), asked
}

// serve starts an HTTP server with a handler, and returns its address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &http.Server{Handler: h, BaseContext: func(net.Listener) context.Context { return ctx }}
	var all sync.WaitGroup
	all.Go(func() { _ = s.Serve(l) }) // until s is closed
	t.Cleanup(func() {
		stop()
		s.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// echo accepts a WebSocket connection and echoes messages until the connection is closed.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for m, err := range c.Messages(r.Context()) {
		if err != nil || c.Write(r.Context(), m) != nil {
			return
		}
	}
}

// halfServer is an echo server that fails every second handshake, alternately with an error status and by closing the connection.
type halfServer struct{ requests, failed atomic.Int64 }

func (h *halfServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch h.requests.Add(1) % 4 {
	case 1:
		h.failed.Add(1)
		http.Error(w, "not now", http.StatusServiceUnavailable)
	case 3:
		h.failed.Add(1)
		panic(http.ErrAbortHandler) // closes the connection without a response
	default:
		echo(w, r)
	}
}

// slowServer is an echo server that delays each handshake.
type slowServer struct{ delay time.Duration }

func (s *slowServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if wait(r.Context(), s.delay) {
		echo(w, r)
	}
}

// neverReadHandler completes handshakes, but reads no messages.
type neverReadHandler struct{}

func (neverReadHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Conn: websocket.ConnOptions{PingInterval: -1}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	<-r.Context().Done()
}

// slowClients starts clients that send their handshakes a few bytes at a time, and counts those that have connected.
func (s *stage) slowClients() *atomic.Int64 {
	in := new(atomic.Int64)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	s.leave = append(s.leave, func() {
		stop()
		all.Wait()
	})
	for range s.few {
		all.Go(func() {
			if err := s.slowClient(ctx, in); err != nil && ctx.Err() == nil {
				s.t.Errorf("slow client: %v", err)
			}
		})
	}
	return in
}

func (s *stage) slowClient(ctx context.Context, in *atomic.Int64) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", s.listen)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	head := "GET /echo HTTP/1.1\r\nHost: " + s.listen + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	for i := 0; i < len(head); i += 20 {
		if _, err := io.WriteString(c, head[i:min(i+20, len(head))]); err != nil {
			return err
		}
		wait(ctx, 100*time.Millisecond)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("answered with %s", res.Status)
	}
	in.Add(1)
	<-ctx.Done()
	return nil
}

// flood makes clients send data without reading. It returns the number of bytes sent when all clients are blocked or have sent all
// their data. At least one client must be blocked; Node's ws accepts more data than it can send back.
func (s *stage) flood(url string) int64 {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	s.leave = append(s.leave, func() {
		stop()
		all.Wait()
	})
	written := new(atomic.Int64)
	const parts = 512
	part := make([]byte, 64<<10)
	for range s.floods {
		c, err := websocket.Dial(bounded.Context(s.t), url, &websocket.DialOptions{Conn: websocket.ConnOptions{PingInterval: -1}})
		if err != nil {
			s.t.Fatal(err)
		}
		all.Go(func() {
			defer c.CloseNow()
			for range parts {
				if err := c.Write(ctx, websocket.Message{Type: websocket.Binary, Data: part}); err != nil {
					return
				}
				written.Add(int64(len(part)))
			}
			<-ctx.Done()
		})
	}
	for was := int64(-1); was != written.Load(); {
		was = written.Load()
		s.c.waitProgress() // the balancer has had time to forward more data: it has forwarded that of other clients
		s.c.waitProgress()
	}
	if all := int64(s.floods * parts * len(part)); written.Load() == all {
		s.t.Errorf("got all %d MiB sent, want a blocked client", all>>20)
	}
	return written.Load()
}

// memory returns the resident memory of the balancer's process, in MiB.
func (s *stage) memory() int {
	s.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.balancer.Pid()))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		s.t.Fatal(err)
	}
	return kib >> 10
}

// memoryGrowth returns the growth of the balancer's memory since before, in MiB, and checks its limit.
func (s *stage) memoryGrowth(before int) int {
	s.t.Helper()
	more := max(0, s.memory()-before)
	if more >= 64 {
		s.t.Errorf("got %d MiB more memory of the balancer, want less than 64", more)
	}
	return more
}
