//go:build e2e

package balance

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/house"
)

// A new process takes the socket of an old one over, as with a socket unit of systemd: the old one drains, and no client finds
// the address closed or is refused.
func TestTakeOver(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := start(t, 1, 1)
	f.u.Sockets = []*os.File{file}
	balancer := func() *house.Server {
		return f.u.Balance("--listen", l.Addr().String(), "--to", f.id(0), "--admin", "127.0.0.1:0")
	}
	old := balancer()
	c := gather(t, "ws://"+l.Addr().String()+"/echo", 50, 10*time.Millisecond)
	_ = balancer()
	if code := old.Stop(syscall.SIGTERM); code != 0 {
		t.Errorf("the old one ends with %d", code)
	}
	if strings.Contains(old.Log.String(), "handshake refused") {
		t.Errorf("it has refused clients:\n%s", &old.Log)
	}
	c.goesOn(50)
	c.expect("1001", 1, 50)
}
