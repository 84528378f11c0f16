//go:build linux

package websocket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// evTimeout is the time limit of a test's waits for expected events. A passing test never waits that long.
const evTimeout = time.Minute

// evServe runs s on its own port until the test ends, and returns the address for Dial.
func evServe(t testing.TB, s *evServer) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := s.Shutdown(evBounded(t)); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := bounded.Receive(t, over); !errors.Is(err, errEvClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return l.Addr().String()
}

func evDial(t testing.TB, addr string, o *DialOptions) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), evTimeout)
	defer cancel()
	c, err := Dial(ctx, "ws://"+addr+"/", o)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func evBounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), evTimeout)
	t.Cleanup(cancel)
	return ctx
}

func evNewReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }
