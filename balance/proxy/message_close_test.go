package proxy

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// halfClosing are options of a client that closes each direction separately.
var halfClosing = &websocket.ConnOptions{HalfClose: true}

// endOf reads messages up to the close frame.
func endOf(t *testing.T, c *websocket.Conn) (texts []string, end *websocket.CloseError) {
	t.Helper()
	for {
		m, err := c.Read(bounded.Context(t))
		if err != nil {
			end, _ = errors.AsType[*websocket.CloseError](err)
			return texts, end
		}
		texts = append(texts, string(m.Data))
	}
}

func numbered(n int) (texts []string) {
	for i := range n {
		texts = append(texts, strconv.Itoa(i))
	}
	return texts
}

// A client that sends its close frame directly after its messages gets every reply of the server, and then the server's close
// frame. A server that closes first gets the messages that the client has sent before the client's own close frame.
func TestMessageHalfClose(t *testing.T) {
	const n = 50
	settings := map[string]Settings{
		"plain": {ByMessage: true}, "held": {Hold: Hold{Mode: HoldStateless}},
	}
	for name, set := range settings {
		t.Run("the client, "+name, func(t *testing.T) {
			up := serveHalfClosing(t, func(c *websocket.Conn) {
				texts, end := endOf(t, c) // all of the client's messages, before the first reply
				if end == nil || end.Code != 4002 || end.Reason != "done" || len(texts) != n {
					t.Errorf("server: got %d messages, %v, want %d and a close with 4002", len(texts), end, n)
				}
				for _, text := range texts {
					c.Write(context.Background(), websocket.Message{Type: websocket.Text, Data: []byte(text)})
				}
				c.Close(4003, "answered")
			})
			b := newBalancer(t, set, up.addr())
			k := dialClient(t, b, halfClosing)
			for _, text := range numbered(n) {
				k.send(text)
			}
			if err := k.Shut(4002, "done"); err != nil {
				t.Fatal(err)
			}
			texts, end := endOf(t, k.Conn)
			if end == nil || end.Code != 4003 || end.Reason != "answered" || end.Err != nil || len(texts) != n {
				t.Errorf("client: got %d replies, %v, want %d and a close with 4003", len(texts), end, n)
			}
			if e := bounded.Receive(t, k.ended); e.Code != 4002 || !e.ByPeer || e.Err != nil {
				t.Errorf("got %v, want 4002 of the client", e)
			}
			bounded.Receive(t, up.ended)
			bounded.Until(t, func() bool { s := state(b, up.addr()); return s.Live == 0 && s.Closed[4002] == 1 })
		})
		t.Run("the server, "+name, func(t *testing.T) {
			heard := make(chan []string, 1)
			up := serveHalfClosing(t, func(c *websocket.Conn) {
				for _, text := range numbered(n) {
					c.Write(context.Background(), websocket.Message{Type: websocket.Text, Data: []byte(text)})
				}
				c.Shut(4000, "done")
				texts, end := endOf(t, c)
				if end == nil || end.Code != 4003 || end.Reason != "said" || end.Err != nil {
					t.Errorf("server: got %v, want a close with 4003", end)
				}
				heard <- texts
			})
			b := newBalancer(t, set, up.addr())
			k := dialClient(t, b, halfClosing)
			texts, end := endOf(t, k.Conn)
			if end == nil || end.Code != 4000 || end.Reason != "done" || end.Err != nil || len(texts) != n {
				t.Errorf("client: got %d messages, %v, want %d and a close with 4000", len(texts), end, n)
			}
			for _, text := range numbered(n) {
				k.send(text)
			}
			if err := k.Shut(4003, "said"); err != nil {
				t.Fatal(err)
			}
			if texts := bounded.Receive(t, heard); len(texts) != n {
				t.Errorf("server: got %d messages, want %d", len(texts), n)
			}
			if e := bounded.Receive(t, k.ended); e.Code != 4000 || e.ByPeer || e.Err != nil {
				t.Errorf("got %v, want 4000 of the server", e)
			}
			bounded.Until(t, func() bool { s := state(b, up.addr()); return s.Live == 0 && s.Closed[4000] == 1 })
		})
	}
}
