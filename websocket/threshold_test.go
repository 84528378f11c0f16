package websocket

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/protocol"
)

// compressedEnds has a connection of each driver, with its raw client.
type compressedEnds struct {
	conn   *Conn
	peer   raw
	event  *eventConn
	client *looptest.Conn
	play   func() // runs the event loop
}

// newCompressedEnds returns connections that compress with the options z.
func newCompressedEnds(t *testing.T, z *Compression) *compressedEnds {
	t.Helper()
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	compressLater(c, handshake.Deflate{}, z)
	k := looptest.New(t, nil)
	s := &evServer{}
	s.Options.Conn.Compression = z
	p := evManual(t, k, s)
	client := k.Client(evRequest + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
	e := &compressedEnds{conn: c, peer: peer, client: client, play: func() { k.Play(p.ls.Loops) }}
	e.play()
	e.event = p.onlyConn()
	t.Cleanup(func() {
		e.event.CloseNow()
		e.play()
	})
	return e
}

// expectRSV sends m in each way with each driver, and checks the reserved bits of the frame.
func (e *compressedEnds) expectRSV(t *testing.T, m Message, want uint8) {
	t.Helper()
	shared, err := Prepare(m)
	if err != nil {
		t.Fatal(err)
	}
	for name, send := range map[string]func() error{
		"Write":        func() error { return e.conn.Write(bounded.Context(t), m) },
		"Send":         func() error { return e.conn.Send(m) },
		"SendPrepared": func() error { return e.conn.SendPrepared(shared) },
	} {
		if err := send(); err != nil {
			t.Fatal(err)
		}
		if h, _ := e.peer.next(); h.RSV != want {
			t.Errorf("%s, %d bytes: %+v", name, len(m.Data), h)
		}
	}
	for name, send := range map[string]func() error{
		"Send":         func() error { return e.event.Send(m) },
		"SendPrepared": func() error { return e.event.SendPrepared(shared) },
	} {
		e.client.Out = nil
		if err := send(); err != nil {
			t.Fatal(err)
		}
		e.play()
		if h, _, err := frame.Parse(e.client.Out); err != nil || h.RSV != want {
			t.Errorf("on a loop, %s, %d bytes: %+v, %v", name, len(m.Data), h, err)
		}
	}
}

// TestThreshold checks that only messages of at least Threshold bytes are compressed, with each way of sending and each driver.
func TestThreshold(t *testing.T) {
	const threshold = 100
	e := newCompressedEnds(t, &Compression{Threshold: threshold})
	for size, want := range map[int]uint8{threshold - 1: 0, threshold: frame.RSV1, threshold + 1: frame.RSV1} {
		e.expectRSV(t, Message{Type: Text, Data: []byte(strings.Repeat("a", size))}, want)
	}
}

// TestThreshold_Negative checks that a negative Threshold compresses messages of any size, except those that do not shrink.
func TestThreshold_Negative(t *testing.T) {
	noise := make([]byte, 1000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	e := newCompressedEnds(t, &Compression{Threshold: -1})
	for _, data := range [][]byte{nil, []byte("a"), noise[:20], noise} {
		e.expectRSV(t, Message{Type: Binary, Data: data}, 0)
	}
	e.expectRSV(t, Message{Type: Binary, Data: []byte(strings.Repeat("a", 30))}, frame.RSV1)
}
