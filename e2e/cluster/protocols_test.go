//go:build e2e

package cluster

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// room is the channel to which the clients of all protocols subscribe.
const room = "presence-room"

// peer is a client of one protocol that is subscribed to room as a user. When its connection ends, it connects to the next node.
type peer struct {
	user  string
	nodes []*node
	serve func(ctx context.Context, p *peer, c *websocket.Conn) error // serves one connection until the end; calls joined and got

	mu      sync.Mutex
	epoch   string // epoch and offset are the peer's position, for protocols that recover
	offset  uint64
	began   []int // number of messages received before each subscription
	numbers []int // numbers of the received messages
	gaps    []string
	left    map[string]int // how often each user was reported to have left
}

// joined records that the peer has subscribed.
func (p *peer) joined() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = append(p.began, len(p.numbers))
}

// got records a message and the position after it. An empty epoch means that the epoch has not changed.
func (p *peer) got(data []byte, epoch string, offset uint64) error {
	var m numbered
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("%s: %w", data, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.numbers = append(p.numbers, m.N)
	if epoch != "" {
		p.epoch = epoch
	}
	p.offset = offset
	return nil
}

// run connects, and reconnects until ctx is done. A peer with only one node does not reconnect.
func (p *peer) run(ctx context.Context, path string) error {
	for i := 0; ctx.Err() == nil; i++ {
		dial, cancel := context.WithTimeout(ctx, 3*time.Second)
		c, err := websocket.Dial(dial, "ws://"+p.nodes[i%len(p.nodes)].address+path, nil)
		cancel()
		if err == nil {
			err = p.serve(ctx, p, c)
			c.CloseNow()
			if _, ended := errors.AsType[*websocket.CloseError](err); !ended && ctx.Err() == nil {
				return err
			}
		}
		if len(p.nodes) == 1 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func signed(text string) string {
	m := hmac.New(sha256.New, []byte(appSecret))
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

// runPusher runs a client of the Pusher protocol, which cannot recover.
func runPusher(ctx context.Context, p *peer, c *websocket.Conn) error {
	return p.pusher(ctx, c, func(map[string]any) {})
}

// recoverPusher runs a Pusher client that recovers. Recovery is an extension of the protocol by this server.
func recoverPusher(ctx context.Context, p *peer, c *websocket.Conn) error {
	return p.pusher(ctx, c, func(subscribe map[string]any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		subscribe["recover"] = true
		if p.epoch != "" {
			subscribe["since"] = map[string]any{"epoch": p.epoch, "offset": p.offset}
		}
	})
}

// pusher runs a client of the Pusher protocol. ask may add fields to the data of a subscription.
func (p *peer) pusher(ctx context.Context, c *websocket.Conn, ask func(map[string]any)) error {
	for {
		m, err := c.Read(ctx)
		if err != nil {
			return err
		}
		var e struct {
			Event, Data, Epoch string
			Offset             uint64
		}
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return fmt.Errorf("%s: %w", m.Data, err)
		}
		var d struct {
			ID   string `json:"socket_id"`
			User string `json:"user_id"`

			Position struct {
				Epoch  string
				Offset uint64
			}
			Recovered *bool
		}
		switch e.Event {
		case "pusher:connection_established":
			if err = json.Unmarshal([]byte(e.Data), &d); err == nil {
				who := fmt.Sprintf(`{"user_id":%q}`, p.user)
				data := map[string]any{"channel": room, "channel_data": who, "auth": "dev:" + signed(d.ID+":"+room+":"+who)}
				ask(data)
				command, _ := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": data})
				err = c.Write(ctx, websocket.Message{Type: websocket.Text, Data: command})
			}
		case "pusher_internal:subscription_succeeded":
			p.joined()
			if err = json.Unmarshal([]byte(e.Data), &d); err == nil {
				p.mu.Lock()
				p.epoch, p.offset = d.Position.Epoch, d.Position.Offset
				if d.Recovered != nil && !*d.Recovered {
					p.gaps = append(p.gaps, e.Data)
				}
				p.mu.Unlock()
			}
		case "pusher:missed":
			p.mu.Lock()
			p.gaps = append(p.gaps, e.Data)
			p.mu.Unlock()
		case "pusher_internal:member_removed":
			if err = json.Unmarshal([]byte(e.Data), &d); err == nil {
				p.mu.Lock()
				p.left[d.User]++
				p.mu.Unlock()
			}
		case "message":
			err = p.got([]byte(e.Data), e.Epoch, e.Offset)
		}
		if err != nil {
			return err
		}
	}
}

// centrifugoReply is a message that a Centrifugo client receives.
type centrifugoReply struct {
	ID        int
	Error     *struct{ Message string }
	Subscribe *struct {
		Epoch         string
		Offset        uint64
		Recovered     bool
		WasRecovering bool `json:"was_recovering"`
		Publications  []centrifugoPublication
	}
	Push struct{ Pub *centrifugoPublication }
}

type centrifugoPublication struct {
	Data   json.RawMessage
	Offset uint64
}

// runCentrifugo runs a client of the Centrifugo protocol, which recovers.
func runCentrifugo(ctx context.Context, p *peer, c *websocket.Conn) error {
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"sub":%q}`, p.user))
	sum, _ := hex.DecodeString(signed(head))
	p.mu.Lock()
	from := ""
	if p.epoch != "" {
		from = fmt.Sprintf(`,"recover":true,"epoch":%q,"offset":%d`, p.epoch, p.offset)
	}
	p.mu.Unlock()
	text := fmt.Sprintf("{\"id\":1,\"connect\":{\"token\":%q}}\n{\"id\":2,\"subscribe\":{\"channel\":%q%s}}", head+"."+base64.RawURLEncoding.EncodeToString(sum), room, from)
	if err := c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
		return err
	}
	for {
		m, err := c.Read(ctx)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(m.Data)) {
			if strings.TrimSpace(line) == "{}" {
				err = c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("{}")})
			} else {
				err = p.centrifugoLine(line)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (p *peer) centrifugoLine(line string) error {
	var r centrifugoReply
	if err := json.Unmarshal([]byte(line), &r); err != nil || r.Error != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	if s := r.Subscribe; s != nil {
		p.joined()
		p.mu.Lock()
		if s.WasRecovering && !s.Recovered {
			p.gaps = append(p.gaps, line)
		}
		if p.epoch == "" {
			p.offset = s.Offset
		}
		p.epoch = s.Epoch
		p.mu.Unlock()
		for _, pub := range s.Publications {
			if err := p.got(pub.Data, s.Epoch, pub.Offset); err != nil {
				return err
			}
		}
	}
	if pub := r.Push.Pub; pub != nil {
		return p.got(pub.Data, "", pub.Offset)
	}
	return nil
}

// protocols contains the path and the client of each protocol.
var protocols = map[string]struct {
	path  string
	serve func(context.Context, *peer, *websocket.Conn) error
}{
	"pusher":                {"/app/dev?protocol=7", runPusher},
	"pusher, with recovery": {"/app/dev?protocol=7", recoverPusher},
	"centrifugo":            {"/connection/websocket", runCentrifugo},
}

// allProtocols configures one endpoint for each protocol. All endpoints serve the same channels.
const allProtocols = `
endpoints:
  - {name: channels, path: /channels, target: channels, auth: [anonymous], rules: [{do: allow}]}
  - {name: pusher, path: "/app/{key}", target: pusher, auth: [anonymous], rules: [{do: allow}]}
  - {name: centrifugo, path: /connection/websocket, target: centrifugo, auth: [anonymous], rules: [{do: allow}]}
`

// A node that has clients of each protocol is killed. Clients that reconnect to another node receive each acknowledged message once and
// in order, with handfast.v1.json, with Centrifugo's protocol, and with Pusher's if they request recovery. Plain Pusher clients cannot
// recover: they receive each message published after their new subscription. Users who reconnect are not reported as having left; users
// who do not are reported once, within five seconds.
func TestProtocolsOfAKilledNode(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel() // the test mostly waits
			protocolsOfAKilledNode(t, e.name, startClusterWith(t, e.start, nil, allProtocols))
		})
	}
}

func protocolsOfAKilledNode(t *testing.T, engine string, c *cluster) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	start := func(protocol, user string, nodes ...*node) *peer {
		t.Helper()
		s := protocols[protocol]
		p := &peer{user: user, nodes: nodes, serve: s.serve, left: map[string]int{}}
		running.Go(func() {
			if err := p.run(ctx, s.path); err != nil {
				t.Errorf("%s of %s: %v", protocol, user, err)
			}
		})
		harness.Until(t, user+" is there", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.began) > 0 })
		return p
	}
	lost, back := c.nodes[1], c.from(1)
	watcher := start("pusher", "watcher", c.nodes[0])
	var leavers []string
	for protocol := range protocols {
		start(protocol, "leaves with "+protocol, lost)
		leavers = append(leavers, "leaves with "+protocol)
	}
	welcome := make(chan string, 10)
	leaver := newClient(t, []*node{lost}, func(id string, _ *node) { welcome <- id })
	returner := newClient(t, back, nil)
	own := &subscriber{channel: room, next: map[int]int{0: 0}, open: map[int]bool{}}
	for cl, o := range map[*client.Client]*client.SubscribeOptions{leaver: {Join: true}, returner: {Join: true, Handle: own.handle}} {
		if _, err := cl.Subscribe(bounded.Context(t), room, o); err != nil {
			t.Fatal(err)
		}
	}
	leavers = append(leavers, bounded.Receive(t, welcome))
	recovers, lives := start("centrifugo", "ann", back...), start("pusher", "bob", back...)
	extended := start("pusher, with recovery", "cat", back...)

	p := &publisher{channel: room}
	published, stop := context.WithCancel(context.Background())
	var publishing sync.WaitGroup
	publishing.Go(func() {
		if err := p.run(published, newClient(t, []*node{c.nodes[2]}, nil), 0, 20*time.Millisecond); err != nil {
			t.Errorf("publisher: %v", err)
		}
	})
	t.Cleanup(publishing.Wait)
	t.Cleanup(stop)
	harness.Until(t, "messages flow", func() bool { return p.acked.Load() > 20 })
	ran, began := bounded.Clock(t), time.Now()
	lost.kill()
	harness.Until(t, "who does not come back has left", func() bool {
		watcher.mu.Lock()
		defer watcher.mu.Unlock()
		for _, user := range leavers {
			if watcher.left[user] == 0 {
				return false
			}
		}
		return true
	})
	took := time.Since(began)
	if stalled := took - ran(); took-stalled > 5*time.Second {
		t.Errorf("members of the lost node were listed for %v, including %v in which this process was not scheduled", took, stalled)
	}
	for _, x := range []*peer{recovers, extended, lives} {
		harness.Until(t, x.user+" is back", func() bool { x.mu.Lock(); defer x.mu.Unlock(); return len(x.began) > 1 })
	}
	more := p.acked.Load() + 20
	harness.Until(t, "messages flow on", func() bool { return p.acked.Load() > more })
	stop()
	publishing.Wait()
	total := int(p.acked.Load())
	harness.Until(t, "all is received", func() bool {
		own.mu.Lock()
		defer own.mu.Unlock()
		return own.next[0] >= total && recovers.last() == total-1 && extended.last() == total-1 && lives.last() == total-1
	})
	own.mu.Lock()
	defer own.mu.Unlock()
	if own.lost+own.duplicates+len(own.gaps) > 0 || own.received != total {
		t.Errorf("handfast.v1.json: %d of %d, %d lost, %d twice or late, gaps: %q", own.received, total, own.lost, own.duplicates, own.gaps)
	}
	recovers.check(t, true)
	extended.check(t, true)
	lives.check(t, false)
	for user, n := range watcher.left {
		if n != 1 || user == "ann" || user == "bob" || user == "cat" {
			t.Errorf("%s left %d times", user, n)
		}
	}
	t.Logf("%d messages, members gone after %v", total, took.Round(time.Millisecond))
	recordProtocols(protocolsResult{engine, total, own.received, len(recovers.numbers), len(extended.numbers), len(lives.numbers), took, t.Failed()})
}

// last returns the number of the last received message, or -1 if there is none.
func (p *peer) last() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.numbers) == 0 {
		return -1
	}
	return p.numbers[len(p.numbers)-1]
}

// check checks that each message was received once and in order. A peer that does not recover may miss messages before each new
// subscription.
func (p *peer) check(t *testing.T, recovers bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	begins := map[int]bool{}
	for _, at := range p.began[1:] {
		begins[at] = !recovers
	}
	for i, n := range p.numbers {
		before := -1
		if i > 0 {
			before = p.numbers[i-1]
		}
		if n != before+1 && !(begins[i] && n > before) {
			t.Errorf("%s: message %d after %d", p.user, n, before)
		}
	}
	if len(p.gaps) > 0 {
		t.Errorf("%s: %q", p.user, p.gaps)
	}
}
