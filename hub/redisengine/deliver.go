package redisengine

import (
	"context"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

const (
	deliverers = 4
	maxQueued  = 64 << 20 // the maximum size of the waiting items; later publications are read from the history
)

var seed = maphash.MakeSeed()

// item is an item to deliver to the sink.
type item struct {
	channel string // "" for an event
	text    string
	gap     bool
}

// queue holds the items that one goroutine delivers. Each channel is assigned to one queue, so that calls for one channel do not
// overlap.
type queue struct {
	mu    sync.Mutex
	items []item
	bytes int
	lost  map[string]struct{} // channels with messages that the queue had no room for
	wake  chan struct{}
}

func (q *queue) init() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items, q.bytes, q.lost, q.wake = nil, 0, nil, make(chan struct{}, 1)
}

func (q *queue) push(i item) {
	q.mu.Lock()
	if q.bytes > maxQueued && i.channel != "" {
		if q.lost == nil {
			q.lost = map[string]struct{}{}
		}
		q.lost[i.channel] = struct{}{}
	} else {
		q.items = append(q.items, i)
		q.bytes += len(i.text)
	}
	wake := q.wake
	q.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default:
	}
}

// run delivers the queued items until ctx is done.
func (q *queue) run(ctx context.Context, s hub.Sink) {
	for {
		select {
		case <-q.wake:
		case <-ctx.Done():
			return
		}
		q.mu.Lock()
		items, lost := q.items, q.lost
		q.items, q.bytes, q.lost = nil, 0, nil
		q.mu.Unlock()
		deliver(s, items)
		for c := range lost {
			s.Gap(c)
		}
	}
}

// deliver delivers items; those of one channel are delivered together.
func deliver(s hub.Sink, items []item) {
	ps := map[string][]*hub.Publication{}
	es := map[string][]hub.Entry{}
	var order, gaps []string
	for _, i := range items {
		if i.channel == "" {
			deliverEvent(s, i.text)
			continue
		}
		if i.gap {
			gaps = append(gaps, i.channel)
			continue
		}
		if len(ps[i.channel])+len(es[i.channel]) == 0 {
			order = append(order, i.channel)
		}
		if strings.HasPrefix(i.text, "e") {
			if some, err := record.Entries([]byte(i.text)); err == nil {
				es[i.channel] = append(es[i.channel], some...)
			}
		} else if p, err := parseMessage(i.text); err == nil {
			ps[i.channel] = append(ps[i.channel], p)
		}
	}
	for _, c := range order {
		if len(ps[c]) > 0 {
			s.Deliver(c, ps[c])
		}
		if len(es[c]) > 0 {
			s.Members(c, es[c])
		}
	}
	for len(gaps) > 0 {
		n := min(len(gaps), maxNamesPerCommand)
		s.Gap(gaps[:n]...)
		gaps = gaps[n:]
	}
}

func deliverEvent(s hub.Sink, text string) {
	if strings.HasPrefix(text, "l") {
		s.LeaseEnded(text[1:])
	} else if c, err := record.Command([]byte(text)); err == nil {
		s.Command(c)
	}
}

// parseMessage parses a message: "p", the offset, the time in ms, the epoch, a newline, and the record.
func parseMessage(text string) (*hub.Publication, error) {
	head, rest, ok := strings.Cut(text, "\n")
	parts := strings.Split(head, " ")
	if !ok || len(parts) != 3 || !strings.HasPrefix(head, "p") {
		return nil, record.ErrBad
	}
	return parsePublication(parts[0][1:], parts[1], parts[2], rest)
}

func parsePublication(offset, at, epoch, text string) (*hub.Publication, error) {
	n, err := strconv.ParseUint(offset, 10, 64)
	if err != nil {
		return nil, record.ErrBad
	}
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return nil, record.ErrBad
	}
	p, err := record.Publication([]byte(text))
	if err != nil {
		return nil, err
	}
	p.Position = hub.Position{Epoch: epoch, Offset: n}
	if n > 0 {
		p.Previous = n - 1
	}
	if p.Time.IsZero() {
		p.Time = time.UnixMilli(ms)
	}
	return p, nil
}

// receive handles a pub/sub message. It does not block.
func (e *Engine) receive(topic, text string) {
	if c, ok := e.subs.channelOf(topic); ok {
		e.queueOf(c).push(item{channel: c, text: text})
		return
	}
	if topic == e.topic("control") {
		if id, body, ok := strings.Cut(text, " "); ok {
			e.event(id, body)
		}
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if ch := e.probes[text]; ch != nil {
		close(ch)
		delete(e.probes, text)
	}
}

func (e *Engine) queueOf(channel string) *queue {
	return &e.shard[maphash.String(seed, channel)%deliverers]
}

// gap reports a gap in channels.
func (e *Engine) gap(channels []string) {
	for _, c := range channels {
		e.queueOf(c).push(item{channel: c, gap: true})
	}
}

// event queues an event unless it was seen before. The same event may be received by pub/sub and from the stream.
func (e *Engine) event(id, body string) {
	e.mu.Lock()
	seen := !later(id, e.lastSeen)
	if !seen {
		e.lastSeen = id
	}
	e.mu.Unlock()
	if !seen {
		e.shard[0].push(item{text: body})
	}
}

// later reports whether the stream ID a is after b.
func later(a, b string) bool {
	am, as, _ := strings.Cut(a, "-")
	bm, bs, _ := strings.Cut(b, "-")
	less := func(x, y string) bool { return len(x) < len(y) || len(x) == len(y) && x < y }
	return less(bm, am) || am == bm && less(bs, as)
}

// startAtNewestEvent makes catchUp begin after the newest event, if this is the first connection.
func (e *Engine) startAtNewestEvent(ctx context.Context, c rueidis.Client) error {
	e.mu.Lock()
	first := e.lastSeen == ""
	e.mu.Unlock()
	if !first {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	newest, err := c.Do(ctx, c.B().Xrevrange().Key(e.topic("events")).End("+").Start("-").Count(1).Build()).AsXRange()
	if err != nil && !rueidis.IsRedisNil(err) {
		return err
	}
	last := "0-0"
	if len(newest) > 0 {
		last = newest[0].ID
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lastSeen = last
	return nil
}

// catchUp reads the events that this node has missed.
func (e *Engine) catchUp(ctx context.Context, c rueidis.Client) error {
	e.mu.Lock()
	last := e.lastSeen
	e.mu.Unlock()
	stream := e.topic("events")
	for {
		some, err := c.Do(ctx, c.B().Xrange().Key(stream).Start("("+last).End("+").Count(500).Build()).AsXRange()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		if len(some) == 0 {
			return nil
		}
		for _, x := range some {
			e.event(x.ID, x.FieldValues["b"])
			last = x.ID
		}
	}
}
