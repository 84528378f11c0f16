package websocket_test

import (
	"context"
	"log"
	"net/http"

	"github.com/handfast/handfast/websocket"
)

// An echo, with pages beside it.
func ExampleServer_ListenAndServe() {
	s := &websocket.Server{
		Handler: func(c *websocket.Conn) {
			for m, err := range c.Messages(context.Background()) {
				if err != nil || c.Send(m) != nil {
					return
				}
			}
		},
		HTTP: &http.Server{Handler: http.FileServer(http.Dir("public"))},
	}
	log.Fatal(s.ListenAndServe("localhost:8080"))
}
