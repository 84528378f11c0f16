package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/auth"
)

const (
	blockTimeout    = time.Second            // maximum wait of one XREAD
	followRetryWait = 200 * time.Millisecond // pause before Redis is tried again
	maxBatch        = 500                    // maximum number of revocations of one read
	maxLog          = 100_000                // approximate maximum number of revocations in the stream
)

// revokeScript writes the time of a revocation, unless there is a later one, and adds it to the stream. Entries older than the TTL
// are removed from the stream, according to the clock of Redis, which also determines the IDs in the stream.
var revokeScript = rueidis.NewLuaScript(`
local at = redis.call('GET', KEYS[1])
if at and tonumber(at) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local oldest = tonumber(redis.call('TIME')[1]) * 1000 - tonumber(ARGV[2])
redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', ARGV[4])
redis.call('XADD', KEYS[2], 'MINID', '~', string.format('%d', math.max(oldest, 0)), '*', 'r', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1`)

// Revoke implements [auth.Store].
func (s *Store) Revoke(ctx context.Context, r auth.Revocation) error {
	r, err := r.Normal()
	if err != nil {
		return err
	}
	_, err = s.do(ctx, "revoking", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return s.write(ctx, c, r)
	})
	if err != nil {
		return err
	}
	s.remember(ctx, r)
	return nil
}

// write runs the script. r is normalized.
func (s *Store) write(ctx context.Context, c rueidis.Client, r auth.Revocation) rueidis.RedisResult {
	text, err := json.Marshal(r)
	if err != nil { // cannot happen: a Revocation contains only strings, and a time that JSON can represent
		panic(err)
	}
	return revokeScript.Exec(ctx, c, []string{s.revocationKey(r), s.logKey()}, []string{
		strconv.FormatInt(r.At.UnixMicro(), 10), strconv.FormatInt(s.o.TTL.Milliseconds(), 10), string(text), strconv.Itoa(maxLog)})
}

// remember stores r on this node. If there is no room, this node queries Redis about r, as it does about every revocation that it does
// not know.
func (s *Store) remember(ctx context.Context, r auth.Revocation) {
	if err := s.known.Revoke(ctx, r); err != nil && !errors.Is(err, auth.ErrStoreFull) {
		s.reportError(err)
	}
}

func (s *Store) reportError(err error) {
	if s.o.OnError != nil {
		s.o.OnError(err)
	}
}

// Revoked implements [auth.Store]. It does not query Redis about revocations that this node knows.
func (s *Store) Revoked(ctx context.Context, id *auth.Identity) (bool, error) {
	if known, err := s.known.Revoked(ctx, id); known || err != nil {
		return known, err
	}
	names := auth.Covering(id)
	keys := make([]string, len(names))
	for i, r := range names {
		keys[i] = s.revocationKey(r)
	}
	reply, err := s.do(ctx, "checking revocations", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return c.Do(ctx, c.B().Mget().Key(keys...).Build())
	})
	if err != nil {
		return false, err
	}
	times, err := reply.ToArray()
	if err != nil || len(times) != len(names) {
		return false, errors.New("redisstore: checking revocations: the reply has an unexpected form")
	}
	for i, r := range names {
		if times[i].IsNil() {
			continue
		}
		at, err := times[i].AsInt64()
		if err != nil {
			return false, fmt.Errorf("redisstore: a revocation has no valid time: %w", err)
		}
		if r.At = time.UnixMicro(at); r.Covers(id) {
			return true, nil
		}
	}
	return false, nil
}

// Watch implements [auth.Store]. It uses a separate connection.
func (s *Store) Watch(ctx context.Context, fn func(auth.Revocation)) {
	var last streamID
	lost := false
	for ctx.Err() == nil {
		err := s.follow(ctx, &last, fn, func() { lost = false; s.clearFailure(ctx) })
		if ctx.Err() != nil {
			return
		}
		if !lost {
			s.reportError(fmt.Errorf("redisstore: waiting for revocations: %w", err))
		}
		lost = true
		t := time.NewTimer(followRetryWait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// follow reads the stream after last until there is an error, and updates last. It calls onConnect when it has reached Redis.
func (s *Store) follow(ctx context.Context, last *streamID, fn func(auth.Revocation), onConnect func()) error {
	o := s.client
	o.AlwaysPipelining = false // a blocking read is limited by a deadline of its connection
	o.PipelineMultiplex = 0
	o.BlockingPoolSize = 1
	c, err := rueidis.NewClient(o)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)() // ends a blocking read
	if err := s.resume(ctx, c, last); err != nil {
		return err
	}
	onConnect()
	for {
		entries, err := s.read(ctx, c, *last)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if *last, err = parseStreamID(e.ID); err != nil {
				return err
			}
			var r auth.Revocation
			if err := json.Unmarshal([]byte(e.FieldValues["r"]), &r); err != nil || r.Subject == "" && r.ID == "" {
				s.reportError(errors.New("redisstore: an entry of the stream is not a revocation"))
				continue
			}
			s.remember(ctx, r)
			if ctx.Err() != nil {
				return nil
			}
			fn(r)
		}
	}
}

// resume makes sure that no new entry is missed, and that Redis contains the revocations that this node knows, because Redis may
// have lost its data.
func (s *Store) resume(ctx context.Context, c rueidis.Client, last *streamID) error {
	ctx, cancel := context.WithTimeout(ctx, 10*s.o.Timeout)
	defer cancel()
	newest, err := c.Do(ctx, c.B().Xrevrange().Key(s.logKey()).End("+").Start("-").Count(1).Build()).AsXRange()
	if err != nil && !rueidis.IsRedisNil(err) {
		return err
	}
	var at streamID
	if len(newest) > 0 {
		if at, err = parseStreamID(newest[0].ID); err != nil {
			return err
		}
	}
	if at.before(*last) {
		*last = streamID{} // the stream was recreated
	}
	for r := range s.known.Revocations() { // writing a revocation that Redis already contains has no effect
		if err := s.write(ctx, c, r).Error(); err != nil {
			return err
		}
	}
	return nil
}

// read waits for entries after last; it may return none.
func (s *Store) read(ctx context.Context, c rueidis.Client, last streamID) ([]rueidis.XRangeEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, blockTimeout+s.o.Timeout) // a Redis server that has vanished does not reply at all
	defer cancel()
	reply, err := c.Do(ctx, c.B().Xread().Count(maxBatch).Block(blockTimeout.Milliseconds()).Streams().Key(s.logKey()).
		Id(last.String()).Build()).AsXRead()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return reply[s.logKey()], err
}

// streamID is the ID of an entry in a stream: milliseconds and a number.
type streamID struct{ ms, seq uint64 }

func (i streamID) String() string {
	return strconv.FormatUint(i.ms, 10) + "-" + strconv.FormatUint(i.seq, 10)
}

func (i streamID) before(j streamID) bool { return i.ms < j.ms || i.ms == j.ms && i.seq < j.seq }

func parseStreamID(s string) (i streamID, err error) {
	if n, err := fmt.Sscanf(s, "%d-%d", &i.ms, &i.seq); n != 2 || err != nil {
		return i, errors.New("a stream ID is not two numbers")
	}
	return i, nil
}
