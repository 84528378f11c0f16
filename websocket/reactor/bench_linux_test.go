package reactor

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
)

// rawEcho is what an event loop costs that does nothing but this: no handlers, no limits, no queue, nothing but whole
// small frames. Compare with it as a ratio, in one run.
func rawEcho(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	lfd, err := listenerFD(l)
	if err != nil {
		b.Fatal(err)
	}
	k, err := newKernel()
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		defer k.release()
		open := map[uint64]bool{}
		in, out := make([]byte, readSize), make([]byte, 0, readSize)
		events := make([]event, batchSize)
		if err := k.arm(lfd, uint64(lfd), readable, true); err != nil {
			b.Error(err)
		}
		for {
			n, _ := k.wait(events, -1)
			select {
			case <-stop:
				return
			default:
			}
			for _, e := range events[:n] {
				if e.token == uint64(lfd) {
					for fd, err := k.accept(lfd); err == nil; fd, err = k.accept(lfd) {
						k.arm(fd, uint64(fd), readable, true)
					}
					continue
				}
				got, err := k.read(int(e.token), in)
				if err != nil && err != errAgain {
					k.close(int(e.token))
					delete(open, e.token)
					continue
				}
				if !open[e.token] {
					open[e.token] = true
					k.write(int(e.token), []byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
					continue
				}
				out = out[:0]
				for win := in[:got]; len(win) > 0; {
					h, size, _ := frame.Parse(win)
					p := win[size : size+int(h.Length)]
					frame.Mask(p, h.Key)
					out = append(frame.Append(out, frame.Header{Fin: true, Opcode: h.Opcode, Length: h.Length}), p...)
					win = win[size+int(h.Length):]
				}
				k.write(int(e.token), out)
			}
		}
	})
	b.Cleanup(func() {
		close(stop)
		k.wake()
		wg.Wait()
		l.Close()
		syscall.Close(lfd)
	})
	return l.Addr().String()
}

// load is clients that take no more time than system calls do.
type load struct {
	fds []int
}

func newLoad(b testing.TB, addr string, n int) *load {
	b.Helper()
	a := resolve(b, addr)
	l := new(load)
	for range n {
		l.fds = append(l.fds, connectFD(b, a))
		if err := l.open(l.fds[len(l.fds)-1]); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		for _, fd := range l.fds {
			syscall.Close(fd)
		}
	})
	return l
}

func resolve(b testing.TB, addr string) *net.TCPAddr {
	b.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

func connectFD(b testing.TB, a *net.TCPAddr) int {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())})
	}
	if err == nil {
		err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	if err != nil {
		b.Fatal(err)
	}
	return fd
}

var openRequest = []byte(request + "Origin: http://localhost\r\nUser-Agent: bench\r\nAccept-Encoding: gzip\r\n\r\n")

func (l *load) open(fd int) error {
	if _, err := syscall.Write(fd, openRequest); err != nil {
		return err
	}
	var b [1024]byte
	n, err := syscall.Read(fd, b[:])
	if err == nil && !strings.HasSuffix(string(b[:n]), "\r\n\r\n") {
		err = fmt.Errorf("the answer is %q", b[:n])
	}
	return err
}

// echo sends each connection the same bytes, and waits until want bytes have come back on each.
func (l *load) echo(b testing.TB, send []byte, want int, buf []byte) {
	for _, fd := range l.fds {
		for rest := send; len(rest) > 0; {
			n, err := syscall.Write(fd, rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
	for _, fd := range l.fds {
		for got := 0; got < want; {
			n, err := syscall.Read(fd, buf)
			if err != nil || n == 0 {
				b.Fatal(n, err)
			}
			got += n
		}
	}
}

func benchmarkEcho(b *testing.B, addr string, conns, size, flight int) {
	l := newLoad(b, addr, conns)
	send := []byte(strings.Repeat(masked(frame.Binary, true, strings.Repeat("x", size)), flight))
	answer := flight*len(frame.Append(nil, frame.Header{Length: int64(size)})) + flight*size
	buf := make([]byte, 256<<10)
	l.echo(b, send, answer, buf)
	b.ReportAllocs()
	b.ResetTimer()
	defer reportCPU(b)()
	for done := 0; done < b.N; done += conns * flight {
		l.echo(b, send, answer, buf)
	}
}

// reportCPU reports what an operation costs of the processors, both ends together: on a busy machine it says more than
// the clock.
func reportCPU(b *testing.B) func() {
	used := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric((used()-before)/float64(b.N), "cpu-ns/op") }
}

var echoes = []struct {
	name                string
	conns, size, flight int
}{
	{"128B", 100, 128, 1}, {"128Bx16", 100, 128, 16}, {"1000conns", 1000, 128, 1}, {"16KiB", 20, 16 << 10, 1},
}

func BenchmarkEcho(b *testing.B) {
	for _, e := range echoes {
		b.Run(e.name, func(b *testing.B) {
			benchmarkEcho(b, serve(b, &Server{Handler: echo, Loops: 1}), e.conns, e.size, e.flight)
		})
		b.Run(e.name+"/raw", func(b *testing.B) { benchmarkEcho(b, rawEcho(b), e.conns, e.size, e.flight) })
	}
}

func BenchmarkLargeEcho(b *testing.B) {
	for _, size := range []int{256 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			s := &Server{Handler: echo, Loops: 1}
			s.Options.Conn.MaxMessage = 1 << 25
			benchmarkEcho(b, serve(b, s), 1, size, 1)
		})
	}
}

func BenchmarkUpgrade(b *testing.B) {
	b.Run("ours", func(b *testing.B) { benchmarkUpgrade(b, serve(b, &Server{Handler: echo, Loops: 1})) })
	b.Run("raw", func(b *testing.B) { benchmarkUpgrade(b, rawEcho(b)) })
}

func benchmarkUpgrade(b *testing.B, addr string) {
	a := resolve(b, addr)
	l := new(load)
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		fd := connectFD(b, a)
		if err := l.open(fd); err != nil {
			b.Fatal(err)
		}
		if err := syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}); err != nil {
			b.Fatal(err)
		}
		syscall.Close(fd)
	}
}
