package websocket_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/wstest"
)

// An echo that shouts: it changes the message where it lies, and holds no memory between messages.
func ExampleConn_View() {
	near, far := wstest.NetPipe(4 << 10)
	client, server := websocket.NewConn(near, websocket.RoleClient, nil), websocket.NewConn(far, websocket.RoleServer, nil)
	defer client.CloseNow()
	ctx := context.Background()
	go func() {
		defer server.CloseNow()
		shout := func(m websocket.Message) error {
			copy(m.Data, bytes.ToUpper(m.Data))
			return server.Write(ctx, m)
		}
		for server.View(ctx, shout) == nil {
		}
	}()
	client.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("hello")})
	m, err := client.Read(ctx)
	fmt.Printf("%s %v\n", m.Data, err)
	// Output: HELLO <nil>
}
