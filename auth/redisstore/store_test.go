//go:build e2e

package redisstore

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

// node returns a store on a server, like that of one node of a service.
func node(t testing.TB, url string, o Options) *Store {
	t.Helper()
	o.URL = url
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// watch collects the revocations that a store reports. The goroutine exits when the test ends, before the store is closed.
func watch(t testing.TB, s auth.Store) <-chan auth.Revocation {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan auth.Revocation, 1000)
	var wg sync.WaitGroup
	wg.Go(func() { s.Watch(ctx, func(r auth.Revocation) { seen <- r }) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return seen
}

// wantRevocation waits for the revocation of a subject.
func wantRevocation(t testing.TB, seen <-chan auth.Revocation, subject string) {
	t.Helper()
	ctx := bounded.Context(t)
	for {
		select {
		case r := <-seen:
			if r.Subject == subject {
				return
			}
		case <-ctx.Done():
			t.Fatalf("no report of the revocation of %s", subject)
		}
	}
}

// Every store follows the contract of auth.Store: two nodes that share one see the same data.
func TestStores(t *testing.T) {
	redis := startRedis(t, false)
	memory := auth.NewMemoryStore(auth.MemoryStoreOptions{})
	for _, tt := range []struct {
		name string
		a, b auth.Store
	}{
		{"memory", memory, memory},
		{"redis", node(t, redis.URL(), Options{}), node(t, redis.URL(), Options{})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Run("a value is returned once", func(t *testing.T) { testTakenOnce(t, tt.a, tt.b) })
			t.Run("which credentials are revoked", func(t *testing.T) { testRevocation(t, tt.a, tt.b) })
			t.Run("every node is notified", func(t *testing.T) { testWatch(t, tt.a, tt.b) })
		})
	}
}

func testTakenOnce(t *testing.T, a, b auth.Store) {
	ctx := bounded.Context(t)
	value := []byte("who\x00\xff\r\n")
	if err := a.Put(ctx, "k", value, time.Minute); err != nil {
		t.Fatal(err)
	}
	var got atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			v, err := []auth.Store{a, b}[i%2].Take(ctx, "k")
			if err != nil {
				t.Error(err)
			}
			if v != nil {
				got.Add(1)
				if !bytes.Equal(v, value) {
					t.Errorf("Take returns %q", v)
				}
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d of 50 calls returned the value, want 1", got.Load())
	}
	if v, err := a.Take(ctx, "never put"); v != nil || err != nil {
		t.Errorf("Take of a missing key = %q, %v", v, err)
	}
}

func testRevocation(t *testing.T, a, b auth.Store) {
	ctx := bounded.Context(t)
	at := time.Now().Truncate(time.Microsecond)
	for _, r := range []auth.Revocation{
		{Subject: "ann", At: at},
		{Subject: "ann", At: at.Add(-time.Hour)}, // earlier than the revocation above, so it changes nothing
		{ID: "token-7", At: at},
		{Subject: "bob", ID: "9", At: at},
		{Subject: "b", ID: "ob9", At: at.Add(-time.Hour)}, // the key must not collide with that of bob and 9
	} {
		if err := a.Revoke(ctx, r); err != nil {
			t.Fatalf("Revoke(%+v): %v", r, err)
		}
	}
	if err := a.Revoke(ctx, auth.Revocation{}); err == nil {
		t.Error("Revoke without a subject: no error")
	}
	before, after := at.Add(-time.Minute), at.Add(time.Minute)
	for _, tt := range []struct {
		id   auth.Identity
		want bool
	}{
		{auth.Identity{Subject: "ann", Issued: before}, true},
		{auth.Identity{Subject: "ann", ID: "x", Issued: at}, true},
		{auth.Identity{Subject: "ann"}, true},
		{auth.Identity{Subject: "ann", Issued: after}, false},
		{auth.Identity{Subject: "carl", ID: "token-7", Issued: before}, true},
		{auth.Identity{Subject: "carl", ID: "token-8", Issued: before}, false},
		{auth.Identity{Subject: "bob", Issued: before}, false},
		{auth.Identity{Subject: "bob", ID: "9", Issued: before}, true},
		{auth.Identity{Subject: "eve", ID: "9", Issued: before}, false},
		{auth.Identity{Subject: "b", ID: "ob9", Issued: at.Add(-time.Second)}, false},
	} {
		for i, s := range []auth.Store{a, b} {
			got, err := s.Revoked(ctx, &tt.id)
			if got != tt.want || err != nil {
				t.Errorf("node %d: Revoked(%+v) = %v, %v, want %v", i, tt.id, got, err, tt.want)
			}
		}
	}
}

func testWatch(t *testing.T, a, b auth.Store) {
	ctx := bounded.Context(t)
	if err := a.Revoke(ctx, auth.Revocation{Subject: "early"}); err != nil {
		t.Fatal(err)
	}
	seen := []<-chan auth.Revocation{watch(t, a), watch(t, b), watch(t, b)}
	for _, c := range seen {
		wantRevocation(t, c, "early")
	}
	for i, by := range []auth.Store{a, b} {
		subject := fmt.Sprintf("late-%d", i)
		if err := by.Revoke(ctx, auth.Revocation{Subject: subject}); err != nil {
			t.Fatal(err)
		}
		for _, c := range seen {
			wantRevocation(t, c, subject)
		}
	}
}

// A node that was disconnected catches up when Redis is back, whether or not Redis has kept its data. Until then, the
// revocations that the node knows remain effective.
func TestRestart(t *testing.T) {
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprintf("data kept %v", keep), func(t *testing.T) {
			redis := startRedis(t, keep)
			ctx := bounded.Context(t)
			lost := make(chan error, 10)
			a := node(t, redis.URL(), Options{OnError: func(err error) { lost <- err }})
			b := node(t, redis.URL(), Options{})
			seenA := watch(t, a)
			if err := b.Revoke(ctx, auth.Revocation{Subject: "before"}); err != nil {
				t.Fatal(err)
			}
			wantRevocation(t, seenA, "before")

			redis.Stop()
			if err := bounded.Receive(t, lost); strings.Contains(err.Error(), redistest.Password) {
				t.Errorf("the error contains the password: %v", err)
			}
			before := &auth.Identity{Subject: "before", Issued: time.Now().Add(-time.Hour)}
			if revoked, err := a.Revoked(ctx, before); !revoked || err != nil {
				t.Errorf("without Redis: Revoked of a known revocation = %v, %v", revoked, err)
			}
			if _, err := a.Revoked(ctx, &auth.Identity{Subject: "other"}); err == nil {
				t.Error("without Redis: Revoked of an unknown revocation: no error")
			}
			redis.Restart()
			// A third node was not connected before, and gets the revocations that node a has written to Redis again.
			c := node(t, redis.URL(), Options{})
			wantRevocation(t, watch(t, c), "before")
			if revoked, err := c.Revoked(ctx, before); !revoked || err != nil {
				t.Errorf("a new node: Revoked = %v, %v", revoked, err)
			}
			if err := c.Revoke(ctx, auth.Revocation{Subject: "after"}); err != nil {
				t.Fatal(err)
			}
			wantRevocation(t, seenA, "after")
			if err := a.Put(ctx, "k", []byte("v"), time.Minute); err != nil {
				t.Errorf("Put after the restart: %v", err)
			}
		})
	}
}

