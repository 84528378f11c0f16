package wstest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/wstest"
)

// ends are the two ends of a byte stream in memory. They are closed when the test ends.
func ends(t *testing.T, buffer int) (near, far net.Conn) {
	t.Helper()
	near, far = wstest.NetPipe(buffer)
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, to io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(to, s); n != len(s) || err != nil {
		t.Fatalf("Write(%q) = %d, %v", s, n, err)
	}
}

// wantRead expects s from a single read of n bytes.
func wantRead(t *testing.T, from io.Reader, n int, s string) {
	t.Helper()
	b := make([]byte, n)
	n, err := from.Read(b)
	if err != nil || string(b[:n]) != s {
		t.Fatalf("Read = %q, %v; want %q", b[:n], err, s)
	}
}

func wantReadError(t *testing.T, from io.Reader, want error) {
	t.Helper()
	if n, err := from.Read(make([]byte, 8)); n != 0 || !errors.Is(err, want) {
		t.Errorf("Read = %d, %v; want %v", n, err, want)
	}
}

func wantWriteError(t *testing.T, to io.Writer, want error) {
	t.Helper()
	if n, err := to.Write([]byte("lost")); n != 0 || !errors.Is(err, want) {
		t.Errorf("Write = %d, %v; want %v", n, err, want)
	}
}

// The cases are the ways to close an end, with the results at both ends: first the data written before, then an error.
func TestNetPipeEnds(t *testing.T) {
	tests := []struct {
		name                string
		end                 func(net.Conn) error
		farRead, farWrite   error
		nearRead, nearWrite error // nil if the stream stays open
	}{
		{"close", net.Conn.Close, io.EOF, syscall.EPIPE, net.ErrClosed, net.ErrClosed},
		{"close one direction", func(c net.Conn) error { return c.(interface{ CloseWrite() error }).CloseWrite() },
			io.EOF, nil, nil, syscall.EPIPE},
		{"reset", func(c net.Conn) error { return c.(interface{ Reset() error }).Reset() },
			syscall.ECONNRESET, syscall.ECONNRESET, net.ErrClosed, net.ErrClosed},
		{"close, and then reset", func(c net.Conn) error { return errors.Join(c.Close(), c.(interface{ Reset() error }).Reset()) },
			io.EOF, syscall.EPIPE, net.ErrClosed, net.ErrClosed},
		{"reset, and then close", func(c net.Conn) error { return errors.Join(c.(interface{ Reset() error }).Reset(), c.Close()) },
			syscall.ECONNRESET, syscall.ECONNRESET, net.ErrClosed, net.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			near, far := ends(t, 0)
			write(t, near, "before")
			for range 2 { // a second call has no effect
				check(t, tt.end(near))
			}
			wantRead(t, far, 8, "before")
			wantReadError(t, far, tt.farRead)
			if tt.farWrite != nil {
				wantWriteError(t, far, tt.farWrite)
			} else {
				write(t, far, "back")
			}
			if tt.nearRead != nil {
				wantReadError(t, near, tt.nearRead)
			} else {
				wantRead(t, near, 8, "back")
			}
			wantWriteError(t, near, tt.nearWrite)
			if err := near.SetReadDeadline(time.Time{}); !errors.Is(err, tt.nearRead) {
				t.Errorf("a deadline: %v, want %v", err, tt.nearRead)
			}
		})
	}
}

// A waiting call returns when either end is closed.
func TestNetPipeEndWakesWaitingCalls(t *testing.T) {
	tests := []struct {
		name  string
		wait  func(near net.Conn) error
		end   func(near, far net.Conn) error
		wants error
	}{
		{"read, near closed", readOne, func(near, _ net.Conn) error { return near.Close() }, net.ErrClosed},
		{"read, far closed", readOne, func(_, far net.Conn) error { return far.Close() }, io.EOF},
		{"read, deadline", readOne, func(near, _ net.Conn) error { return near.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"write, near closed", writeMuch, func(near, _ net.Conn) error { return near.Close() }, net.ErrClosed},
		{"write, far closed", writeMuch, func(_, far net.Conn) error { return far.Close() }, syscall.EPIPE},
		{"write, deadline", writeMuch, func(near, _ net.Conn) error { return near.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := ends(t, 3)
				got := make(chan error, 1)
				go func() { got <- tt.wait(near) }()
				synctest.Wait() // the call is waiting
				check(t, tt.end(near, far))
				if err := <-got; !errors.Is(err, tt.wants) {
					t.Errorf("got %v, want %v", err, tt.wants)
				}
			})
		})
	}
}

func readOne(c net.Conn) error {
	_, err := c.Read(make([]byte, 1))
	return err
}

