package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/handfast/handfast/websocket"
)

// A Check admits clients that present a token, and rejects all others with 401.
func ExampleAccept_reject() {
	opts := &websocket.AcceptOptions{
		Check: func(r *http.Request) error {
			if r.Header.Get("Authorization") == "Bearer let-me-in" {
				return nil
			}
			return &websocket.Reject{
				Status: http.StatusUnauthorized,
				Header: http.Header{"Www-Authenticate": {"Bearer"}},
				Reason: "a token is needed",
			}
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, opts)
		if err != nil {
			log.Print(err) // Accept has sent an error response
			return
		}
		c.Close(websocket.CodeNormal, "welcome")
	}))
	defer server.Close()

	_, err := websocket.Dial(context.Background(), server.URL, nil)
	var failed *websocket.HandshakeError
	if errors.As(err, &failed) {
		fmt.Printf("%d %s: %s", failed.Status, failed.Header.Get("WWW-Authenticate"), failed.Body)
	}

	c, err := websocket.Dial(context.Background(), server.URL, &websocket.DialOptions{
		Header: http.Header{"Authorization": {"Bearer let-me-in"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Read(context.Background())
	fmt.Println(err)
	// Output:
	// 401 Bearer: a token is needed
	// websocket: closed by the peer with 1000 normal closure ("welcome")
}

// The server's order of preference determines the subprotocol, which both sides can query.
func ExampleAccept_subprotocols() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat.v2", "chat.v1"}})
		if err != nil {
			log.Print(err)
			return
		}
		if c.Handshake().Subprotocol == "" {
			c.Close(websocket.CodePolicy, "speak chat.v1 or chat.v2")
			return
		}
		c.Close(websocket.CodeNormal, "")
	}))
	defer server.Close()

	for _, offer := range [][]string{{"chat.v1", "chat.v2"}, {"chat.v1"}, {"mail"}} {
		c, err := websocket.Dial(context.Background(), server.URL, &websocket.DialOptions{Subprotocols: offer})
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = c.Read(context.Background())
		fmt.Printf("%q %v\n", c.Handshake().Subprotocol, err)
	}
	// Output:
	// "chat.v2" websocket: closed by the peer with 1000 normal closure
	// "chat.v1" websocket: closed by the peer with 1000 normal closure
	// "" websocket: closed by the peer with 1008 policy violation ("speak chat.v1 or chat.v2")
}
