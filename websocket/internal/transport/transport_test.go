package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// sockets returns a Stream on a TCP socket, and the other end.
func sockets(t *testing.T) (*Stream, net.Conn) {
	t.Helper()
	return socketsOf(t, "tcp", "127.0.0.1:0")
}

func socketsOf(t *testing.T, network, address string) (*Stream, net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := new(Stream)
	s.Init(near)
	t.Cleanup(func() { s.Close(); far.Close() })
	return s, far
}

// bare is a stream that does not support deadlines.
type bare struct{ io.ReadWriteCloser }

// streams returns a Stream of each kind, and the other end.
func streams(t *testing.T) map[string]func() (*Stream, net.Conn) {
	return map[string]func() (*Stream, net.Conn){
		"socket":      func() (*Stream, net.Conn) { return sockets(t) },
		"unix socket": func() (*Stream, net.Conn) { return socketsOf(t, "unix", filepath.Join(t.TempDir(), "s")) },
		"pipe": func() (*Stream, net.Conn) {
			near, far := net.Pipe()
			s := new(Stream)
			s.Init(near)
			t.Cleanup(func() { s.Close(); far.Close() })
			return s, far
		},
		"without deadlines": func() (*Stream, net.Conn) {
			near, far := net.Pipe()
			s := new(Stream)
			s.Init(bare{near})
			t.Cleanup(func() { s.Close(); far.Close() })
			return s, far
		},
	}
}

func TestReadSomeAfterADeadline(t *testing.T) {
	for name, make := range streams(t) {
		for _, hold := range []bool{false, true} {
			s, far := make()
			s.SetReadDeadline(time.Now().Add(-time.Second))
			if buf, b, err := s.ReadSome(hold); !IsTimeout(err) || buf != nil || len(b) > 0 {
				t.Errorf("%s: %q, %v after its deadline", name, b, err)
			}
			s.SetReadDeadline(time.Time{})
			go far.Write([]byte("bytes"))
			buf, b, err := s.ReadSome(hold)
			if err != nil || string(b) != "bytes" {
				t.Errorf("%s: %q, %v", name, b, err)
			}
			if buf != nil {
				Return(buf)
			}
			s.SetReadDeadline(time.Now().Add(-time.Second)) // the bytes read above are not returned again
			if buf, b, err := s.ReadSome(hold); !IsTimeout(err) || buf != nil || len(b) > 0 {
				t.Errorf("%s: %q, %v after another deadline", name, b, err)
			}
			s.SetReadDeadline(time.Time{})
			far.Close()
			if _, _, err := s.ReadSome(hold); !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v at the end", name, err)
			}
		}
	}
}

// TestWrites writes one slice, two slices, and more than a socket accepts immediately.
func TestWrites(t *testing.T) {
	large := bytes.Repeat([]byte("large "), 1<<20)
	for name, make := range streams(t) {
		s, far := make()
		got := newReader(far, len("head")+2*len(large))
		n, err := s.Write(large, new(atomic.Bool))
		if err != nil || n != len(large) {
			t.Errorf("%s: Write wrote %d, %v", name, n, err)
		}
		n, err = s.WriteVec([]byte("head"), large)
		if err != nil || n != len("head")+len(large) {
			t.Errorf("%s: WriteVec wrote %d, %v", name, n, err)
		}
		if b := bounded.Receive(t, got); !bytes.Equal(b, append(append(append([]byte{}, large...), "head"...), large...)) {
			t.Errorf("%s: %d bytes received, or wrong ones", name, len(b))
		}
	}
}

func newReader(r io.Reader, n int) <-chan []byte {
	got := make(chan []byte, 1)
	go func() {
		b := make([]byte, n)
		n, _ := io.ReadFull(r, b)
		got <- b[:n]
	}()
	return got
}

// TestTryWrite checks that TryWrite does not wait: a full socket accepts nothing.
func TestTryWrite(t *testing.T) {
	s, _ := sockets(t)
	if !s.CanTryWrite() {
		return // TryWrite is not available on this system
	}
	b := make([]byte, 1<<20)
	for {
		n, err := s.TryWrite(b)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	s.SetWriteDeadline(time.Now().Add(time.Millisecond))
	if n, err := s.Write(b, new(atomic.Bool)); !IsTimeout(err) || n == len(b) {
		t.Errorf("Write to a full socket wrote %d, %v", n, err)
	}
	s.Close()
	if _, err := s.TryWrite(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("TryWrite to a closed socket: %v", err)
	}
}

// TestIsTimeout checks that our own deadline is distinguished from TCP's timeout for a dead peer.
func TestIsTimeout(t *testing.T) {
	s, _ := sockets(t)
	s.SetReadDeadline(time.Now().Add(-time.Second))
	_, passed := s.Read(make([]byte, 1))
	gone := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}
	for err, want := range map[error]bool{passed: true, os.ErrDeadlineExceeded: true, gone: false, gone.Err: false, io.EOF: false,
		context.DeadlineExceeded: true, // a net.Error of another kind of stream
		&net.DNSError{}:          false, errors.New("another"): false,
	} {
		if IsTimeout(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
