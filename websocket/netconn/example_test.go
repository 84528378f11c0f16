package netconn_test

import (
	"bufio"
	"fmt"
	"log"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/netconn"
	"github.com/handfast/handfast/websocket/wstest"
)

// A line-based protocol through a WebSocket.
func ExampleNew() {
	client, server := wstest.Pipe(nil, nil) // in place of Dial and Accept
	go func() {
		nc := netconn.New(server, websocket.Binary)
		defer nc.Close()
		name, err := bufio.NewReader(nc).ReadString('\n')
		if err == nil {
			fmt.Fprintf(nc, "hello %s", name)
		}
	}()

	nc := netconn.New(client, websocket.Binary)
	defer nc.Close()
	fmt.Fprintln(nc, "gopher")
	answer, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(answer)
	// Output: hello gopher
}