// A service that starts without Redis rejects clients, and admits them once Redis is reachable.
func TestRedisComesLater(t *testing.T) {
	redis := startRedis(t, false)
	redis.Stop()
	s := node(t, redis.URL(), Options{})
	seen := watch(t, s)
	if _, err := s.Revoked(bounded.Context(t), &auth.Identity{Subject: "ann"}); err == nil {
		t.Fatal("no Redis: Revoked has no error")
	}
	redis.Restart()
	if err := node(t, redis.URL(), Options{}).Revoke(bounded.Context(t), auth.Revocation{Subject: "ann"}); err != nil {
		t.Fatal(err)
	}
	wantRevocation(t, seen, "ann")
	if revoked, err := s.Revoked(bounded.Context(t), &auth.Identity{Subject: "bea"}); revoked || err != nil {
		t.Fatalf("with Redis: Revoked = %v, %v", revoked, err)
	}
}

// A Redis that accepts connections without responding costs a caller only its timeout, and a Watch returns when its context is
// done.
func TestRedisIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := node(t, "redis://"+l.Addr().String(), Options{Timeout: 100 * time.Millisecond})
	if err := s.Revoke(t.Context(), auth.Revocation{Subject: "ann"}); err == nil {
		t.Error("Revoke: no error")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	s.Watch(ctx, func(auth.Revocation) { t.Error("Watch reports a revocation that was never made") })
}

// All keys expire, and none contains secrets that the caller did not put there.
func TestKeysExpire(t *testing.T) {
	redis := startRedis(t, false)
	s := node(t, redis.URL(), Options{TTL: time.Hour, Prefix: "svc"})
	ctx := bounded.Context(t)
	for i := range 20 {
		if err := s.Revoke(ctx, auth.Revocation{Subject: "ann", At: time.Now().Add(time.Duration(i) * time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(ctx, "k", []byte("v"), time.Minute); err != nil {
		t.Fatal(err)
	}
	o, err := rueidis.ParseURL(redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	o.DisableCache = true
	c, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	keys, err := c.Do(ctx, c.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil || len(keys) != 3 {
		t.Fatalf("keys = %q, %v; want a value, a revocation and the stream", keys, err)
	}
	for _, key := range keys {
		ms, err := c.Do(ctx, c.B().Pttl().Key(key).Build()).AsInt64()
		if err != nil || ms <= 0 || ms > time.Hour.Milliseconds() {
			t.Errorf("%s lives for %d ms, %v", key, ms, err)
		}
		if !strings.HasPrefix(key, "svc:") {
			t.Errorf("the key %s does not have the prefix", key)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, url := range []string{"", "http://localhost", "redis://:s3cret%zz@localhost", "redis://:s3cret@localhost/x"} {
		_, err := New(Options{URL: url})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("New(%q): %v; want an error without the password", url, err)
		}
	}
	redis := startRedis(t, false)
	s := node(t, redis.URL(), Options{Username: "default", Password: "wr0ng-passw0rd"})
	err := s.Put(bounded.Context(t), "k", nil, time.Minute)
	if err == nil || strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), redistest.Password) {
		t.Errorf("a wrong password: %v; want an error without it", err)
	}
	s.Close()
	if err := s.Put(bounded.Context(t), "k", nil, time.Minute); err == nil {
		t.Error("Put after Close: no error")
	}
}
