package pusher

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// recoveryState is a test client's record of its position in a channel.
type recoveryState struct {
	since
	n int // the number of the last event
}

// message is a received message.
type message struct {
	Event, Data, Epoch string
	Offset             uint64
}

// process processes a message, and reports whether it is an application event.
func (p *recoveryState) process(t *testing.T, text string) bool {
	t.Helper()
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if m.Epoch != "" {
		p.Epoch = m.Epoch
	}
	p.Offset = max(p.Offset, m.Offset)
	switch m.Event {
	case "n":
		if n, _ := strconv.Atoi(m.Data); n != p.n+1 {
			t.Fatalf("%s after %d", text, p.n)
		}
		p.n++
		return true
	case "pusher_internal:subscription_succeeded":
		var s succeeded
		if err := json.Unmarshal([]byte(m.Data), &s); err != nil || s.Position == nil || s.Recovered == nil || !*s.Recovered {
			t.Fatalf("%s: %v", text, err)
		}
		p.Epoch, p.Offset = s.Position.Epoch, s.Position.Offset
	case "pusher:connection_established", positionEvent:
	default:
		t.Fatal(text)
	}
	return false
}

// Clients that leave and reconnect to another node while others publish receive each event once and in order.
func TestRecoveryAcrossNodes(t *testing.T) {
	const total = 400
	m := hub.NewMemory()
	rules := Namespaces([]hub.Namespace{{History: 2 * total}})
	var urls [2]string
	var hubs [2]*hub.Hub
	for i, driver := range []string{"run", "loop"} {
		h := hub.New(hub.Options{Engine: m.Node(), Namespaces: rules})
		t.Cleanup(func() { h.Close() })
		hubs[i], urls[i] = h, drivers[driver](t, &Server{Hub: h, Apps: testApps()})
	}
	var published atomic.Int32
	ahead := make(chan struct{}, total) // lets the publisher be ahead of the client, so that there are always both missed and live events
	ctx := bounded.Context(t)
	var running sync.WaitGroup
	running.Go(func() {
		for n := range total {
			select {
			case <-ahead:
			case <-ctx.Done():
				return
			}
			if _, err := hubs[n%2].Publish(ctx, app.ID, "x", &hub.Publication{Event: "n", Data: strconv.AppendInt(nil, int64(n+1), 10)}, nil); err != nil {
				t.Error(err)
			}
			published.Add(1)
		}
	})
	defer running.Wait()
	for range 40 {
		ahead <- struct{}{}
	}
	var p recoveryState
	for visit := 0; p.n < total; visit++ {
		c := dial(t, urls[visit%2], defaultQuery)
		send(t, c, string(encode(map[string]any{"event": "pusher:subscribe", "data": request{Channel: "x", Since: &p.since}})))
		for begin := p.n; p.n < min(begin+15+visit%10, total); {
			if p.process(t, read(t, c)) {
				select {
				case ahead <- struct{}{}:
				default:
				}
			}
		}
		c.CloseNow()
	}
	running.Wait() // the last event may arrive before its Publish returns
	if n := published.Load(); n != total || p.Offset != total {
		t.Errorf("%d published, at %d", n, p.Offset)
	}
}

// Missed events are not recovered if their data or their encoded form exceeds the maximum size.
func TestTooMuchMissed(t *testing.T) {
	h := hub.New(hub.Options{Namespaces: Namespaces([]hub.Namespace{{History: 100, MaxData: 1 << 20}})})
	t.Cleanup(func() { h.Close() })
	url := drivers["run"](t, &Server{Hub: h, Apps: testApps()})
	for i, tt := range []struct {
		data      string
		count     int
		recovered bool
	}{
		{strings.Repeat("x", 100<<10), 5, true},
		{strings.Repeat("x", 100<<10), 6, false},
		{strings.Repeat(`"`, 50<<10), 5, true},
		{strings.Repeat(`"`, 50<<10), 6, false},
		{strings.Repeat("x", maxMissed+1), 1, false},
	} {
		for _, kind := range []string{"", "cache-"} {
			channel := fmt.Sprint(kind, i)
			for range tt.count {
				if _, err := h.Publish(bounded.Context(t), app.ID, channel, &hub.Publication{Event: "e", Data: []byte(tt.data)}, nil); err != nil {
					t.Fatal(err)
				}
			}
			c := dial(t, url, defaultQuery)
			read(t, c)
			send(t, c, `{"event":"pusher:subscribe","data":{"channel":"`+channel+`","since":{"epoch":"","offset":0}}}`)
			got := read(t, c)
			at := tt.count
			if tt.recovered {
				at = 0
			}
			if !strings.Contains(got, fmt.Sprintf(`\"offset\":%d},\"recovered\":%v}`, at, tt.recovered)) {
				t.Errorf("%s: %.300s", channel, got)
			}
			follow := 0
			if tt.recovered {
				follow = tt.count
			} else if kind != "" {
				follow = 1
			}
			for range follow {
				if got := read(t, c); !strings.Contains(got, `"event":"e"`) {
					t.Errorf("%s: %.300s", channel, got)
				}
			}
			if tt.recovered {
				wantRead(t, c, fmt.Sprintf(`{"event":"pusher_internal:position","channel":%q,"offset":%d}`, channel, tt.count))
			}
			send(t, c, `{"event":"pusher:ping"}`)
			wantRead(t, c, `{"event":"pusher:pong","data":{}}`)
		}
	}
}

