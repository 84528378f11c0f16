//go:build !race

package transport

import (
	"io"
	"net"
	"testing"

	"github.com/handfast/handfast/websocket/internal/allocs"
)

// A read that has to wait returns its buffer to the pool, and borrows another one when bytes arrive. The test is excluded with the race
// detector, which makes pools drop items.
func TestReadSomeThatWaitsAllocatesNothing(t *testing.T) {
	s, far := sockets(t)
	go func(far net.Conn) {
		b := make([]byte, 1)
		for {
			if _, err := io.ReadFull(far, b); err != nil {
				return
			}
			if _, err := far.Write(b); err != nil {
				return
			}
		}
	}(far)
	if !s.CanTryWrite() {
		return // TryWrite is not available on this system
	}
	one := []byte("x")
	allocs := allocs.PerRun(200, func() {
		if _, err := s.TryWrite(one); err != nil {
			t.Fatal(err)
		}
		buf, b, err := s.ReadSome(false)
		if err != nil || len(b) != 1 {
			t.Fatal(len(b), err)
		}
		if buf != nil {
			Return(buf)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// A write of two slices borrows memory for the call, and returns it.
func TestWriteVecAllocatesNothing(t *testing.T) {
	s, far := sockets(t)
	go io.Copy(io.Discard, far)
	head, body := []byte("head"), []byte("body")
	allocs := allocs.PerRun(200, func() {
		if n, err := s.WriteVec(head, body); n != 8 || err != nil {
			t.Fatal(n, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// A read that receives no bytes returns the borrowed buffer.
func TestReadSomeAtTheEndAllocatesNothing(t *testing.T) {
	for name, make := range streams(t) {
		s, far := make()
		far.Close()
		for _, hold := range []bool{false, true} {
			allocs := allocs.PerRun(200, func() {
				if buf, _, err := s.ReadSome(hold); buf != nil || err != io.EOF { //nolint:errorlint // sockets return io.EOF unwrapped
					t.Fatal(buf, err)
				}
			})
			if allocs != 0 {
				t.Errorf("%s, hold %v: %v allocations", name, hold, allocs)
			}
		}
	}
}
