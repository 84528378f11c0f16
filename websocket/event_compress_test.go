//go:build linux

package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
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
