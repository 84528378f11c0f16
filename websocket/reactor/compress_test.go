//go:build linux

package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
)

func TestRFC7692CompressedEcho(t *testing.T) {
	for _, z := range []websocket.Compression{
		{}, {ServerNoTakeover: true, ClientNoTakeover: true}, {ServerWindowBits: 9, ClientWindowBits: 10}, {Threshold: -1},
	} {
		t.Run(fmt.Sprintf("%+v", z), func(t *testing.T) {
			s := &Server{Handler: echo}
			s.Options.Conn.Compression = &z
			c := dial(t, serve(t, s), &websocket.DialOptions{Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}})
			if c.Handshake().Extensions == "" {
				t.Fatal("compression was not agreed on")
			}
			for _, n := range []int{0, 1, 1000, 1000, 40 << 10, 500 << 10, 1000} {
				echoed(t, c, n)
			}
		})
	}
}

func TestRFC7692MessageInFragmentsIsInflated(t *testing.T) {
	s := &Server{Handler: echo}
	s.Options.Conn.Compression = &websocket.Compression{}
	c := dial(t, serve(t, s), &websocket.DialOptions{Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}})
	w, err := c.Writer(bounded(t), websocket.Binary)
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
	m, err := c.Read(bounded(t))
	if err != nil || !bytes.Equal(m.Data, want) {
		t.Errorf("got %d bytes, %v", len(m.Data), err)
	}
	if err := await(t, done); err != nil {
		t.Error(err)
	}
}

func TestRFC6455_10_4_BombIsRefused(t *testing.T) {
	h, ended := ends()
	s := &Server{Handler: h}
	s.Options.Conn = websocket.ConnOptions{Compression: &websocket.Compression{}, MaxMessage: 1000}
	c := dial(t, serve(t, s), &websocket.DialOptions{Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}})
	if err := c.Write(bounded(t), websocket.Message{Type: websocket.Text, Data: []byte(strings.Repeat("a", 1001))}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(bounded(t)); websocket.CloseCode(err) != websocket.CodeTooBig {
		t.Errorf("the client reads %v", err)
	}
	c.CloseNow()
	if e := await(t, ended); e == nil || e.Code != websocket.CodeTooBig {
		t.Errorf("it ended with %v", e)
	}
}
