package websocket

import (
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/loop"
)

// evNullKernel is a kernel without system calls. Its only connection receives the same bytes repeatedly.
type evNullKernel struct {
	*looptest.Fake
	in     string
	token  uint64
	silent bool // the client sends nothing
}

func (k *evNullKernel) Read(_ int, p []byte) (int, error)      { return copy(p, k.in), nil }
func (k *evNullKernel) Write(_ int, p []byte) (int, error)     { return len(p), nil }
func (k *evNullKernel) Writev(_ int, p [2][]byte) (int, error) { return len(p[0]) + len(p[1]), nil }

func (k *evNullKernel) Arm(fd int, token uint64, want loop.Events, first bool) error {
	if fd == looptest.Listener {
		return k.Fake.Arm(fd, token, want, first)
	}
	k.token = token
	return nil
}

func (k *evNullKernel) Wait(events []loop.Event, timeout time.Duration) (int, error) {
	if k.silent {
		return 0, nil
	}
	if k.token == 0 {
		return k.Fake.Wait(events, timeout)
	}
	events[0] = loop.Event{Token: k.token, Ready: loop.Readable}
	return 1, nil
}

// evNullServer returns a server on an evNullKernel, with one open connection.
func evNullServer(t testing.TB, h evHandler) (*evServer, *evNullKernel, *eventConn) {
	k := &evNullKernel{Fake: looptest.New(t, nil), in: evHello}
	s := &evServer{Handler: h}
	s.manual(t, k)
	k.Client("")
	for s.Len() == 0 {
		s.ls.Turn()
	}
	p := evManualServer{evServer: s}
	return s, k, p.onlyConn()
}

// BenchmarkEventVisit measures the cost of the loop per message without system calls. Sixteen messages arrive together.
func BenchmarkEventVisit(b *testing.B) {
	for name, flight := range map[string]int{"1": 1, "16": 16} {
		b.Run(name, func(b *testing.B) {
			s, k, _ := evNullServer(b, evEcho)
			k.in = strings.Repeat(evMasked(frame.Binary, true, strings.Repeat("x", 128)), flight)
			b.ReportAllocs()
			for i := 0; i < b.N; i += flight {
				s.ls.Turn()
			}
		})
	}
}
