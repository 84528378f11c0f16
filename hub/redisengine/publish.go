package redisengine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

const (
	pageSize  = 500     // the number of publications that one call reads; see also pageBytes
	maxOffset = 1 << 53 // the largest number that a Lua script represents exactly
)

// pageBytes is the size at which a script ends its reply.
var pageBytes = strconv.Itoa(hub.PageBytes)

var errAnswer = errors.New("redisengine: the reply has an unexpected form")

// Publish implements [hub.Engine].
func (e *Engine) Publish(ctx context.Context, channel string, p *hub.Publication, o hub.PublishOptions) (hub.Published, error) {
	text := rueidis.BinaryString(record.AppendPublication(nil, p))
	topic := e.subs.topicOf(channel)
	if o.History <= 0 && p.ID == "" && p.Key == "" && o.Expect == nil {
		_, err := e.do(ctx, "publishing", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
			head := "p0 " + strconv.FormatInt(time.Now().UnixMilli(), 10) + " \n"
			return c.Do(ctx, publishing(c, e.find.clustered.Load(), topic, head+text))
		})
		return hub.Published{}, err
	}
	expect, removed, removal := "", "", ""
	if o.Expect != nil {
		expect = strconv.FormatUint(*o.Expect, 10)
	}
	if p.Removed {
		removed = "1"
	}
	if o.KeyTTL > 0 {
		removal = rueidis.BinaryString(record.AppendPublication(nil, &hub.Publication{Key: p.Key, Removed: true, Event: p.Event}))
	}
	r, err := e.run(ctx, "publishing", publishScript, channel, topic, text, newEpoch(), millis(epochTTL),
		strconv.Itoa(max(o.History, 0)), millis(roundUp(o.HistoryAge)), p.ID, millis(hub.Idempotency), expect,
		p.Key, removed, millis(roundUp(o.KeyTTL)), removal)
	if err != nil {
		return hub.Published{}, err
	}
	return parsePublished(r)
}

// PublishAll implements [hub.Batch].
func (e *Engine) PublishAll(ctx context.Context, channel string, ps []*hub.Publication, o hub.PublishOptions) (hub.Position, error) {
	args := []string{channel, e.subs.topicOf(channel), newEpoch(), millis(epochTTL), strconv.Itoa(o.History), millis(roundUp(o.HistoryAge)),
		strconv.FormatUint(*o.Expect, 10)}
	for _, p := range ps {
		args = append(args, rueidis.BinaryString(record.AppendPublication(nil, p)))
	}
	r, err := e.run(ctx, "publishing", publishAllScript, args...)
	if err != nil {
		return hub.Position{}, err
	}
	done, err := parsePublished(r)
	return done.Position, err
}

// parsePublished parses the reply of a script that publishes.
func parsePublished(r rueidis.RedisResult) (hub.Published, error) {
	parts, err := r.ToArray()
	if err != nil || len(parts) != 2 {
		return hub.Published{}, errAnswer
	}
	what, err := parts[0].AsInt64()
	if err != nil {
		return hub.Published{}, errAnswer
	}
	at, _ := parts[1].ToString()
	done := hub.Published{Duplicate: what == 1}
	if done.Position, err = parsePosition(at); err != nil {
		return hub.Published{}, err
	}
	if what == 2 {
		return done, hub.ErrConflict
	}
	return done, nil
}

// roundUp rounds a nonzero duration up to the resolution of the server.
func roundUp(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return max(d, time.Millisecond)
}

// parsePosition parses "OFFSET EPOCH".
func parsePosition(text string) (p hub.Position, err error) {
	offset, epoch, _ := strings.Cut(text, " ")
	p.Epoch = epoch
	if p.Offset, err = strconv.ParseUint(offset, 10, 64); err != nil {
		return hub.Position{}, errAnswer
	}
	return p, nil
}

// History implements [hub.History].
func (e *Engine) History(ctx context.Context, channel string, q hub.HistoryQuery) (page hub.HistoryPage, err error) {
	now := time.Now()
	since, end, room := q.Since, uint64(math.MaxUint64), hub.NewRoom(q.Bytes)
	for first := true; ; first = false {
		want := pageSize
		if q.Limit >= 0 {
			want = min(want, q.Limit-len(page.Publications))
		}
		part, more, err := e.historyPart(ctx, channel, since, want, q.Reverse)
		if err != nil {
			return hub.HistoryPage{}, err
		}
		switch {
		case first:
			page.Top, page.Err, end = part.Top, part.Err, part.Top.Offset
		case part.Err != nil: // the history was lost, or is trimmed faster than it is read
			return hub.HistoryPage{Top: part.Top, Err: part.Err}, nil //nolint:nilerr // the error is returned in the page
		}
		var last uint64
		for _, p := range part.Publications {
			if last = p.Offset; last > end || p.Expired(now) {
				continue
			}
			if !room.Take(p.Size()) {
				return page, nil
			}
			page.Publications = append(page.Publications, p)
		}
		if !more || len(page.Publications) == q.Limit || last >= end && !q.Reverse || last <= 1 && q.Reverse {
			return page, nil
		}
		since = &hub.Position{Epoch: part.Top.Epoch, Offset: last}
	}
}

// historyPart makes one call. more reports whether there may be further publications, because page has limit publications or has
// reached hub.PageBytes.
func (e *Engine) historyPart(ctx context.Context, channel string, since *hub.Position, limit int, reverse bool) (page hub.HistoryPage, more bool, err error) {
	offset, epoch, back := "", "", ""
	if since != nil {
		offset, epoch = strconv.FormatUint(min(since.Offset, maxOffset), 10), since.Epoch
	}
	if reverse {
		back = "1"
	}
	r, err := e.run(ctx, "reading a history", historyScript, channel, newEpoch(), millis(epochTTL), offset, epoch, strconv.Itoa(limit), back, pageBytes)
	if err != nil {
		return page, false, err
	}
	parts, err := r.AsStrSlice()
	if err != nil || len(parts) < 3 || len(parts)%3 != 0 {
		return page, false, errAnswer
	}
	if page.Top, err = parsePosition(parts[1] + " " + parts[0]); err != nil {
		return page, false, err
	}
	switch parts[2] {
	case "epoch":
		page.Err = hub.ErrNewEpoch
	case "old":
		page.Err = hub.ErrTooOld
	}
	bytes := 0
	for i := 3; i < len(parts); i += 3 {
		bytes += len(parts[i+2])
		p, err := parsePublication(parts[i], parts[i+1], page.Top.Epoch, parts[i+2])
		if err != nil {
			return page, false, fmt.Errorf("redisengine: reading a history: %w", err)
		}
		page.Publications = append(page.Publications, p)
	}
	return page, len(page.Publications) == limit && limit > 0 || bytes >= hub.PageBytes, nil
}

// Trim implements [hub.History].
func (e *Engine) Trim(ctx context.Context, channel string, through uint64) error {
	_, err := e.do(ctx, "trimming a history", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		key := e.subs.topicOf(channel) + ":log"
		return c.Do(ctx, c.B().Xtrim().Key(key).Minid().Threshold(strconv.FormatUint(min(through, maxOffset)+1, 10)+"-0").Build())
	})
	return err
}

// Snapshot implements [hub.Keyed]. It sorts the publications by key. A limit of 0 or less means 1,000.
func (e *Engine) Snapshot(ctx context.Context, channel, cursor string, limit int) (ps []*hub.Publication, next string, top hub.Position, err error) {
	if limit <= 0 {
		limit = 1000
	}
	r, err := e.run(ctx, "reading a collection", snapshotScript, channel, newEpoch(), millis(epochTTL), cursor, strconv.Itoa(limit), pageBytes)
	if err != nil {
		return nil, "", top, err
	}
	parts, err := r.AsStrSlice()
	if err != nil || len(parts) < 3 {
		return nil, "", top, errAnswer
	}
	if top, err = parsePosition(parts[1] + " " + parts[0]); err != nil {
		return nil, "", top, err
	}
	for _, text := range parts[3:] {
		p, err := parseMessage(text)
		if err != nil {
			return nil, "", top, fmt.Errorf("redisengine: reading a collection: %w", err)
		}
		ps = append(ps, p)
	}
	return ps, parts[2], top, nil
}

// Broadcast implements [hub.Broadcast].
func (e *Engine) Broadcast(ctx context.Context, c hub.Command) error {
	_, err := e.run(ctx, "sending a command", broadcastScript, rueidis.BinaryString(record.AppendCommand(nil, &c)))
	return err
}

// Probe implements [hub.Probe].
func (e *Engine) Probe(ctx context.Context) error {
	token, back := newEpoch(), make(chan struct{})
	e.mu.Lock()
	e.probes[token] = back
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.probes, token)
		e.mu.Unlock()
	}()
	_, err := e.do(ctx, "probing", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return c.Do(ctx, publishing(c, e.find.clustered.Load(), e.topic("node:"+e.id), token))
	})
	if err != nil {
		return err
	}
	select {
	case <-back:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redisengine: probing: %w", ctx.Err())
	}
}

// SavePosition implements [hub.Positions]. The positions of a channel are kept for [hub.PositionKept] after the last of them was
// saved.
func (e *Engine) SavePosition(ctx context.Context, channel, device string, p hub.Position) error {
	_, err := e.run(ctx, "saving a position", saveScript, channel, device, p.Epoch, fmt.Sprintf("%020d", p.Offset), millis(hub.PositionKept))
	return err
}

// Position implements [hub.Positions].
func (e *Engine) Position(ctx context.Context, channel, device string) (*hub.Position, error) {
	r, err := e.do(ctx, "reading a position", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return c.Do(ctx, c.B().Hget().Key(e.subs.topicOf(channel)+":read").Field(device).Build())
	})
	if err != nil {
		return nil, err
	}
	text, err := r.ToString()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, errAnswer
	}
	p, err := parsePosition(text)
	return &p, err
}
