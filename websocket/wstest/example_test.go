package wstest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// greet is the code under test: it replies to each name with a greeting.
func greet(ctx context.Context, c *websocket.Conn) error {
	for {
		m, err := c.Read(ctx)
		if err != nil {
			return err
		}
		m.Data = append([]byte("hello, "), m.Data...)
		if err := c.Write(ctx, m); err != nil {
			return err
		}
	}
}

// A test passes one end of a Pipe to the code under test and uses the other end itself.
func ExamplePipe() {
	ctx := context.Background()
	client, server := wstest.Pipe(nil, nil) // in a test: wstest.Pipe(t, nil), which also closes them
	defer client.CloseNow()
	defer server.CloseNow()

	ended := make(chan error)
	go func() { ended <- greet(ctx, server) }()

	client.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("Ada")})
	m, err := client.Read(ctx)
	fmt.Printf("%s %v\n", m.Data, err)
	fmt.Println(client.Close(websocket.CodeNormal, "done"))
	fmt.Println(<-ended)
	// Output:
	// hello, Ada <nil>
	// <nil>
	// websocket: closed by the peer with 1000 normal closure ("done")
}

// A Peer does exactly what the test specifies, valid or not. The Peer of this example sends a ping whose payload is longer than a control
// frame permits.
func ExamplePeer() {
	p, c := wstest.PipePeer(nil, protocol.RoleClient, nil)
	defer p.Close()

	ended := make(chan error)
	go func() { ended <- greet(context.Background(), c) }()

	p.Send(wstest.TextFrame("Bob"))
	fmt.Println(p.Next())
	p.Send(wstest.Frame{Opcode: frame.Ping, Payload: make([]byte, 126)})
	f, _ := p.Next()
	fmt.Println(f.Code())
	p.Close()
	fmt.Println(websocket.CloseCode(<-ended))
	// Output:
	// text "hello, Bob" <nil>
	// 1002 protocol error
	// 1002 protocol error
}

// This example shows which error a client reports when a server sends half a message and disconnects.
func ExampleAcceptPeer() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := wstest.AcceptPeer(w, r, nil)
		if err != nil {
			return
		}
		p.Send(wstest.Frame{Opcode: frame.Text, Payload: []byte("half a mess"), More: true})
		p.Close()
	}))
	defer s.Close()

	ctx := context.Background()
	c, err := websocket.Dial(ctx, s.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	_, err = c.Read(ctx)
	fmt.Println(websocket.CloseCode(err))
	// Output: 1006 abnormal closure
}

// This example shows how a handler reacts to a client that never masks its frames.
func ExampleDialPeer() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			log.Print(err)
			return
		}
		defer c.CloseNow()
		greet(r.Context(), c)
	}))
	defer s.Close()

	p, err := wstest.DialPeer(context.Background(), s.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	p.Send(wstest.Frame{Opcode: frame.Text, Payload: []byte("Eve"), WrongMask: true})
	f, err := p.Next()
	fmt.Println(f.Code(), err)
	// Output: 1002 protocol error <nil>
}
