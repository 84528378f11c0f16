package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// Sent counts the bytes of every method that writes, and Write reports that the peer accepts bytes.
func TestSentCountsAllWrites(t *testing.T) {
	for name, make := range streams(t) {
		s, far := make()
		got := newReader(far, 12)
		var moved atomic.Bool
		if n, err := s.Write([]byte("four"), &moved); n != 4 || err != nil || !moved.Load() || s.Sent() != 4 {
			t.Errorf("%s: Write: %d, %v, moved %v, sent %d", name, n, err, moved.Load(), s.Sent())
		}
		if n, err := s.WriteVec([]byte("4"), []byte("threes!")); n != 8 || err != nil || s.Sent() != 12 {
			t.Errorf("%s: WriteVec: %d, %v, sent %d", name, n, err, s.Sent())
		}
		if b := bounded.Receive(t, got); string(b) != "four4threes!" {
			t.Errorf("%s: %q", name, b)
		}
		far.Close()
		if s.CanTryWrite() != strings.HasSuffix(name, "socket") {
			t.Errorf("%s: CanTryWrite() = %v", name, s.CanTryWrite())
		}
	}
}

// strides is a stream that counts the writes.
type strides struct {
	net.Conn
	sizes []int
	fail  int // number of the write that fails; 0 means none
	taken int // number of bytes that the failing write accepts
}

func (w *strides) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	if len(w.sizes) == w.fail {
		return w.taken, io.ErrClosedPipe
	}
	return len(p), nil
}

// If the system does not report partial writes, data is written in pieces.
func TestWriteInStrides(t *testing.T) {
	for n, want := range map[int]int{0: 1, 1: 1, chunkSize: 1, chunkSize + 1: 2, 3 * chunkSize: 3} {
		w := new(strides)
		s := new(Stream)
		s.Init(w)
		if got, err := s.Write(make([]byte, n), new(atomic.Bool)); got != n || err != nil || len(w.sizes) != want || s.Sent() != int64(n) {
			t.Errorf("%d bytes: %d in %v, %v", n, got, w.sizes, err)
		}
	}
	w := &strides{fail: 2, taken: 3}
	s := new(Stream)
	s.Init(w)
	if n, err := s.Write(make([]byte, 3*chunkSize), new(atomic.Bool)); n != chunkSize+3 || err == nil || s.Sent() != chunkSize+3 || len(w.sizes) != 2 {
		t.Errorf("a write that fails: %d, %v, sent %d", n, err, s.Sent())
	}
	for taken, want := range []bool{false, true} {
		s, moved := new(Stream), new(atomic.Bool)
		s.Init(&strides{fail: 1, taken: taken})
		if n, err := s.Write([]byte("four"), moved); n != taken || err == nil || moved.Load() != want {
			t.Errorf("a write that fails after %d bytes: %d, %v, moved %t", taken, n, err, moved.Load())
		}
	}
	for _, fail := range []int{1, 2} {
		w := &strides{fail: fail, taken: 3}
		s := new(Stream)
		s.Init(w)
		want := 3 + 4*(fail-1)
		if n, err := s.WriteVec([]byte("head"), []byte("body")); n != want || err == nil || s.Sent() != int64(want) || len(w.sizes) != fail {
			t.Errorf("WriteVec whose write %d fails: %d, %v, sent %d", fail, n, err, s.Sent())
		}
	}
}

// A read that holds a Buffer receives more bytes in one call than one that does not, and returns the Buffer if there are no bytes.
func TestReadSomeWithoutABuffer(t *testing.T) {
	near, far := net.Pipe()
	s := new(Stream)
	s.Init(near)
	defer s.Close()
	defer far.Close()
	go far.Write(make([]byte, 100))
	buf, b, err := s.ReadSome(false)
	if buf != nil || len(b) != 64 || err != nil {
		t.Errorf("%v, %d bytes, %v", buf != nil, len(b), err)
	}
	buf, b, err = s.ReadSome(true)
	if buf == nil || len(b) != 36 || err != nil {
		t.Errorf("%v, %d bytes, %v", buf != nil, len(b), err)
	}
	Return(buf)
	if s.Below() != io.ReadWriteCloser(near) {
		t.Error("Below returns another stream")
	}
}

// An error of a socket contains the name of the system call, as in package net.
func TestErrorsNameTheCall(t *testing.T) {
	s, far := sockets(t)
	far.(*net.TCPConn).SetLinger(0) //nolint:errcheck // if this fails, the test fails, too
	far.Close()
	var call *os.SyscallError
	if _, _, err := s.ReadSome(false); !errors.As(err, &call) || call.Syscall != "read" {
		t.Errorf("a read after a reset: %v", err)
	}
	if _, err := s.Write([]byte("late"), new(atomic.Bool)); !errors.As(err, &call) || call.Syscall != "write" {
		t.Errorf("a write after a reset: %v", err)
	}
}

