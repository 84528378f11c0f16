package streams

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

const (
	// feedTick is the interval at which a stream with live reads is checked even if no message was published, because the stream
	// may have been deleted.
	feedTick = 2 * time.Second

	// feedTime is the timeout of such a check.
	feedTime = 10 * time.Second
)

// feed keeps a stream up to date while it has live reads, which share one subscription to the channel. The feed is the Sender of
// that subscription: any message that it receives means that there is new data to read.
type feed struct {
	stream  *stream
	session *hub.Session
	readers int // guarded by the stream's lock
	wake    chan struct{}
	cancel  context.CancelFunc
}

// follow begins a live read. The caller has locked the stream, and must call unfollow at the end.
func (s *stream) follow(ctx context.Context) error {
	if s.feed != nil {
		s.feed.readers++
		return nil
	}
	f := &feed{stream: s, readers: 1, wake: make(chan struct{}, 1)}
	session, err := s.server.Hub.Join(hub.Client{App: s.server.App, ID: rand.Text(), Out: f, Codec: codec{}})
	if err != nil {
		return fmt.Errorf("streams: follow the channel: %w", err)
	}
	f.session = session
	if err := f.subscribe(ctx); err != nil {
		session.Leave()
		return fmt.Errorf("streams: follow the channel: %w", err)
	}
	live, cancel := context.WithCancel(context.Background())
	f.cancel, s.feed = cancel, f
	s.server.running.Go(func() { f.run(live) })
	return nil
}

// unfollow ends a live read. When the last one has ended, the feed stops.
func (s *stream) unfollow() {
	s.lock <- struct{}{} // another request holds the lock only until its timeout
	defer s.releaseLock()
	s.drop()
}

// drop is unfollow for callers that have locked the stream.
func (s *stream) drop() {
	f := s.feed
	if f.readers--; f.readers == 0 {
		f.cancel()
		s.feed = nil
	}
}

func (f *feed) subscribe(ctx context.Context) error {
	return f.session.Subscribe(ctx, f.stream.name, hub.SubscribeOptions{}, func(*hub.Recovered) error { return nil })
}

// run refreshes the stream whenever the channel has changed and at every tick, until ctx is done.
func (f *feed) run(ctx context.Context) {
	defer f.session.Leave()
	tick := time.NewTicker(feedTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-tick.C:
		}
		f.refresh(ctx)
	}
}

// refresh refreshes the stream. An error is retried at the next tick.
func (f *feed) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, feedTime)
	defer cancel()
	s := f.stream
	if !f.session.Subscribed(s.name) { // a command of the hub has ended the subscription
		if err := f.subscribe(ctx); err != nil && !errors.Is(err, hub.ErrSubscribed) {
			return
		}
	}
	if s.acquireLock(ctx) != nil {
		return
	}
	defer s.releaseLock()
	s.refresh(ctx) //nolint:errcheck // a failed refresh is repeated at the next tick
}

// SendPrepared implements [websocket.Sender]: it wakes the feed.
func (f *feed) SendPrepared(...*websocket.Prepared) error {
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return nil
}

// Send implements [websocket.Sender].
func (f *feed) Send(websocket.Message) error { return f.SendPrepared() }

// Buffered implements [websocket.Sender]: nothing is buffered.
func (f *feed) Buffered() int { return 0 }

// Shut implements [websocket.Sender]. It is called when the hub stops, or when a server closes all connections.
func (f *feed) Shut(websocket.Code, string) error { return nil }

// CloseNow implements [websocket.Sender].
func (f *feed) CloseNow() error { return nil }

// Subprotocol implements [websocket.Sender].
func (f *feed) Subprotocol() string { return "" }

// RemoteAddr implements [websocket.Sender].
func (f *feed) RemoteAddr() net.Addr { return nil }

// codec encodes every event as the same message.
type codec struct{}

var wakeMessage, _ = websocket.Prepare(websocket.Message{Type: websocket.Text})

// Publication implements [hub.Codec].
func (codec) Publication(string, *hub.Publication, *hub.Publication) (*websocket.Prepared, error) {
	return wakeMessage, nil
}

// Members implements [hub.Codec].
func (codec) Members(string, []hub.Change) ([]*websocket.Prepared, error) { return nil, nil }

// Ended implements [hub.Codec].
func (codec) Ended(string, hub.EndReason) (*websocket.Prepared, error) { return wakeMessage, nil }

// Closing implements [hub.Codec].
func (codec) Closing(hub.EndReason) (*websocket.Prepared, websocket.Code, string) {
	return nil, websocket.CodeGoingAway, ""
}
