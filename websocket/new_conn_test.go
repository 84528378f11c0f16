package websocket_test

import (
	"net"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

func flip(role protocol.Role) protocol.Role {
	if role == protocol.RoleServer {
		return protocol.RoleClient
	}
	return protocol.RoleServer
}

// compressing returns a Conn whose extensions were negotiated in a separate handshake.
func compressing(t *testing.T, stream net.Conn, role protocol.Role, extensions string) *websocket.Conn {
	t.Helper()
	hs := &websocket.Handshake{Subprotocol: "chat", Extensions: extensions}
	c, err := websocket.NewConn(stream, role, hs, &websocket.ConnOptions{Compression: &websocket.Compression{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	if c.Handshake() != hs || c.Subprotocol() != "chat" {
		t.Errorf("the handshake is %+v", c.Handshake())
	}
	return c
}

var agreements = []string{
	"permessage-deflate",
	"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
	"permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
	"permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
}

// TestNewConnCompresses connects two Conns, and compresses in both directions.
func TestNewConnCompresses(t *testing.T) {
	text := strings.Repeat("round and round ", 400)
	for _, extensions := range agreements {
		near, far := wstest.NetPipe(0)
		client := compressing(t, near, protocol.RoleClient, extensions)
		server := compressing(t, far, protocol.RoleServer, extensions)
		for range 3 {
			for _, way := range [][2]*websocket.Conn{{client, server}, {server, client}} {
				if err := way[0].Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
					t.Fatal(err)
				}
				if m, err := way[1].Read(bounded.Context(t)); err != nil || string(m.Data) != text {
					t.Fatalf("%s: %d bytes, %v", extensions, len(m.Data), err)
				}
			}
		}
	}
}

// TestNewConnSendsCompressed checks that a raw peer receives RSV1 and fewer bytes, and, with context takeover, even fewer bytes the
// second time.
func TestNewConnSendsCompressed(t *testing.T) {
	text := "0123456789 the quick brown fox jumps over the lazy dog, and nothing of that is there twice " + strings.Repeat("-", 60)
	for _, role := range []protocol.Role{protocol.RoleClient, protocol.RoleServer} {
		for i, takeover := range []bool{true, false} {
			near, far := wstest.NetPipe(0)
			c := compressing(t, near, role, agreements[i])
			peer := wstest.NewPeer(far, flip(role))
			t.Cleanup(func() { peer.Close() })
			var sizes [2]int
			for j := range sizes {
				if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
					t.Fatal(err)
				}
				f, err := peer.Next()
				if err != nil || f.RSV != frame.RSV1 {
					t.Fatalf("%v, %s: %+v, %v", role, agreements[i], f, err)
				}
				sizes[j] = len(f.Payload)
			}
			if sizes[0] >= len(text) || takeover != (sizes[1] < sizes[0]) {
				t.Errorf("%v, %s: %d bytes were sent as %d", role, agreements[i], len(text), sizes)
			}
		}
	}
}

// TestNewConnRefusesExtensions checks that unsupported extensions are rejected before the stream is used.
func TestNewConnRefusesExtensions(t *testing.T) {
	zip := &websocket.ConnOptions{Compression: &websocket.Compression{}}
	tests := []struct {
		extensions string
		opts       *websocket.ConnOptions
		why        string
	}{
		{"permessage-deflate", nil, "ConnOptions.Compression is nil"},
		{"permessage-deflate", &websocket.ConnOptions{}, "ConnOptions.Compression is nil"},
		{"x-webkit-deflate-frame", zip, "only permessage-deflate"},
		{"permessage-deflate, permessage-deflate", zip, "only permessage-deflate once"},
		{"permessage-deflate; ", zip, "Handshake.Extensions"},
		{"permessage-deflate; color=red", zip, "does not define"},
		{"permessage-deflate; server_max_window_bits=7", zip, "between 8 and 15"},
		{"permessage-deflate; client_max_window_bits", zip, "between 8 and 15"},
	}
	near, far := wstest.NetPipe(0)
	defer near.Close()
	defer far.Close()
	for _, tt := range tests {
		_, err := websocket.NewConn(near, protocol.RoleServer, &websocket.Handshake{Extensions: tt.extensions}, tt.opts)
		if err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%q: %v, want %q", tt.extensions, err, tt.why)
		}
	}
	if _, err := near.Write([]byte("still open")); err != nil {
		t.Error(err)
	}
}
