//go:build linux

package reactor_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/reactor"
)

func Example_echo() {
	s := &reactor.Server{Handler: reactor.Handler{
		Message: func(c *reactor.Conn, m websocket.Message) {
			c.Send(m) // m.Data is ours until we return, and Write has done with it then
		},
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	over := make(chan error)
	go func() { over <- s.Serve(l) }()

	ctx := context.Background()
	c, err := websocket.Dial(ctx, "ws://"+l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("hello")})
	m, err := c.Read(ctx)
	fmt.Printf("%s %v\n", m.Data, err)
	c.Close(websocket.CodeNormal, "")

	s.Shutdown(ctx)
	fmt.Println(<-over)
	// Output:
	// hello <nil>
	// reactor: the server is closed
}
