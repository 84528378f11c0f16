//go:build unix

package gateway

import (
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// A socket passed by the parent process is used once, for the address that it listens on; other descriptors are ignored.
func TestInherit(t *testing.T) {
	one, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	file, err := one.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	passed, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := os.Create(t.TempDir() + "/plain")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	other, err := syscall.Dup(int(plain.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	h := inherit(passed, 1) // this closes the descriptor
	if h := inherit(other, 1); len(h.unused) != 0 {
		t.Error("a file is returned as a listener")
	}
	if h := inherit(1<<20, 2); len(h.unused) != 0 {
		t.Error("missing descriptors are returned as listeners")
	}
	addr := one.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	for _, other := range []string{"127.0.0.1:0", ":" + port, "127.0.0.2:" + port, "127.0.0.1:1", "nonsense"} {
		if h.take("tcp", other) != nil {
			t.Errorf("%s took the listener of %s", other, addr)
		}
	}
	l := h.take("tcp", addr)
	if l == nil || !h.has(l) || h.has(one) {
		t.Fatal("the listener was not returned")
	}
	defer l.Close()
	if h.take("tcp", addr) != nil {
		t.Error("the listener was returned twice")
	}
	one.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = c.Close()
		}
		done <- err
	}()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := bounded.Receive(t, done); err != nil {
		t.Error(err)
	}
}
