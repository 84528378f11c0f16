package websocket

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/handfast/handfast/websocket/loop"

	"github.com/handfast/handfast/websocket/frame"
)

// evRawEcho is an event loop of minimum cost: it has no handlers, limits or queues, and only supports whole small frames. Compare
// results with it as a ratio within one run.
func evRawEcho(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		b.Fatal(err)
	}
	lfd := int(file.Fd())
	if err := syscall.SetNonblock(lfd, true); err != nil {
		b.Fatal(err)
	}
	k, err := loop.NewKernel()
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		defer k.Release()
		open := map[uint64]bool{}
		in, out := make([]byte, corkSize), make([]byte, 0, corkSize)
		events := make([]loop.Event, 256)
		if err := k.Arm(lfd, uint64(lfd), loop.Readable, true); err != nil {
			b.Error(err)
		}
		for {
			n, _ := k.Wait(events, -1)
			select {
			case <-stop:
				return
			default:
			}
			for _, e := range events[:n] {
				if e.Token == uint64(lfd) {
					for fd, err := k.Accept(lfd); err == nil; fd, err = k.Accept(lfd) {
						k.Arm(fd, uint64(fd), loop.Readable, true)
					}
					continue
				}
				got, err := k.Read(int(e.Token), in)
				if err != nil && err != loop.ErrAgain {
					k.Close(int(e.Token))
					delete(open, e.Token)
					continue
				}
				if !open[e.Token] {
					open[e.Token] = true
					k.Write(int(e.Token), []byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
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
				k.Write(int(e.Token), out)
			}
		}
	})
	b.Cleanup(func() {
		close(stop)
		k.Wake()
		wg.Wait()
		l.Close()
		file.Close()
	})
	return l.Addr().String()
}

// evLoad consists of clients that spend their CPU time in system calls only.
type evLoad struct {
	fds []int
}

func evNewLoad(b testing.TB, addr string, n int) *evLoad {
	b.Helper()
	a := evResolve(b, addr)
	l := new(evLoad)
	for range n {
		l.fds = append(l.fds, evConnectFD(b, a))
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

func evResolve(b testing.TB, addr string) *net.TCPAddr {
	b.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

func evConnectFD(b testing.TB, a *net.TCPAddr) int {
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

var evOpenRequest = []byte(evRequest + "Origin: http://localhost\r\nUser-Agent: bench\r\nAccept-Encoding: gzip\r\n\r\n")

func (l *evLoad) open(fd int) error {
	if _, err := syscall.Write(fd, evOpenRequest); err != nil {
		return err
	}
	var b [1024]byte
	n, err := syscall.Read(fd, b[:])
	if err == nil && !strings.HasSuffix(string(b[:n]), "\r\n\r\n") {
		err = fmt.Errorf("the answer is %q", b[:n])
	}
	return err
}

// evEcho sends the same bytes on each connection, and waits until each has received want bytes.
func (l *evLoad) evEcho(b testing.TB, send []byte, want int, buf []byte) {
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

func evBenchmarkEcho(b *testing.B, addr string, conns, size, flight int) {
	l := evNewLoad(b, addr, conns)
	send := []byte(strings.Repeat(evMasked(frame.Binary, true, strings.Repeat("x", size)), flight))
	answer := flight*len(frame.Append(nil, frame.Header{Length: int64(size)})) + flight*size
	buf := make([]byte, 256<<10)
	l.evEcho(b, send, answer, buf)
	b.ReportAllocs()
	b.ResetTimer()
	defer evReportCPU(b)()
	for done := 0; done < b.N; done += conns * flight {
		l.evEcho(b, send, answer, buf)
	}
}

// evReportCPU reports the CPU time per operation of both ends together. On a busy machine it is more meaningful than the elapsed
// time.
func evReportCPU(b *testing.B) func() {
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

var evEchoes = []struct {
	name                string
	conns, size, flight int
}{
	{"128B", 100, 128, 1}, {"128Bx16", 100, 128, 16}, {"1000conns", 1000, 128, 1}, {"16KiB", 20, 16 << 10, 1},
}

func BenchmarkEventEcho(b *testing.B) {
	for _, e := range evEchoes {
		b.Run(e.name, func(b *testing.B) {
			evBenchmarkEcho(b, evServe(b, &evServer{Handler: evEcho, Loops: 1}), e.conns, e.size, e.flight)
		})
		b.Run(e.name+"/raw", func(b *testing.B) { evBenchmarkEcho(b, evRawEcho(b), e.conns, e.size, e.flight) })
	}
}

func BenchmarkEventLargeEcho(b *testing.B) {
	for _, size := range []int{256 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			s := &evServer{Handler: evEcho, Loops: 1}
			s.Options.Conn.MaxMessage = 1 << 25
			evBenchmarkEcho(b, evServe(b, s), 1, size, 1)
		})
	}
}

func BenchmarkEventUpgrade(b *testing.B) {
	b.Run("ours", func(b *testing.B) { evBenchmarkUpgrade(b, evServe(b, &evServer{Handler: evEcho, Loops: 1})) })
	b.Run("raw", func(b *testing.B) { evBenchmarkUpgrade(b, evRawEcho(b)) })
}

func evBenchmarkUpgrade(b *testing.B, addr string) {
	a := evResolve(b, addr)
	l := new(evLoad)
	b.ReportAllocs()
	defer evReportCPU(b)()
	for b.Loop() {
		fd := evConnectFD(b, a)
		if err := l.open(fd); err != nil {
			b.Fatal(err)
		}
		if err := syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}); err != nil {
			b.Fatal(err)
		}
		syscall.Close(fd)
	}
}
