package hub_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// The readers of a benchmark run in a separate process, so that their CPU time is not counted.
const (
	readerAddr  = "HANDFAST_HUB_READER_ADDR"
	readerCount = "HANDFAST_HUB_READER_COUNT"
)

// readAll opens connections, reports on standard output that they are open, and reads until the server or standard input ends.
func readAll(addr string) {
	n, err := strconv.Atoi(os.Getenv(readerCount))
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		wg.Go(func() {
			buf := make([]byte, 4096)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		})
	}
	fmt.Fprintln(os.Stdout, "open")
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	wg.Wait()
}

// receiver is a client of the hub on a real connection.
type receiver struct{ s *hub.Session }

func (r *receiver) Message(websocket.Message) error { return nil }
func (r *receiver) Closed(*websocket.CloseError)    { r.s.Leave() }
func (r *receiver) Drained()                        { r.s.Drained() }

// serve subscribes every connection to channels, and returns the address and a function that returns the senders.
func serve(b *testing.B, h *hub.Hub, channels ...string) (addr string, senders func() []websocket.Sender) {
	var mu sync.Mutex
	var all []websocket.Sender
	end := &websocket.Endpoint{Accept: websocket.AcceptOptions{Conn: websocket.ConnOptions{PingInterval: -1,
		QueueFull: websocket.QueueDropNewest}}}
	end.Open = func(out websocket.Sender) websocket.Receiver {
		mu.Lock()
		all = append(all, out)
		id := fmt.Sprint(len(all))
		mu.Unlock()
		s, err := h.Join(hub.Client{App: "app", ID: id, Out: out, Codec: plainCodec{}})
		if err != nil {
			b.Error(err)
			return nil
		}
		for _, channel := range channels {
			if err := s.Subscribe(b.Context(), channel, hub.SubscribeOptions{}, replyNothing); err != nil {
				b.Error(err)
			}
		}
		return &receiver{s}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &websocket.Server{HTTP: &http.Server{Handler: end}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	b.Cleanup(func() {
		server.Close()
		<-served
	})
	return l.Addr().String(), func() []websocket.Sender {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// readers starts n readers and waits until they have connected.
func readers(b *testing.B, addr string, n int, senders func() []websocket.Sender) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), readerAddr+"="+addr, readerCount+"="+fmt.Sprint(n))
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	bounded.Until(b, func() bool { return len(senders()) == n })
}

// BenchmarkLoop measures the CPU time per delivery of a server whose connections are on the event loop. Messages of 128 bytes are
// published one at a time, or twenty together.
func BenchmarkLoop(b *testing.B) {
	for _, n := range []int{1, 100, 1000, 9000} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			h := start(b, rules(hub.Namespace{History: 100}))
			addr, senders := serve(b, h, "c")
			readers(b, addr, n, senders)
			for _, together := range []int{1, 20} {
				b.Run(fmt.Sprintf("together=%d", together), func(b *testing.B) {
					data := make([]byte, 128)
					want := h.Stats()[0].Deliveries
					before := cpu()
					b.ResetTimer()
					for range b.N {
						for range together {
							publish := hub.Publication{Data: data}
							if _, err := h.Publish(b.Context(), "app", "c", &publish, nil); err != nil {
								b.Fatal(err)
							}
						}
						want += uint64(n * together)
						sent(b, h, want)
					}
					used := cpu() - before
					b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*n*together), "cpu-ns/delivery")
					b.ReportMetric(0, "ns/op")
				})
			}
		})
	}
}

// sent waits until the number of deliveries is reached.
func sent(b *testing.B, h *hub.Hub, want uint64) {
	for h.Stats()[0].Deliveries < want {
		t := time.NewTimer(50 * time.Microsecond)
		<-t.C
	}
}

// BenchmarkIdle measures the memory of a connection on the event loop with three subscriptions.
func BenchmarkIdle(b *testing.B) {
	const n = 5000
	h := start(b, hub.Options{})
	addr, senders := serve(b, h, "one", "two", "three")
	before := heap()
	readers(b, addr, n, senders)
	each := float64(heap()-before) / n
	for b.Loop() {
	}
	b.ReportMetric(each, "B/connection")
	b.ReportMetric(0, "ns/op")
}
