package websocket_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/wstest"
)

// An upper-case echo server modifies each message in place, and holds no memory between messages.
func ExampleConn_View() {
	client, server := wstest.Pipe(nil, nil)
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
