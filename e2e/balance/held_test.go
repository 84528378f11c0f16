//go:build e2e

package balance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

func heldEcho(f form) farmOptions {
	return farmOptions{kinds: mixedKinds, balance: fmt.Sprintf(", hold: stateless, drain: {per_second: %g}", f.pace)}
}

func heldChannels(f form) farmOptions {
	return farmOptions{kinds: []string{"", "", ""}, engine: true, balance: fmt.Sprintf(", hold: resume, drain: {per_second: %g}", f.pace)}
}

// heldRestart performs a rolling restart that clients must not notice.
func heldRestart(s *stage) bounds {
	rollingRestart(s)
	return bounds{}
}

// heldKill kills a server with kill -9, which clients must not notice.
func heldKill(s *stage) bounds {
	kill(s)
	return bounds{}
}

// eachChannel is the number of listeners per channel.
const eachChannel = 50

// audience contains the clients of channels: listeners, and one publisher per channel, which numbers its messages.
type audience struct {
	t          *testing.T
	listeners  []*listener
	publishers []*publisher
	clients    []*client.Client
	connected  atomic.Int64 // number of connections opened
	expected   int          // number of clients, each of which opens one connection
	stop       context.CancelFunc
	all        sync.WaitGroup
}

// listener is a subscriber that checks the received messages.
type listener struct {
	publisher *publisher

	mu               sync.Mutex
	next             int
	lost, duplicated int
	gaps             int // number of announced gaps
}

// publisher publishes messages. It waits for the acknowledgement of each message before it publishes the next.
type publisher struct {
	channel string
	acked   atomic.Int64
}

// channelClients starts clients of channels.
func channelClients(s *stage, n int) clientGroup {
	ctx, stop := context.WithCancel(context.Background())
	a := &audience{t: s.t, stop: stop}
	s.t.Cleanup(a.leave)
	slots := make(chan struct{}, maxConcurrentDials)
	var joining sync.WaitGroup
	for i := range n {
		if i%eachChannel == 0 {
			a.publishers = append(a.publishers, &publisher{channel: fmt.Sprintf("room-%d", i/eachChannel)})
		}
		l := &listener{publisher: a.publishers[i/eachChannel]}
		a.listeners = append(a.listeners, l)
		c := a.client("ws://" + s.listen + "/channels")
		slots <- struct{}{}
		joining.Go(func() {
			defer func() { <-slots }()
			if _, err := c.Subscribe(bounded.Context(s.t), l.publisher.channel, &client.SubscribeOptions{Handle: l.handle}); err != nil {
				s.t.Errorf("subscribe: %v", err)
			}
		})
	}
	joining.Wait()
	for _, p := range a.publishers {
		c := a.client("ws://" + s.listen + "/channels")
		a.all.Go(func() {
			if err := p.publish(ctx, c, s.pause/2); err != nil && ctx.Err() == nil {
				s.t.Errorf("publish: %v", err)
			}
		})
	}
	a.expected = len(a.clients)
	a.waitProgress()
	return a
}

func (a *audience) client(url string) *client.Client {
	c := client.New(url, &client.Options{Connected: func(client.Welcome) { a.connected.Add(1) }})
	a.clients = append(a.clients, c)
	return c
}

// publish publishes until ctx is done.
func (p *publisher) publish(ctx context.Context, c *client.Client, pause time.Duration) error {
	for wait(ctx, pause) {
		data, err := json.Marshal(p.acked.Load())
		if err != nil {
			return err
		}
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), harness.Patience) // ctx does not cancel a call in progress
		_, err = c.Publish(one, p.channel, data, nil)
		cancel()
		if err != nil {
			return err
		}
		p.acked.Add(1)
	}
	return nil
}

// handle processes an event of the listener's channel.
func (l *listener) handle(e client.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Gap != "" {
		l.gaps++
	}
	var n int
	if e.Message == nil || json.Unmarshal(e.Message.Data, &n) != nil {
		return // the next message then reports this one as lost
	}
	switch {
	case n < l.next:
		l.duplicated++
		return
	case n > l.next:
		l.lost += n - l.next
	}
	l.next = n + 1
}

// has reports whether a listener has received message n-1 or a later one.
func (l *listener) has(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.next) >= n
}

// waitProgress waits until each publisher has received another acknowledgement, and each listener has received the acknowledged message.
func (a *audience) waitProgress() {
	a.t.Helper()
	want := map[*publisher]int64{}
	for _, p := range a.publishers {
		want[p] = p.acked.Load() + 1
	}
	for _, p := range a.publishers {
		bounded.Until(a.t, func() bool { return p.acked.Load() >= want[p] })
	}
	for _, l := range a.listeners {
		bounded.Until(a.t, func() bool { return l.has(want[l.publisher]) })
	}
}

// expect checks and returns the observations since the last call. It counts each connection of a client after the first as the end of
// another connection, with the unknown close code.
func (a *audience) expect(allowed bounds) tally {
	a.t.Helper()
	s := tally{closed: map[string]int{}}
	if n := int(a.connected.Swap(int64(a.expected))) - a.expected; n > 0 {
		s.closed["unknown"] = n
	}
	gaps := 0
	for _, l := range a.listeners {
		l.mu.Lock()
		s.lost, s.duplicated, gaps = s.lost+l.lost, s.duplicated+l.duplicated, gaps+l.gaps
		l.lost, l.duplicated, l.gaps = 0, 0, 0
		l.mu.Unlock()
	}
	if n := s.total(); n > allowed.atMost {
		a.t.Errorf("got %d reconnects, want %d at most", n, allowed.atMost)
	}
	if s.lost > 0 || s.duplicated > 0 || gaps > 0 {
		a.t.Errorf("got %d lost messages, %d duplicates, %d gaps, want 0", s.lost, s.duplicated, gaps)
	}
	return s
}

// leave stops all clients.
func (a *audience) leave() {
	a.stop()
	a.all.Wait()
	var closing sync.WaitGroup
	for c := range slices.Values(a.clients) {
		closing.Go(func() { _ = c.Close() })
	}
	closing.Wait()
	a.clients = nil
}
