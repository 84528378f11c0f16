package explain

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket/wstest"
)

// The connections that explain reads from satisfy the contract of net.Conn, since crypto/tls and the SOCKS client use them.
func TestConnectionsAreNetConns(t *testing.T) {
	for name, wrap := range map[string]func(*link) net.Conn{
		"link":          func(l *link) net.Conn { return l },
		"recorded":      func(l *link) net.Conn { return &recordedConn{Conn: l.Conn, l: l} },
		"after a proxy": func(l *link) net.Conn { return &prefixedConn{l.Conn, nil} },
		"all of them at once": func(l *link) net.Conn {
			l.Conn = &prefixedConn{&recordedConn{Conn: l.Conn, l: l}, nil}
			return l
		},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				ctx, cancel := context.WithCancel(t.Context())
				near, far := wstest.NetPipe(0)
				l := (&dialer{run: &run{ctx: ctx}}).newLink(near)
				return wrap(l), far, func() { l.end(); far.Close(); cancel() }, nil
			})
		})
	}
}

// The end of the context interrupts reads and writes, and no later deadline makes them wait again.
func TestLinkEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	near, far := wstest.NetPipe(0)
	defer far.Close()
	l := (&dialer{run: &run{ctx: ctx}}).newLink(near)
	defer l.end()
	failed := make(chan error, 1)
	go func() {
		_, err := l.Read(make([]byte, 1))
		failed <- err
	}()
	cancel()
	if err := bounded.Receive(t, failed); err == nil {
		t.Fatal("a read returned no error")
	}
	for name, set := range map[string]func(time.Time) error{"SetDeadline": l.SetDeadline, "SetReadDeadline": l.SetReadDeadline, "SetWriteDeadline": l.SetWriteDeadline} {
		if err := set(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %s, a read returned %v", name, err)
		}
		if _, err := l.Write(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %s, a write returned %v", name, err)
		}
	}
}
