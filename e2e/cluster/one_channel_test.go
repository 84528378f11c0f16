//go:build e2e

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// All subscribers to one channel at one server, each with its own connection, receive each message once and in order. The long form
// has 10,000 subscribers.
func TestOneLargeChannel(t *testing.T) {
	subscribers, messages := 500, 20
	if *drill {
		subscribers = 10_000
	}
	u := harness.NewUser(t)
	n := &node{u: u, address: net.JoinHostPort("127.0.0.1", harness.FreePort(t)), admin: net.JoinHostPort("127.0.0.1", harness.FreePort(t))}
	text := fmt.Sprintf(config, n.address, n.admin) + "limits: {connections: 0}\n"
	n.args = []string{"--config", u.Write("handfast.yaml", text)}
	n.start()
	began := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var there, finished atomic.Int64
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	slots := make(chan struct{}, 50)
	for range subscribers {
		slots <- struct{}{}
		reading.Go(func() {
			c, err := subscribeTo(ctx, n, "all")
			<-slots
			if err != nil {
				t.Errorf("subscribe: %v", err)
				return
			}
			defer c.CloseNow()
			there.Add(1)
			for i := range messages {
				m, err := c.Read(ctx)
				if err != nil || !bytes.Contains(m.Data, fmt.Appendf(nil, `"data":{"n":%d}`, i)) {
					t.Errorf("message %d is %s, %v", i, m.Data, err)
					return
				}
			}
			finished.Add(1)
			if m, err := c.Read(ctx); err == nil { // fails when the test cancels ctx at the end
				t.Errorf("an unexpected message: %s", m.Data)
			}
		})
	}
	harness.Until(t, "all are there", func() bool { return there.Load() == int64(subscribers) || t.Failed() })
	joined := time.Since(began)
	publisher := newClient(t, []*node{n}, nil)
	published := time.Now()
	for i := range messages {
		if _, err := publisher.Publish(bounded.Context(t), "all", fmt.Appendf(nil, `{"n":%d}`, i), &client.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	harness.Until(t, "all have everything", func() bool { return finished.Load() == int64(subscribers) || t.Failed() })
	t.Logf("%d subscribers in %v, %d deliveries in %v", subscribers, joined.Round(time.Millisecond), subscribers*messages, time.Since(published).Round(time.Millisecond))
	want := fmt.Sprintf("handfast_channel_deliveries_total{namespace=\"*\"} %d\n", subscribers*messages)
	harness.Until(t, want, func() bool { return strings.Contains(n.get("/metrics"), want) })
}

// subscribeTo connects to a node and subscribes to a channel.
func subscribeTo(ctx context.Context, n *node, channel string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	c, err := websocket.Dial(ctx, "ws://"+n.address+"/channels", nil)
	if err != nil {
		return nil, err
	}
	command := fmt.Appendf(nil, `{"type":"subscribe","id":1,"channel":%q}`, channel)
	if err := c.Write(ctx, websocket.Message{Type: websocket.Text, Data: command}); err != nil {
		return nil, err
	}
	for {
		m, err := c.Read(ctx)
		if err != nil || bytes.Contains(m.Data, []byte(`"subscribed"`)) {
			return c, err
		}
		if !bytes.Contains(m.Data, []byte(`"welcome"`)) {
			return c, fmt.Errorf("%s", m.Data)
		}
	}
}
