package websocket_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/handfast/handfast/websocket"
)

// A Server serves pages and WebSocket connections on one port, with one mux.
func ExampleServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "a page")
	})
	mux.Handle("/echo", &websocket.Endpoint{Serve: func(c *websocket.Conn) {
		for m, err := range c.Messages(context.Background()) {
			if err != nil || c.Write(context.Background(), m) != nil {
				return
			}
		}
	}})
	s := &websocket.Server{HTTP: &http.Server{Handler: mux}}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	addr := l.Addr().String()

	page, err := http.Get("http://" + addr + "/")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(page.Body)
	page.Body.Close()
	fmt.Println(string(body))

	c, err := websocket.Dial(context.Background(), "ws://"+addr+"/echo", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Write(context.Background(), websocket.Message{Type: websocket.Text, Data: []byte("an echo")})
	m, err := c.Read(context.Background())
	fmt.Println(string(m.Data), err)

	http.DefaultClient.CloseIdleConnections()
	down := make(chan error)
	go func() { down <- s.Shutdown(context.Background()) }()
	_, err = c.Read(context.Background())
	fmt.Println(err)
	fmt.Println(<-down, <-served)
	// Output:
	// a page
	// an echo <nil>
	// websocket: closed by the peer with 1001 going away
	// <nil> http: Server closed
}
