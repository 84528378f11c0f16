package loop

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// ends returns two ends of a TCP connection, the second one for k.
func ends(t *testing.T) (near net.Conn, fd int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if fd, err = takeFD(far); err != nil {
		t.Fatal(err)
	}
	near.SetDeadline(time.Now().Add(10 * time.Second))
	return near, fd
}

func kernel(t *testing.T) *epoll {
	t.Helper()
	k, err := NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Release)
	return k.(*epoll)
}

func TestUnsentCountsWhatThePeerHasNotTaken(t *testing.T) {
	k := kernel(t)
	near, fd := ends(t)
	defer near.Close()
	if n := k.Unsent(fd); n != 0 {
		t.Errorf("%d bytes before the first", n)
	}
	sent := 0
	for b := make([]byte, 64<<10); ; {
		n, err := k.Write(fd, b)
		sent += n
		if err == ErrAgain { //nolint:errorlint // it is never wrapped
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := k.Unsent(fd); n <= 0 || n > sent {
		t.Errorf("%d bytes of %d, and the peer has read nothing", n, sent)
	}
	if n := k.Unsent(-1); n != -1 {
		t.Errorf("%d bytes of a descriptor that is none", n)
	}
	k.Close(fd)
}

// Two pieces, either of which may be empty, go out as one.
func TestWritevOfTwoPieces(t *testing.T) {
	k := kernel(t)
	near, fd := ends(t)
	defer near.Close()
	for _, p := range [][2]string{{"ab", "cd"}, {"", "abcd"}, {"abcd", ""}, {"a", "bcd"}} {
		n, err := k.Writev(fd, [2][]byte{[]byte(p[0]), []byte(p[1])})
		if n != 4 || err != nil {
			t.Fatalf("%q: %d, %v", p, n, err)
		}
		b := make([]byte, 4)
		if _, err := io.ReadFull(near, b); err != nil || string(b) != "abcd" {
			t.Errorf("%q: %q, %v", p, b, err)
		}
	}
	k.CloseWrite(fd)
	if _, err := near.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // it is never wrapped
		t.Errorf("after CloseWrite: %v", err)
	}
	k.Close(fd)
	if _, err := k.Writev(-1, [2][]byte{[]byte("a"), nil}); err == nil || errors.Is(err, ErrAgain) {
		t.Errorf("a descriptor that is none: %v", err)
	}
}

// A wake ends one Wait, and is not an event; one before the Wait counts, too.
func TestWakeEndsOneWait(t *testing.T) {
	k := kernel(t)
	events := make([]Event, 4)
	for range 2 {
		k.Wake()
		if n, err := k.Wait(events, 10*time.Second); n != 0 || err != nil {
			t.Errorf("%d events, %v", n, err)
		}
	}
	if k.Now() > 10*time.Second {
		t.Error("the waits went to their ends")
	}
	defer time.AfterFunc(10*time.Second, k.Wake).Stop()
	if n, err := k.Wait(events, 1); n != 0 || err != nil || k.Now() > 10*time.Second {
		t.Errorf("the shortest wait: %d events, %v", n, err)
	}
	begun := k.Now()
	if n, err := k.Wait(events, 2*time.Millisecond); n != 0 || err != nil || k.Now()-begun < 2*time.Millisecond {
		t.Errorf("after the wakes: %d events, %v, %v", n, err, k.Now()-begun)
	}
}

func TestAddressesOfADescriptor(t *testing.T) {
	k := kernel(t)
	near, fd := ends(t)
	defer near.Close()
	if p, l := k.Peer(fd), k.Local(fd); p == nil || p.String() != near.LocalAddr().String() || l == nil || l.String() != near.RemoteAddr().String() {
		t.Errorf("peer %v, local %v; want %v and %v", p, l, near.LocalAddr(), near.RemoteAddr())
	}
	k.Close(fd)
	if p := k.Peer(-1); p != nil {
		t.Errorf("a descriptor that is none: %v", p)
	}
}
