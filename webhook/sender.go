package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/hub"
)

// Options configures a Sender.
type Options struct {
	// URL is the URL for the requests. It must be http or https, without a user and a password.
	URL string

	// Format encodes the requests. It is required.
	Format Format

	// Kinds are the kinds of events that are sent. nil means all kinds.
	Kinds []hub.EventKind

	// App is the application whose events are sent. "" means all.
	App string

	// Timeout is the timeout of one request. 0 means ten seconds.
	Timeout time.Duration

	// Queue is the maximum number of waiting events, whose total size is limited to 64 MiB. Further events are dropped and counted. 0
	// means 10,000.
	Queue int

	// Batch is the maximum number of events in one request, and Delay is how long the first event waits for others. 0 means 100
	// events and 100 ms.
	Batch int
	Delay time.Duration

	// RetryFor is how long a failed request is retried, with pauses from half a second to half a minute. 0 means five minutes.
	RetryFor time.Duration

	// Transport sends the requests. If nil, a transport is used that verifies certificates and uses the proxy in the environment.
	Transport http.RoundTripper

	// Failed is called for each failed attempt. Its error contains neither the URL nor the request. May be nil.
	Failed func(err error)
}

// Stats has the counters of a Sender.
type Stats struct {
	// Sent counts the events that the receiver has accepted, Failed those that could not be delivered, and Dropped those that did not
	// fit into the queue.
	Sent, Failed, Dropped uint64

	// Waiting is the number of events that are queued or being sent.
	Waiting int
}

const (
	minPause    = 500 * time.Millisecond
	maxPause    = 30 * time.Second
	maxResponse = 64 << 10 // the number of bytes of an answer that are read so that the connection can be reused
)

// maxQueued is the maximum size of the events that are queued or being sent.
const maxQueued = 64 << 20

// size returns the size of an event in memory.
func size(e *hub.Event) int {
	n := len(e.Channel) + len(e.Client) + len(e.User) + len(e.Data)
	if e.Publication != nil {
		n += e.Publication.Size()
	}
	return n
}

// Sender sends events. Use [New] to create one. Its methods may be called from any goroutine.
type Sender struct {
	o      Options
	client *http.Client
	wake   chan struct{}
	ended  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	queue   []hub.Event
	sending int // the number of events that are being sent
	bytes   int // the size of queued events and of those being sent
	stats   Stats
	closing bool
}

// New starts a Sender. Close ends it.
func New(o Options) (*Sender, error) {
	if err := checkURL(o.URL); err != nil {
		return nil, err
	}
	if o.Format == nil {
		return nil, errors.New("webhook: the format is missing")
	}
	o.Timeout, o.Delay, o.RetryFor = orDefault(o.Timeout, 10*time.Second), orDefault(o.Delay, 100*time.Millisecond), orDefault(o.RetryFor, 5*time.Minute)
	o.Queue, o.Batch = orDefault(o.Queue, 10_000), orDefault(o.Batch, 100)
	s := &Sender{o: o, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	s.client = client(o.Transport, 2, o.Timeout)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s, nil
}

func orDefault[T int | time.Duration](v, fallback T) T {
	if v <= 0 {
		return fallback
	}
	return v
}

// Event queues an event. It does not block.
func (s *Sender) Event(e hub.Event) {
	if s.o.App != "" && e.App != s.o.App || s.o.Kinds != nil && !slices.Contains(s.o.Kinds, e.Kind) {
		callDone([]hub.Event{e})
		return
	}
	s.mu.Lock()
	n := size(&e)
	full := s.closing || len(s.queue)+s.sending >= s.o.Queue || s.bytes > 0 && s.bytes+n > maxQueued
	if full {
		s.stats.Dropped++
	} else {
		s.queue = append(s.queue, e)
		s.bytes += n
	}
	s.mu.Unlock()
	if full {
		callDone([]hub.Event{e})
		return
	}
	s.wakeUp()
}

func (s *Sender) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func callDone(es []hub.Event) {
	for _, e := range es {
		if e.Done != nil {
			e.Done()
		}
	}
}

// Stats returns the current counters.
func (s *Sender) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.stats
	n.Waiting = len(s.queue) + s.sending
	return n
}

// Close sends the queued events until ctx ends, and drops the rest. Later events are dropped, too.
func (s *Sender) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.wakeUp()
	var err error
	select {
	case <-s.ended:
	case <-ctx.Done():
		err = ctx.Err()
		s.cancel()
		<-s.ended
	}
	s.cancel()
	s.client.CloseIdleConnections()
	return err
}

// run sends queued events, one request after the other, until the Sender is closed.
func (s *Sender) run() {
	defer close(s.ended)
	for {
		s.mu.Lock()
		waiting, closing := len(s.queue), s.closing
		s.mu.Unlock()
		switch {
		case waiting == 0 && closing:
			return
		case waiting == 0:
			<-s.wake
			continue
		case waiting < s.o.Batch && !closing:
			s.pause(s.o.Delay)
		}
		s.mu.Lock()
		n := min(len(s.queue), s.o.Batch)
		es := slices.Clone(s.queue[:n])
		clear(s.queue[:n])
		if s.queue = s.queue[n:]; len(s.queue) == 0 {
			s.queue = nil
		}
		s.sending = n
		s.mu.Unlock()
		sent := s.deliver(es)
		s.mu.Lock()
		s.sending = 0
		for i := range es {
			s.bytes -= size(&es[i])
		}
		if sent {
			s.stats.Sent += uint64(n)
		} else {
			s.stats.Failed += uint64(n)
		}
		s.mu.Unlock()
		callDone(es)
	}
}

// pause waits for d. It reports false if the Sender was canceled first.
func (s *Sender) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// deliver sends events until they are accepted, or until RetryFor has passed.
func (s *Sender) deliver(es []hub.Event) bool {
	began := time.Now()
	text, header, err := s.o.Format.Encode(began, es)
	if err != nil {
		s.failed(fmt.Errorf("webhook: encoding events: %w", err))
		return false
	}
	if text == nil {
		return true
	}
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		again, err := s.post(text, header)
		if err == nil {
			return true
		}
		s.failed(err)
		wait := pause/2 + rand.N(pause/2) // the jitter need not be secret
		if !again || time.Since(began)+wait > s.o.RetryFor || !s.pause(wait) {
			return false
		}
	}
}

func (s *Sender) failed(err error) {
	if s.o.Failed != nil {
		s.o.Failed(err)
	}
}

// post makes one attempt. again reports whether another attempt may succeed.
func (s *Sender) post(text []byte, header http.Header) (again bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.URL, bytes.NewReader(text))
	if err != nil {
		return false, errURL
	}
	r.Header = header.Clone()
	answer, err := s.client.Do(r)
	if err != nil {
		return true, withoutURL(err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, maxResponse)) //nolint:errcheck // the body is discarded, because only the status matters
	switch code := answer.StatusCode; {
	case code/100 == 2:
		return false, nil
	case code/100 == 5, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return true, fmt.Errorf("webhook: the receiver answered with %d", code)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return false, fmt.Errorf("webhook: the receiver answered with %d: it may verify the signature with a secret other than the application's", code)
	default: // the same request would be rejected again; redirects are not followed
		return false, fmt.Errorf("webhook: the receiver answered with %d", code)
	}
}
