package redisengine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

// Lease implements [hub.Presence]. If the server no longer knows a lease that this node has acquired, the entries of the lease are
// lost, and the error is ErrLeaseEnded.
func (e *Engine) Lease(ctx context.Context, lease string, ttl time.Duration) error {
	e.mu.Lock()
	renew := ""
	if e.ownLeases[lease] {
		renew = "1"
	}
	e.mu.Unlock()
	err := e.leaseResult(e.run(ctx, "renewing a lease", leaseScript, lease, millis(roundUp(ttl)), renew))
	if err == nil && renew == "" {
		e.mu.Lock()
		e.ownLeases[lease] = true
		e.mu.Unlock()
	}
	return err
}

// leaseResult returns ErrLeaseEnded if the server replies that the lease has ended.
func (e *Engine) leaseResult(r rueidis.RedisResult, err error) error {
	if err != nil {
		return err
	}
	if n, err := r.AsInt64(); err != nil {
		return errAnswer
	} else if n == 0 {
		return hub.ErrLeaseEnded
	}
	return nil
}

// Release implements [hub.Presence].
func (e *Engine) Release(ctx context.Context, lease string) error {
	_, err := e.run(ctx, "releasing a lease", releaseScript, lease)
	e.mu.Lock()
	delete(e.ownLeases, lease)
	e.mu.Unlock()
	return err
}

// Put implements [hub.Presence].
func (e *Engine) Put(ctx context.Context, channel string, es ...hub.Entry) error {
	for len(es) > 0 {
		lease := es[0].Lease
		args := []string{channel, e.subs.topicOf(channel), lease}
		n := 0
		for ; n < len(es) && es[n].Lease == lease; n++ {
			gone := ""
			if es[n].Gone {
				gone = "1"
			}
			args = append(args, es[n].Client, fmt.Sprintf("%020d", es[n].Version), gone, rueidis.BinaryString(record.AppendEntries(nil, es[n])))
		}
		if err := e.leaseResult(e.run(ctx, "storing members", putScript, args...)); err != nil {
			return err
		}
		es = es[n:]
	}
	return nil
}

// maxPutEntries is the number of entries that one call reads.
const maxPutEntries = 64

// Entries implements [hub.Presence]. A cursor consists of a lease and the cursor of HSCAN in its entries. A page may slightly
// exceed its limits, because it includes all entries that the last HSCAN returned.
func (e *Engine) Entries(ctx context.Context, channel, cursor string, limit int) (es []hub.Entry, next string, err error) {
	r, err := e.run(ctx, "reading members", livingScript, channel)
	if err != nil {
		return nil, "", err
	}
	leases, err := r.AsStrSlice()
	if err != nil {
		return nil, "", errAnswer
	}
	if limit <= 0 {
		limit = 1000
	}
	from, scan, _ := strings.Cut(cursor, " ")
	at, _ := strconv.ParseUint(scan, 10, 64)
	bytes := 0
	seen := map[string]bool{} // HSCAN may return a field twice
	for i, lease := range leases {
		if lease < from {
			continue
		}
		if lease != from {
			at = 0
		}
		for {
			some, more, err := e.scan(ctx, channel, lease, at, min(limit, maxPutEntries))
			if err != nil {
				return nil, "", err
			}
			for _, x := range some {
				if k := x.Lease + " " + x.Client; !seen[k] {
					seen[k] = true
					bytes += x.Size()
					es = append(es, x)
				}
			}
			at = more
			full := len(es) >= limit || bytes >= hub.PageBytes
			switch {
			case at == 0 && i == len(leases)-1:
				return es, "", nil
			case at != 0 && full:
				return es, lease + " " + strconv.FormatUint(at, 10), nil
			case full:
				return es, leases[i+1] + " 0", nil
			}
			if at == 0 {
				break
			}
		}
	}
	return es, "", nil
}

// scan reads some of the entries of a lease.
func (e *Engine) scan(ctx context.Context, channel, lease string, at uint64, limit int) (es []hub.Entry, next uint64, err error) {
	r, err := e.do(ctx, "reading members", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return c.Do(ctx, c.B().Hscan().Key(e.subs.topicOf(channel)+":who:"+lease).Cursor(at).Count(int64(limit)).Build())
	})
	if err != nil {
		return nil, 0, err
	}
	page, err := r.AsScanEntry()
	if err != nil {
		return nil, 0, errAnswer
	}
	for i := 1; i < len(page.Elements); i += 2 {
		v := page.Elements[i]
		if len(v) < 20 {
			return nil, 0, errAnswer
		}
		some, err := record.Entries([]byte(v[20:]))
		if err != nil {
			return nil, 0, fmt.Errorf("redisengine: reading members: %w", err)
		}
		es = append(es, some...)
	}
	return es, page.Cursor, nil
}

// Claim implements [hub.Presence].
func (e *Engine) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	r, err := e.do(ctx, "claiming", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return c.Do(ctx, c.B().Set().Key(e.topic("claim:"+key)).Value("1").Nx().Px(roundUp(max(ttl, 1))).Build())
	})
	if err != nil {
		return false, err
	}
	return !rueidis.IsRedisNil(r.Error()), nil
}

// Occupy implements [hub.Occupancy].
func (e *Engine) Occupy(ctx context.Context, lease string, cs []hub.Occupied) error {
	for some := range slices.Chunk(cs, 500) {
		args := []string{lease}
		for _, c := range some {
			args = append(args, c.Channel, strconv.Itoa(c.Subscribers))
		}
		if err := e.leaseResult(e.run(ctx, "reporting subscribers", occupyScript, args...)); err != nil {
			return err
		}
	}
	return nil
}

// Occupied implements [hub.Occupancy]. A limit of 0 or less means all.
func (e *Engine) Occupied(ctx context.Context, prefix, after string, limit int) (cs []hub.Occupied, more bool, err error) {
	for {
		r, err := e.run(ctx, "reading the channels", occupiedScript, prefix, after, "200")
		if err != nil {
			return nil, false, err
		}
		parts, err := r.AsStrSlice()
		if err != nil || len(parts)%2 != 1 {
			return nil, false, errAnswer
		}
		for i := 1; i < len(parts); i += 2 {
			if limit > 0 && len(cs) == limit {
				return cs, true, nil
			}
			n, err := strconv.Atoi(parts[i+1])
			if err != nil {
				return nil, false, errAnswer
			}
			cs = append(cs, hub.Occupied{Channel: parts[i], Subscribers: n})
		}
		if after = parts[0]; after == "" {
			return cs, false, nil
		}
	}
}
