//go:build e2e

package balance

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

// A new process takes over the socket of an old process, as with a systemd socket unit. The old process drains. No client is rejected
// or finds the address closed, not even a client whose handshake the old process has begun to read.
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
	f := start(t, farmOptions{kinds: []string{""}})
	f.u.Sockets = []*os.File{file}
	balancer := func() *harness.Server {
		return f.u.Balance("--listen", l.Addr().String(), "--to", f.id(0), "--admin", "127.0.0.1:0")
	}
	old := balancer()
	late, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	fmt.Fprint(late, "GET /echo HTTP/1.1\r\nHost: localhost\r\n")
	c := startCrowd(t, "ws://"+l.Addr().String()+"/echo", 50, 10*time.Millisecond)
	_ = balancer()
	old.Signal(syscall.SIGTERM)
	bounded.Until(t, func() bool { return strings.Contains(old.Log.String(), "msg=stopping") })
	fmt.Fprint(late, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	late.SetReadDeadline(time.Now().Add(time.Minute))
	if resp, err := http.ReadResponse(bufio.NewReader(late), nil); err != nil {
		t.Error(err)
	} else if resp.Body.Close(); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("handshake begun at the old process: got %s, want 101", resp.Status)
	}
	late.Close()
	if code := old.Wait(); code != 0 {
		t.Errorf("old process: got exit status %d, want 0", code)
	}
	if strings.Contains(old.Log.String(), "handshake refused") {
		t.Errorf("the old process refused clients:\n%s", &old.Log)
	}
	c.waitProgress()
	c.expect(bounds{code: "1001", atLeast: 1, atMost: 50})
}
