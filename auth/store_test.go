package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/watch"
)

// wantRefusal checks that err rejects a client with the given status, that a 401 contains the challenge, that a 429 and a 503
// contain a Retry-After, and that no secret is in the log or the response.
func wantRefusal(t *testing.T, err error, status int, challenge string, secrets ...string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status != status {
		t.Fatalf("error %v, want a refusal with %d", err, status)
	}
	if got := e.Header.Get("WWW-Authenticate"); status == http.StatusUnauthorized && got != challenge {
		t.Errorf("WWW-Authenticate: %q, want %q", got, challenge)
	}
	if busy := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; busy != (e.Header.Get("Retry-After") != "") {
		t.Errorf("status %d with Retry-After %q", status, e.Header.Get("Retry-After"))
	}
	text := fmt.Sprint(e, e.Reason, e.Header, fmt.Sprintf("%+v", e.Err))
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			t.Errorf("the error contains the secret %q: %s", s, text)
		}
	}
}

// brokenStore is a Store that always fails.
type brokenStore struct{ *MemoryStore }

var errBroken = errors.New("connection refused")

func (brokenStore) Put(context.Context, string, []byte, time.Duration) error { return errBroken }
func (brokenStore) Take(context.Context, string) ([]byte, error)             { return nil, errBroken }
func (brokenStore) Revoke(context.Context, Revocation) error                 { return errBroken }
func (brokenStore) Revoked(context.Context, *Identity) (bool, error)         { return false, errBroken }

func TestMemoryStoreForgetsValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := NewMemoryStore(MemoryStoreOptions{Max: 100}), t.Context()
		for i := range 100 {
			if err := s.Put(ctx, fmt.Sprint(i), []byte("v"), time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Put(ctx, "one more", []byte("v"), time.Minute); !errors.Is(err, ErrStoreFull) {
			t.Errorf("Put beyond Max: %v, want ErrStoreFull", err)
		}
		<-time.After(time.Minute)
		if v, err := s.Take(ctx, "7"); v != nil || err != nil {
			t.Errorf("Take after the TTL = %q, %v", v, err)
		}
		for _, key := range []string{"a", "b"} { // there is only space for the second one if expired values are removed
			if err := s.Put(ctx, key, []byte("v"), time.Minute); err != nil {
				t.Errorf("Put after the other values have expired: %v", err)
			}
		}
		if len(s.values) != 2 || s.bytes != 4 {
			t.Errorf("%d values with %d bytes are kept", len(s.values), s.bytes)
		}
	})
}

func TestMemoryStoreBoundsBytes(t *testing.T) {
	s := NewMemoryStore(MemoryStoreOptions{})
	large := make([]byte, memoryMaxBytes/4)
	var err error
	puts := 0
	for ; err == nil && puts < 10; puts++ {
		err = s.Put(t.Context(), fmt.Sprint(puts), large, time.Minute)
	}
	if !errors.Is(err, ErrStoreFull) || s.bytes > memoryMaxBytes {
		t.Errorf("after %d values of 16 MiB: %v, %d bytes", puts, err, s.bytes)
	}
	if err := s.Put(t.Context(), "0", large, time.Minute); err != nil {
		t.Errorf("replacing a value: %v", err)
	}
}

func TestMemoryStoreForgetsRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := NewMemoryStore(MemoryStoreOptions{TTL: time.Hour, Max: 2}), t.Context()
		ann := &Identity{Subject: "ann", Issued: time.Now().Add(-time.Minute)}
		for _, subject := range []string{"ann", "bob", "ann"} {
			if err := s.Revoke(ctx, Revocation{Subject: subject}); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
		}
		if err := s.Revoke(ctx, Revocation{Subject: "carl"}); !errors.Is(err, ErrStoreFull) {
			t.Errorf("Revoke beyond Max: %v, want ErrStoreFull", err)
		}
		var order []string
		for r := range s.Revocations() {
			order = append(order, r.Subject)
		}
		if !slices.Equal(order, []string{"bob", "ann"}) {
			t.Errorf("Revocations yields %q", order)
		}
		<-time.After(58 * time.Minute) // ann was revoked again two minutes after the first time
		if revoked, _ := s.Revoked(ctx, ann); !revoked {
			t.Error("the revocation of ann was forgotten too early")
		}
		<-time.After(2 * time.Minute)
		if revoked, _ := s.Revoked(ctx, ann); revoked || s.order.Len() != 0 || len(s.byName) != 0 {
			t.Errorf("after the TTL: revoked %v, %d kept", revoked, s.order.Len())
		}
	})
}

// A slow watcher misses nothing that is still stored, and nothing is queued for it. A watcher gets each revocation once.
func TestMemoryStoreWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewMemoryStore(MemoryStoreOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		go s.Watch(ctx, func(r Revocation) { seen = append(seen, r.ID) })
		for _, id := range []string{"1", "2", "3"} {
			if err := s.Revoke(ctx, Revocation{ID: id}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		if !slices.Equal(seen, []string{"1", "2", "3"}) {
			t.Errorf("the watcher saw %q", seen)
		}
	})
}

func TestMemoryStoreSlowWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewMemoryStore(MemoryStoreOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		go s.Watch(ctx, func(r Revocation) {
			seen = append(seen, r.Subject+r.ID)
			<-time.After(time.Second)
		})
		for i := range 100 {
			if err := s.Revoke(ctx, Revocation{Subject: "ann", At: time.Now().Add(time.Duration(i) * time.Second)}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := s.Revoke(ctx, Revocation{ID: "7"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		cancel()
		synctest.Wait()
		if !slices.Equal(seen, []string{"ann", "ann", "7"}) {
			t.Errorf("the watcher saw %q, want ann, the last of ann, 7", seen)
		}
	})
}

func TestMemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemo[int](3)
		asked := 0
		ask := func(user string, ttl time.Duration, err error) (int, error) {
			return m.do(t.Context(), m.digest(user), func() (int, time.Duration, error) {
				asked++
				return len(user), ttl, err
			})
		}
		want := func(total int, when string) {
			t.Helper()
			if asked != total {
				t.Errorf("%s: %d calls, want %d", when, asked, total)
			}
		}
		for range 3 {
			if v, err := ask("ann", time.Minute, nil); v != 3 || err != nil {
				t.Fatalf("ask = %d, %v", v, err)
			}
		}
		want(1, "the same again")
		<-time.After(time.Minute)
		ask("ann", time.Minute, nil)
		want(2, "after the TTL")
		ask("bob", 0, nil)
		ask("bob", time.Minute, errBroken)
		ask("bob", time.Minute, nil)
		want(5, "what must not be remembered")
		ask("carl", time.Minute, nil)
		ask("ann", time.Minute, nil) // the result for bob is now the least recently used
		ask("dora", time.Minute, nil)
		ask("ann", time.Minute, nil)
		want(7, "with room for three")
		ask("bob", time.Minute, nil)
		want(8, "the one that had to go")
		if m.len() != 3 || len(m.entries) != 3 || len(m.flights) != 0 {
			t.Errorf("%d remembered, %d in flight", m.len(), len(m.flights))
		}
		if m.digest("a", "bc") == m.digest("ab", "c") {
			t.Error("two keys have the same digest")
		}
	})
}

func TestMemoAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemo[string](10)
		first, leave := context.WithCancel(t.Context())
		asked := 0
		var wg sync.WaitGroup
		wg.Go(func() {
			v, err := m.do(first, m.digest("q"), func() (string, time.Duration, error) {
				asked++
				<-time.After(time.Second)
				return "yes", 0, nil
			})
			if v != "yes" || err != nil {
				t.Errorf("the first: %q, %v", v, err)
			}
		})
		synctest.Wait()
		for range 99 {
			wg.Go(func() {
				v, err := m.do(t.Context(), m.digest("q"), func() (string, time.Duration, error) { return "twice", 0, nil })
				if v != "yes" || err != nil {
					t.Errorf("ask = %q, %v", v, err)
				}
			})
		}
		gone, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, err := m.do(gone, m.digest("q"), nil); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that gave up: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		leave() // the others still wait for the response
		wg.Wait()
		if asked != 1 {
			t.Errorf("%d calls of answer", asked)
		}
	})
}

func TestMemoSurvivesPanic(t *testing.T) {
	m := newMemo[int](10)
	func() {
		defer func() { _ = recover() }()
		m.do(t.Context(), m.digest("q"), func() (int, time.Duration, error) { panic("broken") })
	}()
	v, err := m.do(t.Context(), m.digest("q"), func() (int, time.Duration, error) { return 7, 0, nil })
	if v != 7 || err != nil {
		t.Errorf("after a panic: %d, %v", v, err)
	}
}

func TestStoreFile(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"..1", "..2"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace := func(to, from string) {
		t.Helper()
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	// The layout of a secret that Kubernetes mounts: the path of the file leads through a link to a directory, and the link is
	// replaced.
	write("..1/keys", "one")
	write("..2/keys", "two")
	for link, to := range map[string]string{"..data": "..1", "next": "..2", "keys": "..data/keys"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var told []error
		f, err := openStoreFile(filepath.Join(dir, "keys"), func(_, text string) (string, error) {
			if strings.HasPrefix(text, "broken") {
				return "", errBroken
			}
			return text, nil
		}, func(err error) { told = append(told, err) })
		if err != nil {
			t.Fatal(err)
		}
		want := func(text string, errs int) {
			t.Helper()
			for range 3 {
				<-time.After(watch.CheckInterval)
				if got := f.load(); got != text || len(told) != errs {
					t.Fatalf("load() = %q, reported %v; want %q and %d errors", got, told, text, errs)
				}
			}
		}
		want("one", 0)
		replace("..data", "next")
		want("two", 0)
		write("new", "three")
		replace("keys", "new")
		want("three", 0)
		write("new", "broken")
		replace("keys", "new")
		want("three", 1)
		os.Remove(filepath.Join(dir, "keys"))
		want("three", 2)
		if err := f.reload(); err == nil {
			t.Error("reload without a file: no error")
		}
		write("keys", "four")
		want("four", 2)
		write("new", strings.Repeat("x", storeFileMax+1))
		replace("keys", "new")
		want("four", 3)
	})
}