func TestCloseWrite(t *testing.T) {
	s, far := sockets(t)
	if err := s.CloseWrite(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(far); err != nil {
		t.Error(err)
	}
	near, far2 := net.Pipe()
	defer far2.Close()
	p := new(Stream)
	p.Init(near)
	defer p.Close()
	if err := p.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe: %v", err)
	}
}

func TestAccepted(t *testing.T) {
	s, far := sockets(t)
	named := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	a := Accept(s.Below().(net.Conn), nil)
	if a.RemoteAddr() != a.Conn.RemoteAddr() {
		t.Errorf("the address is %v", a.RemoteAddr())
	}
	if a.Remote = named; a.RemoteAddr() != net.Addr(named) {
		t.Errorf("the address is %v", a.RemoteAddr())
	}
	over := new(Stream)
	if over.Init(a); !over.CanTryWrite() {
		t.Error("the underlying socket is not polled")
	}
	if err := over.CloseWrite(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(far); err != nil {
		t.Error(err)
	}
	near, other := net.Pipe()
	defer near.Close()
	defer other.Close()
	if err := Accept(near, nil).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe: %v", err)
	}
}

// closing is a stream whose Close is counted and fails.
type closing struct {
	io.ReadWriteCloser
	closes *atomic.Int32
}

var errClosing = errors.New("it fails")

func (c closing) Close() error {
	c.closes.Add(1)
	c.ReadWriteCloser.Close()
	return errClosing
}

// Close of a stream without deadlines allows written data to be sent, for at most a second. Abort does not.
func TestBridgeClose(t *testing.T) {
	for name, tt := range map[string]struct {
		reads, abort bool
		after        time.Duration
	}{
		"a peer that reads":         {true, false, 0},
		"a peer that does not read": {false, false, drainTimeout},
		"Abort":                     {false, true, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			var closes atomic.Int32
			s := new(Stream)
			s.Init(bare{closing{near, &closes}})
			begun := time.Now()
			if _, err := s.Write([]byte("last words"), new(atomic.Bool)); err != nil {
				t.Fatal(err)
			}
			var read []byte
			if tt.reads {
				go func() { read, _ = io.ReadAll(far) }()
			}
			if tt.abort {
				if err := s.Abort(); err != errClosing { //nolint:errorlint // errClosing is never wrapped
					t.Errorf("%s: %v", name, err)
				}
				synctest.Wait()                                                 // a local close is not mistaken for the peer's
				if n, err := s.Read(make([]byte, 1)); err != io.ErrClosedPipe { //nolint:errorlint // io.ErrClosedPipe is never wrapped
					t.Errorf("%s: then Read returns %d, %v", name, n, err)
				}
			} else if err := s.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			if n := closes.Load(); (n == 1) != (tt.after == 0) {
				t.Errorf("%s: closed %d times", name, n)
			}
			time.Sleep(tt.after) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
			synctest.Wait()
			if n, d := closes.Load(), time.Since(begun); n != 1 || d != tt.after {
				t.Errorf("%s: closed %d times after %v", name, n, d)
			}
			if tt.reads && string(read) != "last words" {
				t.Errorf("%s: the peer got %q", name, read)
			}
			s.Close()
			far.Close()
			time.Sleep(2 * drainTimeout) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
			if n := closes.Load(); n != 1 {
				t.Errorf("%s: closed %d times in the end", name, n)
			}
		})
	}
}

// Aborting TLS does not wait for a peer that does not read.
func TestAbortOfTLSSendsNothing(t *testing.T) {
	web := httptest.NewTLSServer(nil) // used for the certificate
	web.Close()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		server := tls.Server(near, &tls.Config{Certificates: web.TLS.Certificates, SessionTicketsDisabled: true})
		client := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
		shaken := make(chan error, 1)
		go func() { shaken <- client.Handshake() }()
		if err := errors.Join(server.Handshake(), bounded.Receive(t, shaken)); err != nil {
			t.Fatal(err)
		}
		s := new(Stream)
		s.Init(server)
		begun := time.Now()
		if err := s.Abort(); err != nil || time.Since(begun) != 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if n, err := far.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // io.EOF is never wrapped
			t.Errorf("the peer reads %d bytes, %v", n, err)
		}
	})
}

// A failed write does not retain references to its data.
func TestWriteVecReleasesItsSlices(t *testing.T) {
	s := new(Stream)
	s.Init(&strides{fail: 1})
	for range 100 { // a pool may return any of its objects, or a new one
		s.Below().(*strides).sizes = nil
		if _, err := s.WriteVec([]byte("head"), []byte("body")); err == nil {
			t.Fatal("WriteVec does not fail")
		}
		if v := vectors.Get().(*vector); v.bufs != nil || v.pieces[0] != nil || v.pieces[1] != nil {
			t.Fatalf("a pooled vector holds %q and %q", v.pieces, v.bufs)
		}
	}
}
