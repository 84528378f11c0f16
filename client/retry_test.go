package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// script is a server that a test controls: it accepts connections, reads commands and replies to them.
type script struct {
	t     *testing.T
	url   string
	conns chan *websocket.Conn
}

func play(t *testing.T) *script {
	t.Helper()
	p := &script{t: t, conns: make(chan *websocket.Conn, 4)}
	over, stop := context.WithCancel(context.Background())
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		p.answer(c, `{"type":"welcome","client":"x"}`)
		p.conns <- c
		<-over.Done()
	}))
	t.Cleanup(func() { stop(); web.Close() })
	p.url = "ws" + web.URL[len("http"):]
	return p
}

func (p *script) answer(c *websocket.Conn, text string) {
	p.t.Helper()
	if err := c.Write(bounded.Context(p.t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
		p.t.Error(err)
	}
}

// command reads a command, and replies with {"id":N,ANSWER}.
func (p *script) command(c *websocket.Conn, kind, answer string) {
	p.t.Helper()
	id := p.read(c, kind)
	p.answer(c, fmt.Sprintf(`{"id":%d,%s}`, id, answer))
}

// read reads a command, fails the test if the type is not kind, and returns the command's ID.
func (p *script) read(c *websocket.Conn, kind string) uint64 {
	p.t.Helper()
	m, err := c.Read(bounded.Context(p.t))
	var h wire.Head
	if err == nil {
		err = json.Unmarshal(m.Data, &h)
	}
	if err != nil || h.Type != kind {
		p.t.Fatalf("got %s, want %s: %v", m.Data, kind, err)
	}
	return h.ID
}

// subscribing subscribes to the channel chat in another goroutine.
func subscribing(t *testing.T, c *Client) <-chan *Subscription {
	subscribed := make(chan *Subscription, 1)
	go func() {
		defer close(subscribed)
		s, err := c.Subscribe(bounded.Context(t), "chat", nil)
		if err != nil {
			t.Error(err)
		}
		subscribed <- s
	}()
	return subscribed
}

// A rejected subscription is retried only once: after the pause, or earlier if there is a new connection.
func TestRetryOnNewConnection(t *testing.T) {
	p := play(t)
	c := connect(t, &server{url: p.url}, Options{})
	subscribed := subscribing(t, c)
	const later = `"type":"error","channel":"chat","code":"unavailable","message":"later"`
	first := bounded.Receive(t, p.conns)
	p.command(first, "subscribe", later)
	first.CloseNow()
	second := bounded.Receive(t, p.conns)
	p.command(second, "subscribe", `"type":"subscribed","channel":"chat","position":{"epoch":"e","offset":0}`)
	s := bounded.Receive(t, subscribed)
	published := make(chan error, 1)
	go func() {
		_, err := c.Publish(bounded.Context(t), "chat", json.RawMessage("1"), nil)
		published <- err
	}()
	p.command(second, "publish", later) // the client retries this after the same pause as the subscription
	p.command(second, "publish", `"type":"published","position":{"epoch":"e","offset":1}`)
	if err := bounded.Receive(t, published); err != nil || s.Err() != nil {
		t.Errorf("%v, %v", err, s.Err())
	}
}

// Messages of an earlier subscription do not reach a later subscription to the same channel.
func TestSubscribeAgain(t *testing.T) {
	p := play(t)
	c := connect(t, &server{url: p.url}, Options{})
	conn := bounded.Receive(t, p.conns)
	before := subscribing(t, c)
	p.command(conn, "subscribe", `"type":"subscribed","channel":"chat","position":{"epoch":"e","offset":3}`)
	over, cancel := context.WithCancel(bounded.Context(t))
	cancel()
	if err := bounded.Receive(t, before).Close(over); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.read(conn, "unsubscribe")
	after := subscribing(t, c)
	id := p.read(conn, "subscribe")
	p.answer(conn, `{"type":"message","channel":"chat","offset":4,"data":"before"}`)
	p.answer(conn, `{"type":"unsubscribed","channel":"chat","code":"server","message":"before"}`)
	p.answer(conn, fmt.Sprintf(`{"type":"subscribed","id":%d,"channel":"chat","position":{"epoch":"e","offset":4}}`, id))
	p.answer(conn, `{"type":"message","channel":"chat","offset":5,"data":"after"}`)
	if e := next(t, bounded.Receive(t, after)); e.Message == nil || string(e.Message.Data) != `"after"` {
		t.Errorf("%+v", e)
	}
}

// A loop over events may execute a command even if more events arrive before the reply than the queue normally holds. Position returns the
// position of the last event that the loop has received.
func TestCommandBetweenEvents(t *testing.T) {
	p := play(t)
	c := connect(t, &server{url: p.url}, Options{})
	const n = 5 * maxQueued
	acked := make(chan error, 1)
	go func() {
		s, err := c.Subscribe(bounded.Context(t), "chat", nil)
		if err != nil {
			acked <- err
			return
		}
		got := uint64(0)
		for e, err := range s.Events(bounded.Context(t)) {
			if err == nil && e.Message == nil {
				err = fmt.Errorf("got %+v", e)
			}
			if got++; err == nil && (e.Message.Offset != got || s.Position() != Position{Epoch: "e", Offset: got}) {
				err = fmt.Errorf("event %d has the offset %d, the position is %v", got, e.Message.Offset, s.Position())
			}
			if err == nil && got == 1 {
				err = s.Ack(bounded.Context(t), "phone", s.Position())
			}
			if err != nil || got == n {
				acked <- err
				return
			}
		}
	}()
	conn := bounded.Receive(t, p.conns)
	p.command(conn, "subscribe", `"type":"subscribed","channel":"chat","position":{"epoch":"e","offset":0}`)
	message := func(i int) {
		p.answer(conn, fmt.Sprintf(`{"type":"message","channel":"chat","offset":%d,"data":1}`, i))
	}
	message(1)
	id := p.read(conn, "ack")
	for i := 2; i <= n; i++ {
		message(i)
	}
	p.answer(conn, fmt.Sprintf(`{"id":%d,"type":"acked"}`, id))
	if err := bounded.Receive(t, acked); err != nil {
		t.Error(err)
	}
}

// If the server ends a subscription with a temporary code, the client subscribes again on the same connection, after the last message,
// unless the subscription was closed in the meantime.
func TestEndedTemporarily(t *testing.T) {
	p := play(t)
	c := connect(t, &server{url: p.url}, Options{})
	conn := bounded.Receive(t, p.conns)
	subscribed := subscribing(t, c)
	p.command(conn, "subscribe", `"type":"subscribed","channel":"chat","position":{"epoch":"e","offset":3}`)
	s := bounded.Receive(t, subscribed)
	for _, offset := range []int{2, 3} { // offsets that are already known are ignored
		p.answer(conn, fmt.Sprintf(`{"type":"message","channel":"chat","offset":%d,"data":%d}`, offset, offset))
	}
	for i, code := range []wire.Code{wire.Insufficient, wire.Slow, wire.Unavailable} {
		offset := uint64(4 + i)
		p.answer(conn, fmt.Sprintf(`{"type":"message","channel":"chat","offset":%d,"data":%d}`, offset, offset))
		p.answer(conn, fmt.Sprintf(`{"type":"unsubscribed","channel":"chat","code":"%s","message":"again"}`, code))
		m, err := conn.Read(bounded.Context(t))
		var cmd wire.Subscribe
		if err == nil {
			err = json.Unmarshal(m.Data, &cmd)
		}
		if err != nil || cmd.Type != "subscribe" || cmd.Since == nil || cmd.Since.Epoch != "e" || cmd.Since.Offset != offset {
			t.Fatalf("%s: %s, %v", code, m.Data, err)
		}
		p.answer(conn, fmt.Sprintf(`{"id":%d,"type":"subscribed","channel":"chat","position":{"epoch":"e","offset":%d},"recovered":true}`, cmd.ID, offset))
		if e := next(t, s); e.Message == nil || e.Message.Offset != offset {
			t.Fatalf("%s: %+v", code, e)
		}
	}
	p.answer(conn, `{"type":"unsubscribed","channel":"chat","code":"unavailable","message":"again"}`)
	over, cancel := context.WithCancel(bounded.Context(t))
	cancel()
	if err := s.Close(over); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.read(conn, "unsubscribe")
	go c.Publish(bounded.Context(t), "chat", json.RawMessage("1"), nil) //nolint:errcheck // the test does not acknowledge the publication
	p.read(conn, "publish")                                             // Close prevents another subscribe command
}
