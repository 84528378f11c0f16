//go:build linux

package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/deflate"
	"github.com/handfast/handfast/websocket/internal/looptest"
)

func TestEventRFC7692CompressedEcho(t *testing.T) {
	for _, z := range []Compression{
		{}, {ServerNoTakeover: true, ClientNoTakeover: true}, {ServerWindowBits: 9, ClientWindowBits: 10}, {Threshold: -1},
	} {
		t.Run(fmt.Sprintf("%+v", z), func(t *testing.T) {
			s := &evServer{Handler: evEcho}
			s.Options.Conn.Compression = &z
			c := evDial(t, evServe(t, s), &DialOptions{Conn: ConnOptions{Compression: &Compression{}}})
			if c.Handshake().Extensions == "" {
				t.Fatal("compression was not agreed on")
			}
			for _, n := range []int{0, 1, 1000, 1000, 40 << 10, 500 << 10, 1000} {
				evEchoed(t, c, n)
			}
		})
	}
}

func TestEventRFC7692MessageInFragmentsIsInflated(t *testing.T) {
	s := &evServer{Handler: evEcho}
	s.Options.Conn.Compression = &Compression{}
	c := evDial(t, evServe(t, s), &DialOptions{Conn: ConnOptions{Compression: &Compression{}}})
	w, err := c.Writer(evBounded(t), Binary)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range 200_000 {
		want = append(want, byte(i*i>>3), byte(i>>5))
	}
	done := make(chan error, 1)
	go func() {
		_, err := w.Write(want)
		done <- errors.Join(err, w.Close())
	}()
	m, err := c.Read(evBounded(t))
	if err != nil || !bytes.Equal(m.Data, want) {
		t.Errorf("got %d bytes, %v", len(m.Data), err)
	}
	if err := evAwait(t, done); err != nil {
		t.Error(err)
	}
}

func TestEventRFC6455_10_4_BombIsRefused(t *testing.T) {
	h, ended := evEnds()
	s := &evServer{Handler: h}
	s.Options.Conn = ConnOptions{Compression: &Compression{}, MaxMessage: 1000}
	c := evDial(t, evServe(t, s), &DialOptions{Conn: ConnOptions{Compression: &Compression{}}})
	if err := c.Write(evBounded(t), Message{Type: Text, Data: []byte(strings.Repeat("a", 1001))}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(evBounded(t)); CloseCode(err) != CodeTooBig {
		t.Errorf("the client reads %v", err)
	}
	c.CloseNow()
	if e := evAwait(t, ended); e == nil || e.Code != CodeTooBig {
		t.Errorf("the connection ended with %v", e)
	}
}

// The compressed replies to messages that arrive in one segment with a close frame are sent before the reply to the close frame, even
// if the client reads late.
func TestEventRFC6455_5_5_1_CompressedRepliesGoBeforeTheClose(t *testing.T) {
	const n = 50
	for name, answer := range map[string]func(c *eventConn, m Message) error{
		"Send": (*eventConn).Send,
		"SendPrepared": func(c *eventConn, m Message) error {
			p, err := Prepare(m)
			if err != nil {
				return err
			}
			return c.SendPrepared(p)
		},
	} {
		for _, size := range []int{200, 5000} {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/late=%t", name, size, late), func(t *testing.T) {
					s := &evServer{}
					s.Options.Conn = ConnOptions{Compression: &Compression{}, QueueBytes: 1 << 20}
					p := evManual(t, looptest.New(t, nil), s)
					s.Handler.Message = func(c *eventConn, m Message) {
						if err := answer(c, m); err != nil {
							t.Error(err)
						}
					}
					client := p.k.Client(evRequest + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
					p.k.Play(p.ls.Loops)
					var in strings.Builder
					for i := range n {
						in.WriteString(evText(strings.Repeat(fmt.Sprint(i, " "), size)))
					}
					in.WriteString(evMasked(frame.Close, true, "\x03\xe8"))
					client.Out, client.In, client.Full = nil, []byte(in.String()), late
					p.k.Play(p.ls.Loops)
					client.Full = false
					p.k.Play(p.ls.Loops)
					expectCompressed(t, client.Out, n, func(i int) string { return strings.Repeat(fmt.Sprint(i, " "), size) })
					client.EOF = true
					p.k.Play(p.ls.Loops)
				})
			}
		}
	}
}

// expectCompressed checks that out consists of n compressed messages and a close frame with the code 1000.
func expectCompressed(t *testing.T, out []byte, n int, want func(i int) string) {
	t.Helper()
	z := deflate.Decompressor{Window: deflate.Window{Takeover: true}}
	for i := range n {
		h, head, err := frame.Parse(out)
		if err != nil || h.Opcode != frame.Text || h.RSV != frame.RSV1 {
			t.Fatalf("reply %d of %d is %+v, %v", i, n, h, err)
		}
		end := head + int(h.Length)
		if text, err := z.Append(nil, out[head:end], -1); err != nil || string(text) != want(i) {
			t.Fatalf("reply %d is %.20q of %d bytes, %v", i, text, len(text), err)
		}
		out = out[end:]
	}
	if string(out) != "\x88\x02\x03\xe8" {
		t.Errorf("after the replies: %q", out)
	}
}
