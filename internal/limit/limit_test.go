package limit

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

func TestRFC9110_10_2_3_RetryAfter(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2", time.Minute: "60"} {
		if got := RetryAfter(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestKey(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":          "192.0.2.1/32",
		"::ffff:192.0.2.1":   "192.0.2.1/32",
		"2001:db8:1:2:3::4":  "2001:db8:1:2::/64",
		"2001:db8:1:2:ff::1": "2001:db8:1:2::/64",
		"fe80::1%eth0":       "fe80::/64",
	} {
		if got := Key(netip.MustParseAddr(in)); got.String() != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := Key(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: %v", got)
	}
}

func TestRate(t *testing.T) {
	var l Rate
	now := time.Unix(1000, 0)
	a, b := Key(netip.MustParseAddr("192.0.2.1")), Key(netip.MustParseAddr("192.0.2.2"))
	for i := range 3 {
		if ok, wait := l.Allow(a, now, 2, 3); !ok || wait != 0 {
			t.Fatalf("token %d of the burst: %v, %v", i, ok, wait)
		}
	}
	if ok, wait := l.Allow(a, now, 2, 3); ok || wait != 500*time.Millisecond {
		t.Errorf("beyond the burst: %v, %v", ok, wait)
	}
	if ok, _ := l.Allow(b, now, 2, 3); !ok {
		t.Error("another address shares the first one's bucket")
	}
	if ok, wait := l.Allow(a, now.Add(500*time.Millisecond-1), 2, 3); ok || wait != 1 {
		t.Errorf("a nanosecond before the next token: %v, %v", ok, wait)
	}
	if ok, _ := l.Allow(a, now.Add(500*time.Millisecond), 2, 3); !ok {
		t.Error("no token after the wait")
	}
	if ok, _ := l.Allow(a, now.Add(500*time.Millisecond), 2, 3); ok {
		t.Error("two tokens after the wait for one")
	}
	later := now.Add(time.Hour)
	for range 3 {
		if ok, _ := l.Allow(a, later, 2, 3); !ok {
			t.Error("the bucket did not fill up again")
		}
	}
	if ok, _ := l.Allow(a, later, 2, 3); ok {
		t.Error("the bucket contains more than its size")
	}
	if ok, wait := l.Allow(a, later, 0, 0); !ok || wait != 0 {
		t.Error("a rate of 0 limits")
	}
	var none Rate
	if ok, _ := none.Allow(a, now, 0, 1); !ok || len(none.full) != 0 {
		t.Errorf("without a limit, entries are stored: %v", none.full)
	}
	var bucket Bucket
	if ok, wait := bucket.Allow(now, 0, 1); !ok || wait != 0 || bucket != (Bucket{}) {
		t.Errorf("a bucket without a limit: %v, %v, %+v", ok, wait, bucket)
	}
}

func TestRateIsBounded(t *testing.T) {
	var l Rate
	now := time.Unix(1000, 0)
	key := func(i int) netip.Prefix {
		return Key(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	for i := range maxKeys + 1000 {
		if ok, _ := l.Allow(key(i), now, 1, 1); !ok {
			t.Fatalf("address %d", i)
		}
	}
	if len(l.full) > maxKeys {
		t.Errorf("%d keys", len(l.full))
	}
	// After an hour all buckets are full again and can be removed.
	hour := now.Add(time.Hour)
	l.Allow(key(maxKeys*2), hour, 1, 1)
	if len(l.full) != maxKeys-maxExamined+1 {
		t.Errorf("%d keys when a call has looked at %d of %d", len(l.full), maxExamined, maxKeys)
	}
	for i := range 1000 {
		l.Allow(key(maxKeys*2+i), hour, 1, 1)
	}
	if len(l.full) > maxKeys {
		t.Errorf("%d keys after an hour", len(l.full))
	}
	for i := range 1000 {
		if ok, _ := l.Allow(key(maxKeys*2+i), hour, 1, 1); ok {
			t.Fatalf("address %d was forgotten", i)
		}
	}
}

func TestCount(t *testing.T) {
	var c Count[string]
	for i, tt := range []struct {
		key  string
		most int
		want bool
	}{{"a", 2, true}, {"a", 2, true}, {"a", 2, false}, {"b", 2, true}, {"a", 0, true}} {
		if got := c.Take(tt.key, tt.most); got != tt.want {
			t.Errorf("%d: %v", i, got)
		}
	}
	if c.Taken("a") != 3 {
		t.Errorf("%d taken", c.Taken("a"))
	}
	for range 3 {
		c.Free("a")
	}
	c.Free("b")
	if len(c.taken) != 0 || !c.Take("a", 1) {
		t.Errorf("keys without units are stored: %v", c.taken)
	}
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(2, 1, time.Second)
		for range 2 {
			if err := c.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		waiter := make(chan error, 1)
		go func() { waiter <- c.Begin(t.Context()) }()
		synctest.Wait()
		if err := c.Begin(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("beyond the queue: %v", err)
		}
		c.End()
		if err := <-waiter; err != nil || c.Running() != 2 {
			t.Errorf("the next call in the queue: %v, %d running", err, c.Running())
		}
		began := time.Now()
		if err := c.Begin(t.Context()); !errors.Is(err, ErrBusy) || time.Since(began) != time.Second {
			t.Errorf("after the wait: %v, %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Begin(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that went away: %v", err)
		}
		go func() { waiter <- c.Begin(t.Context()) }() // a call that gives up only releases its own place in the queue
		synctest.Wait()
		began = time.Now()
		if err := c.Begin(t.Context()); !errors.Is(err, ErrBusy) || time.Since(began) != 0 {
			t.Errorf("beyond the queue, again: %v after %v", err, time.Since(began))
		}
		if err := <-waiter; !errors.Is(err, ErrBusy) {
			t.Errorf("the call in the queue: %v", err)
		}
	})
}

// With a queue of 0 no call may wait; with a negative queue any number may.
func TestCallsQueue(t *testing.T) {
	for _, tt := range []struct {
		queue int
		want  time.Duration
	}{{0, 0}, {-1, time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			c := NewCalls(1, tt.queue, time.Second)
			if err := c.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			began, waited := time.Now(), make(chan time.Duration, 3)
			for range cap(waited) {
				go func() {
					if err := c.Begin(t.Context()); !errors.Is(err, ErrBusy) {
						t.Errorf("a queue of %d: %v", tt.queue, err)
					}
					waited <- time.Since(began)
				}()
			}
			for range cap(waited) {
				if got := <-waited; got != tt.want {
					t.Errorf("a queue of %d: waited %v, want %v", tt.queue, got, tt.want)
				}
			}
		})
	}
}
