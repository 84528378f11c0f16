//go:build linux

package reactor_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"sync"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/reactor"
)

// A room: what one says, all are told. The message is framed once.
func ExampleConn_Send() {
	var mu sync.Mutex
	members := map[*reactor.Conn]bool{}
	s := &reactor.Server{Handler: reactor.Handler{
		Open: func(c *reactor.Conn) {
			mu.Lock()
			defer mu.Unlock()
			members[c] = true
		},
		Message: func(_ *reactor.Conn, m websocket.Message) {
			p, err := websocket.Prepare(m)
			if err != nil {
				return // a message that came in is never refused
			}
			mu.Lock()
			defer mu.Unlock()
			for c := range members {
				c.SendPrepared(p) // an error comes to Close, too
			}
		},
		Close: func(c *reactor.Conn, _ error) {
			mu.Lock()
			defer mu.Unlock()
			delete(members, c)
		},
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go s.Serve(l)
	ctx := context.Background()
	defer s.Shutdown(ctx)

	c, err := websocket.Dial(ctx, "ws://"+l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("hello, all")})
	m, err := c.Read(ctx)
	fmt.Printf("%s %v\n", m.Data, err)
	// Output: hello, all <nil>
}
