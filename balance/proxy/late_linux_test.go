package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// A server whose queue of new connections is full does not complete a connection: the request waits, until the time limit for
// connecting.
func TestConnectTimeout(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
	queued := 0
	for ; queued < 10; queued++ {
		nc, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			break
		}
		defer nc.Close()
	}
	if queued == 0 || queued == 10 {
		t.Fatalf("got %d queued connections, want some and then none", queued)
	}
	eachOpen(t, "", func(t *testing.T, open opener) {
		d, err := NewDialer(addr, DialerOptions{Connect: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		_, err = open(bounded.Context(t), d, parseRequest(t, plain+"\r\n"))
		if f, ok := errors.AsType[*Failure](err); !ok || f.Stage != StageConnect || !f.Timeout() {
			t.Errorf("got %v, want a timeout at the stage connect", err)
		}
	})
}

// The time limit of a handshake applies at any point within a tick: the loop counts in ticks, so it may check a connection a
// fraction of a tick too early.
func TestHandshakeTimeout(t *testing.T) {
	c := NewCarrier()
	defer c.Close()
	l := listen(t)
	defer l.Close()
	ctx := bounded.Context(t)
	var all sync.WaitGroup
	for i := range 40 { // each time limit ends at a different point of a tick
		d, err := NewDialer(l.Addr().String(), DialerOptions{Handshake: 50*time.Millisecond + time.Duration(i)*time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		r := parseRequest(t, plain+"\r\n")
		all.Go(func() {
			if _, err := c.open(ctx, d, r); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
			}
		})
	}
	all.Wait()
}
