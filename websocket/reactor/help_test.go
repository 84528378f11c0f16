//go:build linux

package reactor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
)

// patience bounds a test's waits for what must happen. Nothing waits for it when all is well.
const patience10 = 10 * time.Second

// serve runs s on a port of its own until the test ends, and returns its address for Dial.
func serve(t testing.TB, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := s.Shutdown(bounded(t)); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := await(t, over); !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return l.Addr().String()
}

func dial(t testing.TB, addr string, o *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience10)
	defer cancel()
	c, err := websocket.Dial(ctx, "ws://"+addr+"/", o)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience10)
	t.Cleanup(cancel)
	return ctx
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }
