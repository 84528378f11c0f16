package natsengine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

const (
	removalRecordTTL = time.Minute // how long the removal of an entry or count is stored
	entriesPage      = 1000
	maxPutBatch      = 256

	conflictPause = time.Millisecond // the delay before the conflicting message is read, which may not be stored yet
)

// write is one of several messages that are stored together.
type write struct {
	subject string
	data    []byte
	putOptions
}

// putAll stores messages. wrong contains the indexes of the messages whose subject had another last message than expected.
func (s *store) putAll(ctx context.Context, ws []write) (seqs []uint64, wrong []int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errTimeout)
	defer cancel()
	seqs = make([]uint64, len(ws))
	for from := 0; from < len(ws); from += maxPutBatch {
		some := ws[from:min(from+maxPutBatch, len(ws))]
		again, err := s.putBatch(ctx, some, seqs[from:], &wrong, from)
		if err != nil {
			return nil, nil, err
		}
		for _, i := range again {
			w := &ws[from+i]
			a, err := s.put(ctx, w.subject, w.data, w.putOptions)
			switch {
			case errors.Is(err, errWrongLast):
				wrong = append(wrong, from+i)
			case err != nil:
				return nil, nil, err
			}
			seqs[from+i] = a.Seq
		}
	}
	return seqs, wrong, nil
}

// putBatch sends messages and then waits for the replies. again contains the indexes of the messages that must be sent again.
func (s *store) putBatch(ctx context.Context, some []write, seqs []uint64, wrong *[]int, from int) (again []int, err error) {
	answers := make([]<-chan *nats.Msg, len(some))
	for i := range some {
		w := &some[i]
		c, done, err := s.send(&nats.Msg{Subject: w.subject, Header: w.headers(), Data: w.data}, 1)
		if err != nil {
			return nil, err
		}
		defer done()
		answers[i] = c
	}
	short, cancel := context.WithTimeoutCause(ctx, retryInterval, errTimeout)
	defer cancel()
	for i, c := range answers {
		m, err := receive(short, c)
		var a ack
		if err == nil {
			a, err = readAck(m)
		}
		switch {
		case errors.Is(err, errWrongLast):
			*wrong = append(*wrong, from+i)
		case ctx.Err() == nil && temporary(err) && !errors.Is(err, errDisconnected):
			again = append(again, i)
		case err != nil:
			return nil, err
		}
		seqs[i] = a.Seq
	}
	return again, nil
}

// entry returns the subject of an entry.
func (s subjects) entry(channel string, x *hub.Entry) string {
	return s.state("e", channelTokens(channel)+"."+token(x.Lease)+"."+token(x.Client))
}

// Put implements [hub.Presence]. Each entry is stored on the condition that the stored entry has not changed since the comparison.
func (e *Engine) Put(ctx context.Context, channel string, es ...hub.Entry) error {
	return e.call(ctx, func(s *store, _ string) error { return putChecked(ctx, e, s, channel, es) })
}

// putChecked stores entries if their leases have not ended, and delivers the stored ones to all nodes.
func putChecked(ctx context.Context, e *Engine, s *store, channel string, es []hub.Entry) error {
	held := map[string]bool{}
	for _, x := range es {
		if !held[x.Lease] {
			if err := e.leases.checkHeld(ctx, s, x.Lease); err != nil {
				return err
			}
			held[x.Lease] = true
		}
	}
	stored, err := e.putEntries(ctx, s, channel, es)
	if err != nil || len(es) == 0 {
		return err
	}
	for name := range held {
		if over, _ := e.leases.state(name); over {
			e.leases.removeData(ctx, s, name)
			return hub.ErrLeaseEnded
		}
	}
	if len(stored) == 0 {
		return nil
	}
	return sendError(s.nc.Publish(e.sub.live(channel), record.AppendEntries(nil, stored...)))
}

// putEntries stores the entries whose version is larger than that of the stored entry, and returns them.
func (e *Engine) putEntries(ctx context.Context, s *store, channel string, es []hub.Entry) (stored []hub.Entry, err error) {
	for rest := es; len(rest) > 0; {
		ws := make([]write, 0, len(rest))
		todo := make([]hub.Entry, 0, len(rest))
		var later []hub.Entry
		there := map[string]bool{}
		for _, x := range rest {
			w := write{subject: e.sub.entry(channel, &x), data: record.AppendEntries(nil, x)}
			known := e.entries.get(w.subject)
			switch {
			case there[w.subject]: // an earlier entry of the same client must be stored first
				later = append(later, x)
				continue
			case x.Version < known.version:
				continue
			}
			there[w.subject] = true
			w.putOptions = putOptions{expect: &known.seq}
			if x.Gone {
				w.ttl = removalRecordTTL
			}
			ws, todo = append(ws, w), append(todo, x)
		}
		seqs, wrong, err := s.putAll(ctx, ws)
		if err != nil {
			return nil, err
		}
		if len(wrong) > 0 && !sleep(ctx, conflictPause) {
			return nil, ctx.Err()
		}
		for _, i := range wrong {
			newer, err := e.entries.compare(ctx, s, ws[i].subject, &todo[i])
			if err != nil {
				return nil, err
			}
			if newer {
				later = append(later, todo[i])
			}
		}
		for i, x := range todo {
			if !slices.Contains(wrong, i) {
				e.entries.set(ws[i].subject, seqs[i], x.Version)
				if x.Gone {
					e.entries.drop(ws[i].subject)
				}
				stored = append(stored, x)
			}
		}
		rest = later
	}
	return stored, nil
}

// compare reads the stored entry, and reports whether x is newer than that entry or the same. If x is the same, x is announced again.
func (e *entries) compare(ctx context.Context, s *store, subject string, x *hub.Entry) (newer bool, err error) {
	e.drop(subject)
	now, err := s.last(ctx, s.state, subject)
	if err != nil || now == nil {
		return err == nil, err
	}
	some, err := record.Entries(now.data)
	if err != nil || len(some) == 0 {
		some = []hub.Entry{{}} // an invalid entry is replaced
	}
	if some[0].Version <= x.Version || !some[0].Gone {
		e.set(subject, now.seq, some[0].Version)
	}
	return some[0].Version <= x.Version, nil
}

// entries are the stored entries that this node has put and not removed.
type entries struct {
	mu  sync.Mutex
	all map[string]storedEntry // by subject
}

type storedEntry struct{ seq, version uint64 }

// get returns the sequence and version of the entry stored under a subject; zero if unknown.
func (e *entries) get(subject string) storedEntry {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[subject]
}

func (e *entries) set(subject string, seq, version uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string]storedEntry{}
	}
	if seq > e.all[subject].seq { // otherwise another call has stored a later entry
		e.all[subject] = storedEntry{seq, version}
	}
}

func (e *entries) drop(subject string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.all, subject)
}

// forget forgets the entries of a lease.
func (e *entries) forget(lease string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for subject := range e.all {
		if parts := strings.Split(subject, "."); parts[len(parts)-2] == lease {
			delete(e.all, subject)
		}
	}
}

// Entries implements [hub.Presence]. The entries are in the order in which they were last put.
func (e *Engine) Entries(ctx context.Context, channel, cursor string, limit int) (es []hub.Entry, next string, err error) {
	err = e.call(ctx, func(s *store, _ string) (err error) {
		es, next, err = readEntries(ctx, e, s, channel, cursor, limit)
		return err
	})
	return es, next, err
}

func readEntries(ctx context.Context, e *Engine, s *store, channel, cursor string, limit int) (es []hub.Entry, next string, err error) {
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
				err := e.leases.checkHeld(ctx, s, x.Lease)
				if over = errors.Is(err, hub.ErrLeaseEnded); over {
					e.leases.removeData(ctx, s, x.Lease)
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

// current reads messages from a replica that does not lag behind the leader.
func (e *Engine) current(ctx context.Context, s *store, subject string, from uint64, n int) ([]item, uint64, error) {
	var top *item
	var err error
	if s.leader {
		if top, err = s.last(ctx, s.state, subject); err != nil || top == nil {
			return nil, 0, err
		}
	}
	for tries := 1; ; tries++ {
		items, more, err := s.batch(ctx, s.state, subject, from, n)
		if err != nil || !s.leader || more > 0 || top.seq < from || len(items) > 0 && items[len(items)-1].seq >= top.seq {
			return items, more, err
		}
		if tries > staleTries {
			return nil, 0, errTimeout
		}
		if !sleep(ctx, stalePause) {
			return nil, 0, ctx.Err()
		}
		if tries%10 == 0 { // the last message may have been removed
			if top, err = s.last(ctx, s.state, subject); err != nil || top == nil {
				return nil, 0, err
			}
		}
	}
}

// Claim implements [hub.Presence]. ttl is rounded up to whole seconds.
func (e *Engine) Claim(ctx context.Context, key string, ttl time.Duration) (first bool, err error) {
	own := rand.Text()
	err = e.call(ctx, func(s *store, _ string) (err error) {
		first, err = s.claim(ctx, e.sub.claim(key), own, ttl)
		return err
	})
	return first, err
}

// claim claims a subject for own. It succeeds again if own already holds the claim.
func (s *store) claim(ctx context.Context, subject, own string, ttl time.Duration) (first bool, err error) {
	zero := uint64(0)
	for {
		_, err = s.put(ctx, subject, []byte(own), putOptions{expect: &zero, ttl: ttl})
		if !errors.Is(err, errWrongLast) {
			return err == nil, err
		}
		now, err := s.last(ctx, s.state, subject) // the stored message may be this claim, if the reply was lost
		if err != nil || now != nil {
			return err == nil && string(now.data) == own, err
		}
		if !sleep(ctx, conflictPause) { // another claim is being stored, or has just expired
			return false, ctx.Err()
		}
	}
}

// readPosition decodes a saved position.
func readPosition(i *item) (p hub.Position, err error) {
	err = json.Unmarshal(i.data, &p)
	return p, err
}

// SavePosition implements [hub.Positions]. A position is kept for [hub.PositionKept].
func (e *Engine) SavePosition(ctx context.Context, channel, device string, p hub.Position) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	subject := e.sub.device(channel, device)
	return e.call(ctx, func(s *store, _ string) error { return s.savePosition(ctx, subject, p, data) })
}

func (s *store) savePosition(ctx context.Context, subject string, p hub.Position, data []byte) error {
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
		if _, err = s.put(ctx, subject, data, putOptions{expect: &expect, ttl: hub.PositionKept}); !errors.Is(err, errWrongLast) {
			return err
		}
	}
}

// Position implements [hub.Positions].
func (e *Engine) Position(ctx context.Context, channel, device string) (*hub.Position, error) {
	var i *item
	err := e.call(ctx, func(s *store, _ string) (err error) {
		i, err = s.last(ctx, s.state, e.sub.device(channel, device))
		return err
	})
	if err != nil || i == nil {
		return nil, err
	}
	p, err := readPosition(i)
	return &p, err
}
