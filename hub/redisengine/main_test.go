//go:build e2e

package redisengine

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

func TestMain(m *testing.M) {
	enginetest.Parallel()
	os.Exit(bounded.Main(m))
}

// redisServer is a server in which a test causes faults.
type redisServer struct{ *redistest.Server }

// startRedis starts a server, which is stopped when the test ends.
func startRedis(t testing.TB, more string) *redisServer {
	return &redisServer{redistest.Start(t, more)}
}

// proxy is the network between a node and the server. It can be cut, temporarily or permanently.
type proxy struct {
	l     net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
	down  bool
	wg    sync.WaitGroup

	hold             string // the first command that contains it waits until release is closed; "" means none
	once             sync.Once
	holding, release chan struct{}
}

func newProxy(t testing.TB, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &proxy{l: l, to: to, holding: make(chan struct{}), release: make(chan struct{})}
	n.wg.Go(n.accept)
	t.Cleanup(func() { n.cut(); n.wg.Wait() })
	return n
}

func (n *proxy) accept() {
	for {
		in, err := n.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", n.to)
		if err != nil {
			in.Close()
			continue
		}
		n.mu.Lock()
		n.conns = append(n.conns, in, out)
		if n.down {
			in.Close()
		}
		n.mu.Unlock()
		n.wg.Go(func() { io.Copy(in, out); in.Close(); out.Close() })
		n.wg.Go(func() { io.Copy(held{out, n}, in); in.Close(); out.Close() })
	}
}

// held is a connection to the server on which a command can be held.
type held struct {
	net.Conn
	proxy *proxy
}

func (h held) Write(b []byte) (int, error) {
	if n := h.proxy; n.hold != "" && bytes.Contains(b, []byte(n.hold)) {
		n.once.Do(func() {
			close(n.holding)
			<-n.release
		})
	}
	return h.Conn.Write(b)
}

// set cuts or restores the line.
func (n *proxy) set(up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = !up
	for _, c := range n.conns {
		c.Close()
	}
	n.conns = nil
}

func (n *proxy) cut() {
	n.l.Close()
	n.set(false)
}

func (n *proxy) url() string {
	return "redis://:" + redistest.Password + "@" + n.l.Addr().String() + "/0"
}
