package websocket

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// tcpPair returns the two ends of a TCP connection on loopback.
func tcpPair(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

// tcpConns returns a client and a server, connected over TCP. They are closed when the test ends.
func tcpConns(t testing.TB, opts *ConnOptions) (client, server *Conn) {
	t.Helper()
	near, far := tcpPair(t)
	client, server = overStream(near, protocol.RoleClient, opts), overStream(far, protocol.RoleServer, opts)
	t.Cleanup(func() { client.CloseNow(); server.CloseNow() })
	return client, server
}

// readAppend calls View, and appends the message to dst.
func readAppend(ctx context.Context, c *Conn, dst []byte) (m Message, err error) {
	m.Data = dst
	err = c.View(ctx, func(got Message) error {
		m = Message{got.Type, append(dst, got.Data...)}
		return nil
	})
	return m, err
}

// echo echoes every message until the connection ends, and returns the final error.
func echo(c *Conn) error {
	for {
		m, err := c.Read(context.Background())
		if err != nil {
			return err
		}
		if err := c.Write(context.Background(), m); err != nil {
			return err
		}
	}
}

func TestEchoOfEverySize(t *testing.T) {
	client, server := tcpConns(t, &ConnOptions{MaxMessage: -1})
	ended := make(chan error, 1)
	go func() { ended <- echo(server) }()
	for _, n := range []int{0, 1, 125, 126, 127, 4096, 16383, 16384, 16385, 65535, 65536, 1 << 20, 5 << 20} {
		sent := bytes.Repeat([]byte("handfast"), n/8+1)[:n]
		// Both ends send concurrently. Neither may wait for the other to read first.
		wrote := make(chan error, 1)
		go func() { wrote <- client.Write(bounded.Context(t), Message{Text, sent}) }()
		m, err := client.Read(bounded.Context(t))
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if err := bounded.Receive(t, wrote); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if m.Type != Text || !bytes.Equal(m.Data, sent) {
			t.Fatalf("%d bytes: got %v of %d bytes back", n, m.Type, len(m.Data))
		}
	}
	if err := client.Close(CodeNormal, "done"); err != nil {
		t.Errorf("Close: %v", err)
	}
	var ce *CloseError
	if err := bounded.Receive(t, ended); !errors.As(err, &ce) || ce.Code != CodeNormal || ce.Reason != "done" || !ce.ByPeer || ce.Err != nil {
		t.Errorf("the server saw %v", err)
	}
}
