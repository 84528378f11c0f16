package auth

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
)

// who lets in whoever says a name, as issued at a time.
type who struct{ issued time.Time }

func (w who) Authenticate(r *http.Request) (*Identity, error) {
	return &Identity{Subject: r.Header.Get("X-Name"), Method: "test", ID: r.Header.Get("X-Id"), Issued: w.issued}, nil
}
func (who) Challenge() string { return "" }

func TestLive(t *testing.T) {
	store := NewMemoryStore(MemoryStoreOptions{})
	live := NewLive(store)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { live.Run(ctx) })
	defer running.Wait()
	defer cancel()
	// By a clock that is a little ahead.
	url, _ := guarded(t, &Guard{Authenticator: who{time.Now().Add(2 * time.Second)}, Live: live})
	open := func(name, id string) *websocket.Conn {
		t.Helper()
		c, _, err := visit(t, url, nil, "X-Name", name, "X-Id", id)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	closed := func(c *websocket.Conn) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := c.Read(ctx)
		if e, ok := errors.AsType[*websocket.CloseError](err); !ok || e.Code != CodeExpired || e.Reason != "the credential is revoked" {
			t.Errorf("%v, want closed with %d", err, CodeExpired)
		}
	}
	ann, annTwo, bob, carl := open("ann", "1"), open("ann", "2"), open("bob", "3"), open("carl", "4")
	if live.Len() != 4 {
		t.Errorf("%d are open", live.Len())
	}
	if err := store.Revoke(t.Context(), Revocation{ID: "3", At: time.Now().Add(3 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	closed(bob)
	if err := store.Revoke(t.Context(), Revocation{Subject: "ann", At: time.Now().Add(3 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	closed(ann)
	closed(annTwo)
	if err := carl.Write(t.Context(), websocket.Message{Type: websocket.Text, Data: []byte("still here")}); err != nil {
		t.Errorf("another: %v", err)
	}
	// It was revoked while it was being opened.
	closed(open("ann", "5"))
}

func TestLiveClocks(t *testing.T) {
	live := NewLive(NewMemoryStore(MemoryStoreOptions{}))
	now := time.Now()
	for _, tt := range []struct {
		name       string
		at, issued time.Duration // from now
		want       bool
	}{
		{"issued before", -time.Hour, -2 * time.Hour, true},
		{"issued long after", -time.Hour, -time.Minute, false},
		{"the other clock is behind", -3 * time.Second, -2 * time.Second, true},
		{"the other clock is ahead", 3 * time.Second, -time.Second, true},
		{"issued after, and the revocation is no news", -10 * time.Second, -2 * time.Second, false},
	} {
		c := &websocket.Conn{}
		live.conns = map[*websocket.Conn]*Identity{c: {Subject: "ann", Issued: now.Add(tt.issued)}}
		if got := len(live.covered(Revocation{Subject: "ann", At: now.Add(tt.at)})) == 1; got != tt.want {
			t.Errorf("%s: covered %v, want %v", tt.name, got, tt.want)
		}
		if len(live.covered(Revocation{Subject: "bob", At: now.Add(tt.at)})) != 0 {
			t.Errorf("%s: another is covered", tt.name)
		}
	}
}

// Nobody knows whether a credential still holds: its connection does not stay.
func TestLiveFailsClosed(t *testing.T) {
	url, _ := guarded(t, &Guard{Authenticator: who{}, Live: NewLive(brokenStore{})})
	c, _, err := visit(t, url, nil, "X-Name", "ann")
	if err == nil {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = c.Read(ctx)
	}
	if e, ok := errors.AsType[*websocket.CloseError](err); !ok || e.Code != CodeExpired {
		t.Errorf("%v, want closed with %d", err, CodeExpired)
	}
}
