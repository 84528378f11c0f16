package websocket

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"github.com/handfast/handfast/websocket/protocol"
)

// ways contains two ways to accept a client, which use the same Handler.
var ways = []struct {
	name  string
	serve func(tb testing.TB, handler func(*Conn)) (addr string)
}{
	{"Server", func(tb testing.TB, handler func(*Conn)) string {
		return serveOwn(tb, ownServer(&Endpoint{Serve: handler}))
	}},
	{"net-http", func(tb testing.TB, handler func(*Conn)) string {
		return serve(tb, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := Accept(w, r, nil); err == nil {
				handler(c)
			}
		}))
	}},
}

// dialUpgrade opens a WebSocket connection with as little overhead as possible. answer is a buffer for the 101 response.
func dialUpgrade(addr string, answer []byte) (net.Conn, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err = io.WriteString(nc, browserHead); err == nil {
		n := 0
		for !bytes.HasSuffix(answer[:n], []byte("\r\n\r\n")) && err == nil {
			var m int
			m, err = nc.Read(answer[n:])
			n += m
		}
	}
	if err != nil {
		nc.Close()
	}
	return nc, err
}

// BenchmarkUpgrade measures connecting on loopback, the upgrade, and closing, with both ends in this process.
func BenchmarkUpgrade(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			ended := make(chan struct{}, 1)
			addr := way.serve(b, func(c *Conn) {
				c.Read(context.Background())
				ended <- struct{}{}
			})
			answer := make([]byte, 1<<10)
			b.ReportAllocs()
			for b.Loop() {
				nc, err := dialUpgrade(addr, answer)
				if err != nil {
					b.Fatal(err)
				}
				nc.Close()
				<-ended
			}
		})
	}
}

// BenchmarkUpgrade_InMemory measures upgrades without the kernel, so that the result only includes the cost of this package and
// net/http.
func BenchmarkUpgrade_InMemory(b *testing.B) {
	run := func(b *testing.B, p *pipeListener) {
		b.ReportAllocs()
		for b.Loop() {
			nc := newScriptedConn([]byte(browserHead), 0)
			p.conns <- nc
			<-nc.closed
		}
	}
	b.Run("Server", func(b *testing.B) {
		s, p := ownServer(&Endpoint{Serve: func(c *Conn) { c.CloseNow() }}), newPipeListener()
		go s.Serve(p)
		defer s.Close()
		run(b, p)
	})
	b.Run("net-http", func(b *testing.B) {
		p := newPipeListener()
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := Accept(w, r, nil); err == nil {
				c.CloseNow()
			}
		})}
		go s.Serve(p)
		defer s.Close()
		run(b, p)
	})
}

// An idle accepted connection only occupies the Conn, its goroutine and a copy of the request's header, without HTTP's buffers. The
// result includes stacks.
func TestServer_IdleConnectionIsSmall(t *testing.T) { idleIsSmall(t, 0, echoRead, 4<<10, 6<<10) }

// echoRead echoes one message.
func echoRead(c *Conn) {
	if m, err := readAppend(context.Background(), c, make([]byte, 0, 64)); err == nil {
		c.Write(context.Background(), m)
	}
}

// idleIsSmall checks the memory, in bytes, that a connection accepted by ways[way] occupies after an echo.
func idleIsSmall(t *testing.T, way int, echo func(*Conn), mostHeap, mostStack int64) {
	const n = 1000 // many, so that the free stacks of earlier goroutines do not matter
	ready := make(chan struct{}, n)
	addr := ways[way].serve(t, func(c *Conn) {
		echo(c)
		ready <- struct{}{}
		echo(c) // waits for a message
	})
	used := func() (heap, stack int64) {
		runtime.GC()
		runtime.GC() // sync.Pool releases its items in the second collection
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc), int64(m.StackInuse)
	}
	frame := raw{t, nil, protocol.RoleClient}.frame(1, true, "hello")
	answer := make([]byte, 1<<10)
	var heap, stack int64
	for i := range n + 1 {
		nc, err := dialUpgrade(addr, answer)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.Write(frame)
		if _, err := io.ReadFull(nc, answer[:7]); err != nil || string(answer[2:7]) != "hello" {
			t.Fatalf("the echo is %q (%v)", answer[:7], err)
		}
		<-ready
		if i == 0 { // the first measurement includes the memory of the server
			heap, stack = used()
		}
	}
	heapNow, stackNow := used()
	heap, stack = (heapNow-heap)/n, (stackNow-stack)/n
	t.Logf("%d bytes of heap and %d of stack per connection, including the client's net.Conn", heap, stack)
	if heap > mostHeap || stack > mostStack {
		t.Errorf("%d bytes of heap and %d of stack per connection, want at most %d and %d", heap, stack, mostHeap, mostStack)
	}
}
