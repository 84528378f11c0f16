package natsengine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

const (
	goneKept    = time.Minute // what a later message removes at last
	deviceKept  = 90 * 24 * time.Hour
	entriesPage = 1000
	putTogether = 256
)

// write is one message of several that are stored together.
type write struct {
	subject string
	data    []byte
	ttl     time.Duration
}

// putAll stores messages.
func (s *store) putAll(ctx context.Context, ws []write) error {
	ctx, cancel := context.WithTimeoutCause(ctx, attempt, errTooLate)
	defer cancel()
	for len(ws) > 0 {
		some := ws[:min(len(ws), putTogether)]
		ws = ws[len(some):]
		var again []write
		answers := make([]<-chan *nats.Msg, len(some))
		for i, w := range some {
			c, done, err := s.ask(&nats.Msg{Subject: w.subject, Header: (&putting{ttl: w.ttl}).headers(), Data: w.data}, 1)
			if err != nil {
				return err
			}
			defer done()
			answers[i] = c
		}
		for i, c := range answers {
			m, err := receive(ctx, c)
			if err == nil {
				_, err = readAck(m)
			}
			if errors.Is(err, errNobody) {
				again = append(again, some[i])
			} else if err != nil {
				return err
			}
		}
		for _, w := range again {
			if _, err := s.put(ctx, w.subject, w.data, putting{ttl: w.ttl}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Put implements [hub.Presence]. Only the node with a lease puts entries under it, one call after the other for a channel: so the
// stored version of an entry is always the smaller one.
func (e *Engine) Put(ctx context.Context, channel string, es ...hub.Entry) error {
	s, _, err := e.ready(ctx)
	if err != nil {
		return err
	}
	if len(es) == 0 {
		return nil
	}
	held := map[string]bool{}
	ws := make([]write, 0, len(es))
	for _, x := range es {
		if !held[x.Lease] {
			if err := e.leases.holds(ctx, s, x.Lease); err != nil {
				return err
			}
			held[x.Lease] = true
		}
		w := write{subject: e.sub.state("e", channelTokens(channel)+"."+token(x.Lease)+"."+token(x.Client)), data: record.AppendEntries(nil, x)}
		if x.Gone {
			w.ttl = goneKept
		}
		ws = append(ws, w)
	}
	if err := s.putAll(ctx, ws); err != nil {
		return err
	}
	for name := range held {
		if over, _ := e.leases.is(name); over {
			e.leases.forget(ctx, s, name)
			return hub.ErrLeaseEnded
		}
	}
	return s.nc.Publish(e.sub.live(channel), record.AppendEntries(nil, es...))
}

// Entries implements [hub.Presence]: in the order in which they were put last.
func (e *Engine) Entries(ctx context.Context, channel, cursor string, limit int) (es []hub.Entry, next string, err error) {
	s, _, err := e.ready(ctx)
	if err != nil {
		return nil, "", err
	}
	subject := e.sub.state("e", channelTokens(channel)+".*.*")
	var from uint64
	if cursor != "" {
		if from, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return nil, "", err
		}
	}
	if limit <= 0 || limit > entriesPage {
		limit = entriesPage
	}
	items, more, err := e.current(ctx, s, subject, from, limit)
	if err != nil {
		return nil, "", err
	}
	dead := map[string]bool{}
	for _, i := range items {
		from = i.seq + 1
		some, err := record.Entries(i.data)
		if err != nil {
			continue
		}
		for _, x := range some {
			over, seen := dead[x.Lease]
			if !seen {
				err := e.leases.holds(ctx, s, x.Lease)
				if over = errors.Is(err, hub.ErrLeaseEnded); over {
					e.leases.forget(ctx, s, x.Lease)
				} else if err != nil {
					return nil, "", err
				}
				dead[x.Lease] = over
			}
			if !over && !x.Gone {
				es = append(es, x)
			}
		}
	}
	if more > 0 {
		next = strconv.FormatUint(from, 10)
	}
	return es, next, nil
}

// current reads messages from a copy that is not behind the leader.
func (e *Engine) current(ctx context.Context, s *store, subject string, from uint64, n int) ([]item, uint64, error) {
	var top *item
	var err error
	if s.leader {
		if top, err = s.last(ctx, s.state, subject); err != nil || top == nil {
			return nil, 0, err
		}
	}
	for tries := 0; ; tries++ {
		items, more, err := s.batch(ctx, s.state, subject, from, n)
		if err != nil || !s.leader || more > 0 || top.seq < from || tries > 20 ||
			len(items) > 0 && items[len(items)-1].seq >= top.seq {
			return items, more, err
		}
		if !sleep(ctx, stalePause) {
			return nil, 0, ctx.Err()
		}
	}
}

// Claim implements [hub.Presence]. The time is rounded up to seconds.
func (e *Engine) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	s, _, err := e.ready(ctx)
	if err != nil {
		return false, err
	}
	zero := uint64(0)
	_, err = s.put(ctx, e.sub.state("c", hash(key)), nil, putting{expect: &zero, ttl: ttl})
	if errors.Is(err, errWrongLast) {
		return false, nil
	}
	return err == nil, err
}

// count is how many subscribers the node with a lease has in a channel.
type count struct {
	Channel     string `json:"channel"`
	Lease       string `json:"lease"`
	Subscribers int    `json:"subscribers"`
}

// Occupy implements [hub.Occupancy].
func (e *Engine) Occupy(ctx context.Context, lease string, cs []hub.Occupied) error {
	s, _, err := e.ready(ctx)
	if err != nil {
		return err
	}
	if err := e.leases.holds(ctx, s, lease); err != nil {
		return err
	}
	ws := make([]write, 0, len(cs))
	for _, c := range cs {
		data, err := json.Marshal(count{c.Channel, lease, c.Subscribers})
		if err != nil {
			return err
		}
		w := write{subject: e.sub.state("o", channelTokens(c.Channel)+"."+token(lease)), data: data}
		if c.Subscribers == 0 {
			w.ttl = goneKept
		}
		ws = append(ws, w)
	}
	return s.putAll(ctx, ws)
}

// Occupied implements [hub.Occupancy]. It reads the numbers of all channels of the application.
func (e *Engine) Occupied(ctx context.Context, prefix, after string, limit int) (cs []hub.Occupied, more bool, err error) {
	s, _, err := e.ready(ctx)
	if err != nil {
		return nil, false, err
	}
	subject := e.sub.state("o", ">")
	if app, _, ok := strings.Cut(prefix, "/"); ok {
		subject = e.sub.state("o", token(app)+".*.*")
	}
	sums := map[string]int{}
	for from := uint64(1); ; {
		items, left, err := s.batch(ctx, s.state, subject, from, entriesPage)
		if err != nil {
			return nil, false, err
		}
		for _, i := range items {
			from = i.seq + 1
			var c count
			if json.Unmarshal(i.data, &c) != nil || !strings.HasPrefix(c.Channel, prefix) || c.Channel <= after {
				continue
			}
			if over, known := e.leases.is(c.Lease); known && !over {
				sums[c.Channel] += c.Subscribers
			}
		}
		if left == 0 || len(items) == 0 {
			break
		}
	}
	for name, n := range sums {
		if n > 0 {
			cs = append(cs, hub.Occupied{Channel: name, Subscribers: n})
		}
	}
	slices.SortFunc(cs, func(a, b hub.Occupied) int { return cmp.Compare(a.Channel, b.Channel) })
	if limit > 0 && len(cs) > limit {
		cs, more = cs[:limit], true
	}
	return cs, more, nil
}

// readPosition reads a position that was saved.
func readPosition(i *item) (p hub.Position, err error) {
	err = json.Unmarshal(i.data, &p)
	return p, err
}

// SavePosition implements [hub.Positions]. A position is kept for 90 days.
func (e *Engine) SavePosition(ctx context.Context, channel, device string, p hub.Position) error {
	s, _, err := e.ready(ctx)
	if err != nil {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	subject := e.sub.device(channel, device)
	for {
		old, err := s.last(ctx, s.state, subject)
		if err != nil {
			return err
		}
		expect := uint64(0)
		if old != nil {
			if was, err := readPosition(old); err == nil && was.Epoch == p.Epoch && was.Offset >= p.Offset {
				return nil
			}
			expect = old.seq
		}
		if _, err = s.put(ctx, subject, data, putting{expect: &expect, ttl: deviceKept}); !errors.Is(err, errWrongLast) {
			return err
		}
	}
}

// Position implements [hub.Positions].
func (e *Engine) Position(ctx context.Context, channel, device string) (*hub.Position, error) {
	s, _, err := e.ready(ctx)
	if err != nil {
		return nil, err
	}
	i, err := s.last(ctx, s.state, e.sub.device(channel, device))
	if err != nil || i == nil {
		return nil, err
	}
	p, err := readPosition(i)
	return &p, err
}
