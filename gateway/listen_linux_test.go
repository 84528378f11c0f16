package gateway

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// A connection inherits the keep-alive settings of its listener's socket.
func TestConnectionsInheritKeepAlive(t *testing.T) {
	l, err := bind(bounded.Context(t), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for name, o := range map[string]struct{ level, option, want int }{
			"on":       {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			"idle":     {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 15},
			"interval": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 15},
			"count":    {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 9},
			"no delay": {syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		} {
			if got, err := syscall.GetsockoptInt(int(fd), o.level, o.option); err != nil || got != o.want {
				t.Errorf("%s: %d, %v, want %d", name, got, err, o.want)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// failingRawConn is a connection without a descriptor.
type failingRawConn struct{ syscall.RawConn }

func (failingRawConn) Control(f func(fd uintptr)) error {
	f(^uintptr(0))
	return nil
}

// A socket whose options cannot be set is not used.
func TestKeepAliveFails(t *testing.T) {
	var config net.ListenConfig
	setKeepAlive(&config)
	if err := config.Control("tcp", "", failingRawConn{}); !errors.Is(err, syscall.EBADF) {
		t.Errorf("%v", err)
	}
}
