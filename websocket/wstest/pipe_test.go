package wstest_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

func TestPipeBothWays(t *testing.T) {
	client, server := wstest.Pipe(t, nil)
	for _, tt := range []struct{ from, to *websocket.Conn }{{client, server}, {server, client}} {
		sent := websocket.Message{Type: websocket.Text, Data: []byte("hand")}
		if err := tt.from.Write(bounded.Context(t), sent); err != nil { // no goroutine is reading yet
			t.Fatal(err)
		}
		got, err := tt.to.Read(bounded.Context(t))
		if err != nil || got.Type != sent.Type || !bytes.Equal(got.Data, sent.Data) {
			t.Errorf("got %v %q, %v", got.Type, got.Data, err)
		}
	}
}

func TestPipeClosingHandshake(t *testing.T) {
	client, server := wstest.Pipe(t, nil)
	ended := make(chan error, 1)
	go func() {
		_, err := server.Read(bounded.Context(t))
		ended <- err
	}()
	if err := client.Close(websocket.CodeGoingAway, "noon"); err != nil {
		t.Errorf("Close: %v", err)
	}
	var ce *websocket.CloseError
	if err := bounded.Receive(t, ended); !errors.As(err, &ce) || ce.Code != websocket.CodeGoingAway || ce.Reason != "noon" || ce.Err != nil {
		t.Errorf("the server saw %v", err)
	}
}

// Both ends send more than the buffers can hold while both read, and neither end blocks indefinitely.
func TestPipeLargeMessagesBothWays(t *testing.T) {
	opts := &wstest.Options{Buffer: 100}
	client, server := wstest.Pipe(t, opts)
	data := bytes.Repeat([]byte("0123456789"), 20_000)
	errs := make(chan error, 2)
	for _, c := range []*websocket.Conn{client, server} {
		go func() { errs <- c.Write(bounded.Context(t), websocket.Message{Type: websocket.Binary, Data: data}) }()
	}
	for _, c := range []*websocket.Conn{client, server} {
		got, err := c.Read(bounded.Context(t))
		if err != nil || !bytes.Equal(got.Data, data) {
			t.Errorf("read %d bytes, %v", len(got.Data), err)
		}
		if err := bounded.Receive(t, errs); err != nil {
			t.Error(err)
		}
	}
}

func TestPipeOptionsReachTheirConn(t *testing.T) {
	opts := &wstest.Options{}
	opts.Server.MaxMessage = 4
	client, server := wstest.Pipe(t, opts)
	for _, tt := range []struct {
		from, to *websocket.Conn
		want     websocket.Code // 0 means that the message arrives
	}{{server, client, 0}, {client, server, websocket.CodeTooBig}} {
		if err := tt.from.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("12345")}); err != nil {
			t.Fatal(err)
		}
		if tt.want != 0 { // completes the peer's part of the closing handshake
			go tt.from.Read(bounded.Context(t)) //nolint:errcheck // the other end checks how the connection ends
		}
		if _, err := tt.to.Read(bounded.Context(t)); websocket.CloseCode(err) != tt.want {
			t.Errorf("Read: %v, want %v", err, tt.want)
		}
	}
}

// Keepalive, the timeout of a context, and the time limit of the closing handshake use fake time.
func TestPipeInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := wstest.Pipe(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		if _, err := client.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
		if took := time.Since(begun); took != time.Hour {
			t.Errorf("the read took %v, want an hour", took)
		}
		if err := client.Context().Err(); err != nil {
			t.Errorf("after an hour of pings: %v", context.Cause(client.Context()))
		}
	})
}

func TestPipeEndsWithItsTest(t *testing.T) {
	var client, server *websocket.Conn
	t.Run("test", func(t *testing.T) { client, server = wstest.Pipe(t, nil) })
	for _, c := range []*websocket.Conn{client, server} {
		if c.Context().Err() == nil {
			t.Error("a Conn outlives its test")
		}
	}
}

func TestPipePeerEndsWithItsTest(t *testing.T) {
	for _, role := range []protocol.Role{protocol.RoleClient, protocol.RoleServer} {
		var p *wstest.Peer
		var c *websocket.Conn
		t.Run("test", func(t *testing.T) { p, c = wstest.PipePeer(t, role, nil) })
		if c.Context().Err() == nil {
			t.Errorf("role %v: the Conn outlives its test", role)
		}
		if err := p.Send(wstest.TextFrame("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("role %v: the Peer outlives its test: %v", role, err)
		}
	}
}