func writeMuch(c net.Conn) error {
	n, err := c.Write([]byte("more than fits"))
	if n != 3 {
		return errors.New("the buffer did not hold 3 bytes")
	}
	return err
}

func TestNetPipeDeadlineInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := ends(t, 0)
		begun := time.Now()
		check(t, near.SetReadDeadline(begun.Add(time.Hour)))
		check(t, near.SetReadDeadline(begun.Add(time.Minute))) // the last deadline applies
		wantReadError(t, near, os.ErrDeadlineExceeded)
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("the read took %v, want a minute", took)
		}
		var ne net.Error
		if _, err := near.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%v is not a timeout", err)
		}
		check(t, near.SetReadDeadline(time.Time{}))
		write(t, far, "late")
		wantRead(t, near, 8, "late")

		// A deadline takes effect when it is reached, even if data is available, and not before.
		write(t, far, "more")
		check(t, near.SetReadDeadline(time.Now()))
		wantReadError(t, near, os.ErrDeadlineExceeded)
		check(t, near.SetReadDeadline(time.Now().Add(1)))
		wantRead(t, near, 8, "more")
	})
}

// The data of concurrent writes is not mixed, even if the buffer is smaller than one of them.
func TestNetPipeWritesAreWhole(t *testing.T) {
	near, far := ends(t, 5)
	const each, size = 20, 12
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for range each {
				if _, err := near.Write(bytes.Repeat([]byte{byte('a' + i)}, size)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	b := make([]byte, size)
	for range 4 * each {
		if _, err := io.ReadFull(far, b); err != nil {
			t.Fatal(err)
		}
		if bytes.Count(b, b[:1]) != size {
			t.Fatalf("the data of two writes is mixed: %q", b)
		}
	}
	writers.Wait()
}

// A write waits for its turn, for the deadline, or for either side to close. If its turn does not come, it writes nothing.
func TestNetPipeWritesTakeTurns(t *testing.T) {
	for name, tt := range map[string]struct {
		do     func(near, far net.Conn) error
		first  int
		second int
		want   error
	}{
		"the other end reads":  {func(_, far net.Conn) error { _, err := io.ReadFull(far, make([]byte, 8)); return err }, 4, 4, nil},
		"the deadline passes":  {func(near, _ net.Conn) error { return near.SetWriteDeadline(time.Unix(1, 0)) }, 3, 0, os.ErrDeadlineExceeded},
		"this end closes":      {func(near, _ net.Conn) error { return near.Close() }, 3, 0, net.ErrClosed},
		"the other end closes": {func(_, far net.Conn) error { return far.Close() }, 3, 0, syscall.EPIPE},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := ends(t, 3)
			type result struct {
				n   int
				err error
			}
			results := [2]chan result{make(chan result, 1), make(chan result, 1)}
			for i, text := range []string{"1111", "2222"} {
				go func() {
					n, err := near.Write([]byte(text))
					results[i] <- result{n, err}
				}()
				synctest.Wait() // the first write waits for room, the second one for its turn
			}
			if len(results[0])+len(results[1]) != 0 {
				t.Fatalf("%s: a write returned before that", name)
			}
			check(t, tt.do(near, far))
			for i, n := range []int{tt.first, tt.second} {
				if got := bounded.Receive(t, results[i]); got.n != n || !errors.Is(got.err, tt.want) {
					t.Errorf("%s: write %d: %d, %v; want %d, %v", name, i+1, got.n, got.err, n, tt.want)
				}
			}
		})
	}
}

// A read with an empty slice reads nothing, and does not wait.
func TestNetPipeReadsNothing(t *testing.T) {
	near, far := ends(t, 0)
	for range 2 {
		if n, err := near.Read(nil); n != 0 || err != nil {
			t.Errorf("Read = %d, %v", n, err)
		}
		write(t, far, "x")
	}
}

// A write fills the available room before its deadline, even in the smallest buffer.
func TestNetPipeFillsItsBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{1, 2} {
			near, _ := ends(t, size)
			check(t, near.SetWriteDeadline(time.Now().Add(time.Second)))
			write(t, near, "a")
			if n, err := near.Write([]byte("bcd")); n != size-1 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a buffer of %d: Write = %d, %v", size, n, err)
			}
		}
	})
}

func TestNetPipeAddresses(t *testing.T) {
	near, far := ends(t, 0)
	if near.LocalAddr() != far.RemoteAddr() || near.RemoteAddr() != far.LocalAddr() || near.LocalAddr() == far.LocalAddr() {
		t.Errorf("%v to %v, %v to %v", near.LocalAddr(), near.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
	}
	if got := near.LocalAddr().Network(); got != "memory" {
		t.Errorf("network %q", got)
	}
}
