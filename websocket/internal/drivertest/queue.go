package drivertest

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
)

// batch collects several frames of the peer in one slice.
type batch struct {
	out    []byte
	masked bool // the peer is a client
}

func (b *batch) add(op websocket.Type, payload []byte) {
	h := frame.Header{Fin: true, Opcode: frame.Opcode(op), Length: int64(len(payload))}
	if b.masked {
		h.Masked, h.Key = true, [4]byte{1, 2, 3, 4}
	}
	b.out = frame.Append(b.out, h)
	start := len(b.out)
	b.out = append(b.out, payload...)
	frame.Mask(b.out[start:], h.Key)
}

const queueBytes = 256 << 10

func slowReader(t *testing.T, d *suite, full websocket.QueuePolicy) (*websocket.Conn, *member) {
	t.Helper()
	m := newMember()
	return join(t, d, &websocket.ConnOptions{QueueBytes: queueBytes, QueueFull: full}, m.open), m
}

// fill sends numbered messages to a client that does not read, until enough returns true. It returns the number of accepted
// messages and the last error.
func fill(t *testing.T, m *member, enough func(i int, err error) bool) (accepted int, last error) {
	t.Helper()
	pad := " " + strings.Repeat("x", 10_000)
	for i := range 100_000 {
		last = m.sender.SendPrepared(prepared(t, strconv.Itoa(i)+pad))
		if last == nil {
			accepted++
		}
		if n := m.sender.Buffered(); n > queueBytes+128<<10 {
			t.Fatalf("Buffered returns %d with a queue of %d", n, queueBytes)
		}
		if enough(i, last) {
			return accepted, last
		}
	}
	t.Fatal("the queue never fills up")
	return 0, nil
}

func isError(_ int, err error) bool { return err != nil }

// number reads a message and returns its number.
func number(t *testing.T, c *websocket.Conn) int {
	t.Helper()
	m, err := c.Read(bounded.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	s, _, _ := strings.Cut(string(m.Data), " ")
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func queueClose(t *testing.T, d *suite) {
	c, m := slowReader(t, d, websocket.QueueClose)
	accepted, err := fill(t, m, isError)
	if !errors.Is(err, websocket.ErrQueueFull) {
		t.Errorf("a full queue: %v", err)
	}
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
	for i := 0; ; i++ {
		msg, err := c.Read(bounded.Context(t))
		if err != nil {
			var ce *websocket.CloseError
			if !errors.As(err, &ce) || ce.Code != websocket.CodeTryAgainLater || ce.Reason == "" {
				t.Errorf("the client's end: %v", err)
			}
			break
		}
		if !strings.HasPrefix(string(msg.Data), strconv.Itoa(i)+" ") {
			t.Fatalf("message %d is %.20q", i, msg.Data)
		}
	}
	if err := bounded.Receive(t, m.closed); err.Code != websocket.CodeTryAgainLater || err.ByPeer {
		t.Errorf("Closed(%v)", err)
	}
}

func queueDropNewest(t *testing.T, d *suite) {
	c, m := slowReader(t, d, websocket.QueueDropNewest)
	accepted, err := fill(t, m, isError)
	if !errors.Is(err, websocket.ErrQueueFull) {
		t.Errorf("a full queue: %v", err)
	}
	if len(m.drained) > 0 {
		t.Error("Drained before the queue is empty")
	}
	for i := range accepted {
		if n := number(t, c); n != i {
			t.Fatalf("message %d is number %d", i, n)
		}
	}
	bounded.Receive(t, m.drained)
	if n := m.sender.Buffered(); n != 0 {
		t.Errorf("Buffered returns %d when drained", n)
	}
	if len(m.drained) > 0 {
		t.Error("Drained was called twice")
	}
	send(t, c, "still here")
	want(t, c, "still here")
}

// The messages of one call are either all accepted or all rejected, so that a sender knows what the client receives.
func queueDropNewestTogether(t *testing.T, d *suite) {
	c, m := slowReader(t, d, websocket.QueueDropNewest)
	pad := " " + strings.Repeat("x", 10_000)
	accepted := 0
	for full := 0; full < 3; {
		var ps []*websocket.Prepared
		for i := range 7 {
			ps = append(ps, prepared(t, strconv.Itoa(accepted+i)+pad))
		}
		switch err := m.sender.SendPrepared(ps...); {
		case err == nil:
			accepted += len(ps)
		case errors.Is(err, websocket.ErrQueueFull):
			full++
		default:
			t.Fatal(err)
		}
	}
	for i := range accepted {
		if n := number(t, c); n != i {
			t.Fatalf("message %d is number %d", i, n)
		}
	}
	bounded.Receive(t, m.drained)
	send(t, c, "nothing else")
	want(t, c, "nothing else")
}

func queueDropOldest(t *testing.T, d *suite) {
	c, m := slowReader(t, d, websocket.QueueDropOldest)
	full := 0
	accepted, err := fill(t, m, func(int, error) bool {
		if m.sender.Buffered() > queueBytes*3/4 {
			full++
		}
		return full > 200
	})
	if err != nil {
		t.Errorf("a queue that drops the oldest message: %v", err)
	}
	last, read := -1, 0
	for last != accepted-1 {
		n := number(t, c)
		if n <= last {
			t.Fatalf("number %d after %d", n, last)
		}
		last = n
		read++
	}
	if read == accepted {
		t.Error("nothing was dropped")
	}
	bounded.Receive(t, m.drained)
}