// A client whose queue has no room for the missed events must reconnect rather than stay without a subscription.
func TestNoRoomForMissed(t *testing.T) {
	s := newServer(t)
	o := new(outbox)
	n := open(s, o)
	defer n.Closed(nil)
	o.full = true
	err := execute(n, `{"event":"pusher:subscribe","data":{"channel":"x","since":{"epoch":"","offset":0}}}`)
	if websocket.CloseCode(err) != CodeReconnect || n.hub.Subscribed("x") {
		t.Error(err)
	}
}

type historian = hub.History

// lossyEngine is an engine that can lose the history of its channels.
type lossyEngine struct {
	hub.Engine
	historian
	sink chan hub.Sink
	lost atomic.Bool
}

func (e *lossyEngine) Run(ctx context.Context, s hub.Sink) error {
	e.sink <- s
	return e.Engine.Run(ctx, s)
}

func (e *lossyEngine) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	page, err := e.historian.History(ctx, channel, q)
	if e.lost.Load() && q.Since != nil && q.Since.Epoch != "new" {
		page = hub.HistoryPage{Top: hub.Position{Epoch: "new", Offset: 7}, Err: hub.ErrNewEpoch}
	}
	return page, err
}

// When the engine loses events, clients that have requested positions are notified, with their new position. Other clients are not
// notified, because the protocol has no message for a loss.
func TestLostEvents(t *testing.T) {
	node := hub.NewMemory().Node()
	e := &lossyEngine{Engine: node, historian: node.(hub.History), sink: make(chan hub.Sink, 1)}
	h := hub.New(hub.Options{Engine: e, Namespaces: Namespaces([]hub.Namespace{{History: 10}})})
	t.Cleanup(func() { h.Close() })
	url := drivers["run"](t, &Server{Hub: h, Apps: testApps()})
	asks, plain := dial(t, url, defaultQuery), dial(t, url, defaultQuery)
	for c, recover := range map[*websocket.Conn]string{asks: "true", plain: "false"} {
		read(t, c)
		send(t, c, `{"event":"pusher:subscribe","data":{"channel":"x","recover":`+recover+`}}`)
		read(t, c)
	}
	e.lost.Store(true)
	bounded.Receive(t, e.sink).Gap(hub.ChannelOf(app.ID, "x"))
	wantRead(t, asks, `{"event":"pusher:missed","channel":"x","data":"{\"position\":{\"epoch\":\"new\",\"offset\":7}}","epoch":"new","offset":7}`)
	if _, err := h.Publish(bounded.Context(t), app.ID, "x", &hub.Publication{Event: "e", Data: []byte("1")}, &hub.PublishOptions{History: -1}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*websocket.Conn{asks, plain} {
		wantRead(t, c, `{"event":"e","channel":"x","data":"1"}`)
	}
}

// frameRecorder is an outbox that keeps the last shared message.
type frameRecorder struct {
	outbox
	last atomic.Pointer[websocket.Prepared]
}

func (f *frameRecorder) SendPrepared(ps ...*websocket.Prepared) error {
	f.last.Store(ps[len(ps)-1])
	return nil
}

// An event is encoded once for all clients that have requested positions, and once for all others.
func TestSharedWithPositions(t *testing.T) {
	s := newServer(t)
	var all [4]*frameRecorder
	for i := range all {
		all[i] = new(frameRecorder)
		n := s.Open(Client{Key: app.Key, Protocol: "7"})(all[i]).(*session)
		t.Cleanup(func() { n.Closed(nil) })
		if err := execute(n, fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"x","recover":%v}}`, i < 2)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Hub.Publish(bounded.Context(t), app.ID, "x", &hub.Publication{Event: "e", Data: []byte("1")}, nil); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`"offset":1}`, "", `"data":"1"}`, ""} {
		bounded.Until(t, func() bool { return strings.Contains(string(all[i].last.Load().Data()), `"event":"e"`) })
		if got := all[i].last.Load(); want == "" && got != all[i-1].last.Load() || !strings.HasSuffix(string(got.Data()), want) {
			t.Errorf("%d: %s", i, got.Data())
		}
	}
}
