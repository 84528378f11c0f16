package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket"
)

// An echo server sends every message back.
func ExampleAccept() {
	echo := func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			log.Print(err) // Accept has sent an error response
			return
		}
		defer c.CloseNow()
		for m, err := range c.Messages(r.Context()) {
			if err != nil || c.Write(r.Context(), m) != nil {
				return
			}
		}
	}
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := websocket.Dial(ctx, server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("hello")})
	m, err := c.Read(ctx)
	fmt.Printf("%v %s %v\n", m.Type, m.Data, err)
	fmt.Println(c.Close(websocket.CodeNormal, ""))
	// Output:
	// text hello <nil>
	// <nil>
}

// A client prints why it could not connect.
func ExampleDial() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := websocket.Dial(ctx, server.URL+"/chat", nil)
	var failed *websocket.HandshakeError
	if errors.As(err, &failed) {
		fmt.Println(failed.Stage, failed.Status)
	}
	// Output: status 404
}

// room is a chat room: all members receive each message.
type room struct {
	mu      sync.Mutex
	members map[*websocket.Conn]bool
}

// join adds c to the room until the connection ends.
func (r *room) join(ctx context.Context, c *websocket.Conn) {
	r.mu.Lock()
	r.members[c] = true
	r.mu.Unlock()
	for m, err := range c.Messages(ctx) {
		if err != nil {
			break
		}
		r.broadcast(m)
	}
	r.mu.Lock()
	delete(r.members, c)
	r.mu.Unlock()
}

// broadcast frames m once for all members. SendPrepared does not wait: the connection of a member that reads too slowly is closed
// with 1013.
func (r *room) broadcast(m websocket.Message) {
	p, err := websocket.Prepare(m)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.members {
		c.SendPrepared(p)
	}
}

// A chat server broadcasts every message to all members.
func ExampleConn_Send_chat() {
	lobby := &room{members: make(map[*websocket.Conn]bool)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			log.Print(err)
			return
		}
		defer c.CloseNow()
		lobby.join(r.Context(), c)
	}))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var members []*websocket.Conn
	for range 3 {
		c, err := websocket.Dial(ctx, server.URL, nil)
		if err != nil {
			log.Fatal(err)
		}
		defer c.CloseNow()
		// A member that receives its own first message knows that it has joined the room.
		c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("hi")})
		c.Read(ctx)
		members = append(members, c)
	}
	members[0].Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("dinner is ready")})
	for i, c := range members {
		for m, err := range c.Messages(ctx) {
			if err != nil || string(m.Data) != "hi" {
				fmt.Printf("member %d hears %q, %v\n", i, m.Data, err)
				break
			}
		}
	}
	// Output:
	// member 0 hears "dinner is ready", <nil>
	// member 1 hears "dinner is ready", <nil>
	// member 2 hears "dinner is ready", <nil>
}

// A large file is transferred without being held in memory at either end.
func ExampleConn_Writer_largeFile() {
	const size = 8 << 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			log.Print(err)
			return
		}
		defer c.CloseNow()
		file := io.LimitReader(strings.NewReader(strings.Repeat("large file ", size/10)), size)
		out, err := c.Writer(r.Context(), websocket.Binary)
		if err != nil {
			return
		}
		io.Copy(out, file)
		out.Close()
		c.Close(websocket.CodeNormal, "that was all")
	}))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{Conn: websocket.ConnOptions{MaxMessage: size}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	_, in, err := c.Reader(ctx)
	if err != nil {
		log.Fatal(err)
	}
	n, err := io.Copy(io.Discard, in)
	fmt.Println(n, err)
	_, err = c.Read(ctx)
	fmt.Println(err)
	// Output:
	// 8388608 <nil>
	// websocket: closed by the peer with 1000 normal closure ("that was all")
}

// A Read that is interrupted by its context loses no data: the connection stays open, and the next Read continues.
func ExampleConn_Read_deadline() {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			log.Print(err)
			return
		}
		defer c.CloseNow()
		<-release
		c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte("late, but whole")})
		c.Read(r.Context())
	}))
	defer server.Close()

	c, err := websocket.Dial(context.Background(), server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	hurry, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = c.Read(hurry)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	close(release)
	m, err := c.Read(context.Background())
	fmt.Printf("%s %v\n", m.Data, err)
	// Output:
	// true
	// late, but whole <nil>
}
