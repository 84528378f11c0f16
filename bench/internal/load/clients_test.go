//go:build linux

package load

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveOne responds to the handshake on the next connection, sends the pieces one by one, and returns the data that the client has
// sent by then.
func serveOne(l net.Listener, pieces [][]byte, expect int) ([]byte, error) {
	nc, err := l.Accept()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second)) //nolint:errcheck // if this fails, so do the reads below
	in := bufio.NewReader(nc)
	r, err := http.ReadRequest(in)
	if err != nil || r.URL.Path != "/path" || r.Header.Get("Sec-WebSocket-Protocol") != "p" {
		return nil, fmt.Errorf("the request is %+v, %w", r, err)
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + acceptKey + "\r\n\r\n"
	for _, piece := range append([][]byte{[]byte(answer[:20]), []byte(answer[20:])}, pieces...) {
		if _, err := nc.Write(piece); err != nil {
			return nil, err
		}
	}
	got := make([]byte, expect)
	for n := 0; n < expect; {
		m, err := in.Read(got[n:])
		if err != nil {
			return nil, err
		}
		n += m
	}
	return got, nil
}

// Clients receive the server's messages even if they are split, and the clients' own messages arrive, also after a reconnect.
func TestClients(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := NewClients(1, l.Addr().String(), "/path", "p")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	long := strings.Repeat("x", 300)
	var pieces [][]byte
	for _, b := range frameOf(fin|opText, []byte("one")) {
		pieces = append(pieces, []byte{b})
	}
	pieces = append(pieces, append(frameOf(fin|opPing, []byte("?")), frameOf(fin|opText, []byte(long))...))
	want := appendFrame(appendFrame(appendFrame(nil, fin|opText, []byte("hello")), fin|opText, []byte("to one")), fin|opText, []byte("to "+long))
	for range 2 {
		type result struct {
			got []byte
			err error
		}
		served := make(chan result, 1)
		go func() {
			got, err := serveOne(l, pieces, len(want))
			served <- result{got, err}
		}()
		if err := c.Open(0); err != nil {
			t.Fatal(err)
		}
		var received []string
		for len(received) < 2 {
			some, err := c.Round(30*time.Second, func(i int) { c.Send(i, []byte("hello")) }, func(i int, m []byte) error {
				received = append(received, string(m))
				c.Send(i, append([]byte("to "), m...))
				return nil
			})
			if err != nil || !some {
				t.Fatalf("%t, %v", some, err)
			}
		}
		if received[0] != "one" || received[1] != long {
			t.Errorf("%q", received)
		}
		if r := <-served; r.err != nil || !bytes.Equal(r.got, want) {
			t.Errorf("%q, not %q, %v", r.got, want, r.err)
		}
		c.Cut()
	}
}

// A frame that a server must not send to these clients is an error.
func TestClientsErrors(t *testing.T) {
	for name, frame := range map[string][]byte{
		"a close frame": frameOf(fin|opClose, nil), "a fragment": frameOf(opText, []byte("a")), "a binary message": frameOf(fin|opBinary, []byte("a")),
		"the end of the connection": nil,
	} {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		c := &Clients{all: []client{{fd: fds[0], open: true}}}
		if _, err := writeSocket(fds[1], frame); err != nil {
			t.Fatal(err)
		}
		syscall.Close(fds[1])
		if err := c.read(0, nil, func(int, []byte) error { return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
		c.Cut()
	}
}
