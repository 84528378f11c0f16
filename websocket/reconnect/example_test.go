package reconnect_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/reconnect"
)

// news is a server that numbers its items, starts at the requested item, and disconnects after two items.
func news(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		log.Print(err)
		return
	}
	defer c.CloseNow()
	ask, err := c.Read(r.Context())
	if err != nil {
		return
	}
	after, _ := strconv.Atoi(string(ask.Data))
	for n := after + 1; n <= 5; n++ {
		if n > after+2 {
			c.Close(websocket.CodeGoingAway, "")
			return
		}
		c.Write(r.Context(), number(n))
	}
	c.Close(websocket.CodeNormal, "that was all")
}

func number(n int) websocket.Message {
	return websocket.Message{Type: websocket.Text, Data: strconv.AppendInt(nil, int64(n), 10)}
}

// When the client reconnects, it requests the items after its position, so that no item is lost or received twice.
func ExampleRun() {
	s := httptest.NewServer(http.HandlerFunc(news))
	defer s.Close()

	position := 0
	dial := func(ctx context.Context) (*websocket.Conn, error) {
		return websocket.Dial(ctx, s.URL, nil)
	}
	handle := func(ctx context.Context, c *websocket.Conn) error {
		for m, err := range c.Messages(ctx) {
			if err != nil {
				return err
			}
			position, _ = strconv.Atoi(string(m.Data))
			fmt.Println("item", position)
		}
		return nil
	}
	err := reconnect.Run(context.Background(), dial, handle, &reconnect.Options{
		MinDelay: time.Millisecond, // to keep the example fast
		OnConnect: func(ctx context.Context, c *websocket.Conn, s reconnect.Session) error {
			fmt.Printf("connection %d, after %d\n", s.Number, position)
			return c.Write(ctx, number(position))
		},
		OnRetry: func(f reconnect.Failure, delay time.Duration) {
			fmt.Println(f.Err)
		},
	})
	fmt.Println("end:", err)
	// Output:
	// connection 1, after 0
	// item 1
	// item 2
	// websocket: closed by the peer with 1001 going away
	// connection 2, after 2
	// item 3
	// item 4
	// websocket: closed by the peer with 1001 going away
	// connection 3, after 4
	// item 5
	// end: <nil>
}

// With a custom verdict, a rejected token is worth another attempt, because dial obtains a new token each time, and this server's code 4001
// means that it permanently rejects the client.
func ExampleOptions_verdict() {
	opts := &reconnect.Options{
		Verdict: func(f reconnect.Failure) reconnect.Verdict {
			if he, ok := f.Err.(*websocket.HandshakeError); ok && he.Status == http.StatusUnauthorized && f.Attempt < 3 {
				return reconnect.Soon
			}
			if websocket.CloseCode(f.Err) == 4001 {
				return reconnect.Stop
			}
			return reconnect.Default // the verdict of Judge
		},
	}
	for _, err := range []error{
		&websocket.HandshakeError{Stage: handshake.StageStatus, Status: http.StatusUnauthorized},
		&websocket.CloseError{Code: 4001, ByPeer: true},
		&websocket.CloseError{Code: 4002, ByPeer: true},
	} {
		f := reconnect.Failure{Err: err, Attempt: 1}
		fmt.Println(opts.Verdict(f), reconnect.Judge(f))
	}
	// Output:
	// soon stop
	// stop soon
	// default soon
}
