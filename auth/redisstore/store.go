package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/internal/redisurl"
)

// Options configure a [Store]. Zero and negative times mean the defaults in the comments.
type Options struct {
	// URL is redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss:// with TLS, or unix://PATH. It must be one server, not a cluster,
	// with Redis 6.2 or newer, or a compatible server. It must not evict keys to free memory (maxmemory-policy noeviction), because
	// an evicted revocation has no effect. Unknown parameters are an error.
	URL string

	// Username and Password, if not empty, replace those of the URL. TLS, if not nil, replaces the default settings of rediss://.
	Username, Password string
	TLS                *tls.Config

	// Prefix is the prefix of every key, so that several services can share a Redis; "" means handfast.
	Prefix string

	// TTL is how long a revocation is kept; 0 means auth.RevocationTTL. No credential should live longer.
	TTL time.Duration

	// Timeout limits every call in addition to its context; 0 means 2 s.
	Timeout time.Duration

	// OnError, if not nil, is called when Watch has lost the connection to Redis, and not again until Watch has reconnected.
	OnError func(error)
}

// Store is an [auth.Store] in Redis. Redis need not be reachable when the Store is made: while Redis is unreachable, calls fail and
// Watch waits. A Store remembers the revocations that it has written or read. They remain effective while Redis is unreachable, and
// are written again if Redis has lost its data.
type Store struct {
	o      Options
	client rueidis.ClientOption
	known  *auth.MemoryStore // the revocations that this node has written or read

	// sem is held by the goroutine that uses the fields below.
	sem     chan struct{}
	conn    rueidis.Client // nil until Redis is reached for the first time
	failed  time.Time      // time of the last failed attempt to connect
	failure error
	closed  bool
}

const (
	// redialAfter is the pause between attempts to reach Redis for the first time.
	redialAfter = 250 * time.Millisecond
	bufferSize  = 16 << 10 // in bytes, for each connection and direction
)

var errClosed = errors.New("redisstore: the store is closed")

// New returns a Store. It does not connect to Redis, and returns an error only for invalid options.
func New(o Options) (*Store, error) {
	c, err := redisurl.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	if o.Username != "" || o.Password != "" {
		c.Username, c.Password = o.Username, o.Password
	}
	if o.TLS != nil {
		c.TLSConfig = o.TLS
	}
	if o.Prefix == "" {
		o.Prefix = "handfast"
	}
	if o.TTL <= 0 {
		o.TTL = auth.RevocationTTL
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	c.Dialer = net.Dialer{Timeout: o.Timeout, KeepAlive: time.Second}
	c.ConnWriteTimeout = o.Timeout
	c.ClientName = "handfast"
	c.ForceSingleClient = true
	c.DisableCache = true
	c.DisableRetry = true     // a caller is waiting: an immediate error is better
	c.AlwaysPipelining = true // keeps a reader on every connection, which notices the end of the connection before the next call
	c.PipelineMultiplex = 1   // two connections
	c.RingScaleEachConn = 8
	c.ReadBufferEachConn, c.WriteBufferEachConn = bufferSize, bufferSize
	c.BlockingPoolSize = 4
	return &Store{o: o, client: c, known: auth.NewMemoryStore(auth.MemoryStoreOptions{TTL: o.TTL}),
		sem: make(chan struct{}, 1)}, nil
}

// Close closes the connections that calls share. The caller must first end every Watch by canceling its context.
func (s *Store) Close() error {
	s.sem <- struct{}{}
	defer func() { <-s.sem }()
	s.closed = true
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	return nil
}

// dial returns the client that calls share. It is created when Redis is reached for the first time.
func (s *Store) dial(ctx context.Context) (rueidis.Client, error) {
	select {
	case s.sem <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.sem }()
	switch {
	case s.closed:
		return nil, errClosed
	case s.conn != nil:
		return s.conn, nil
	case s.failure != nil && time.Since(s.failed) < redialAfter:
		return nil, s.failure
	}
	conn, err := rueidis.NewClient(s.client)
	if err != nil {
		s.failure, s.failed = fmt.Errorf("redisstore: reaching Redis: %w", err), time.Now()
		return nil, s.failure
	}
	s.conn = conn
	return conn, nil
}

// clearFailure lets calls connect again without a pause, because Redis is reachable.
func (s *Store) clearFailure(ctx context.Context) {
	select {
	case s.sem <- struct{}{}:
		s.failure = nil
		<-s.sem
	case <-ctx.Done():
	}
}

// do runs one command with the client that calls share. Errors contain what, the description of the operation.
func (s *Store) do(ctx context.Context, what string,
	run func(context.Context, rueidis.Client) rueidis.RedisResult) (rueidis.RedisResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	c, err := s.dial(ctx)
	if err != nil {
		return rueidis.RedisResult{}, err
	}
	r := run(ctx, c)
	if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
		return r, fmt.Errorf("redisstore: %s: %w", what, err)
	}
	return r, nil
}

// Put implements [auth.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := s.do(ctx, "storing a value", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return c.Do(ctx, c.B().Set().Key(s.valueKey(key)).Value(rueidis.BinaryString(value)).Px(max(ttl, time.Millisecond)).Build())
	})
	return err
}

// Take implements [auth.Store]. GETDEL is atomic, so that only one node gets the value.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) {
	r, err := s.do(ctx, "taking a value", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return c.Do(ctx, c.B().Getdel().Key(s.valueKey(key)).Build())
	})
	if err != nil {
		return nil, err
	}
	value, err := r.AsBytes()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err == nil && value == nil {
		value = []byte{}
	}
	return value, err
}

func (s *Store) valueKey(key string) string { return s.o.Prefix + ":value:" + key }

// logKey is the stream of all revocations.
func (s *Store) logKey() string { return s.o.Prefix + ":revoked:log" }

// revocationKey is the key for the time of a revocation. Revocations with different subjects or IDs have different keys.
func (s *Store) revocationKey(r auth.Revocation) string {
	prefix := s.o.Prefix + ":revoked:"
	switch {
	case r.ID == "":
		return prefix + "subject:" + r.Subject
	case r.Subject == "":
		return prefix + "id:" + r.ID
	}
	return prefix + "both:" + strconv.Itoa(len(r.Subject)) + ":" + r.Subject + ":" + r.ID
}
