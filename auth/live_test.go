package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// headerAuthenticator admits every client that sends a name, with a fixed time of issue.
type headerAuthenticator struct{ issued time.Time }

func (w headerAuthenticator) Authenticate(r *http.Request) (*Identity, error) {
	return &Identity{Subject: r.Header.Get("X-Name"), Method: "test", ID: r.Header.Get("X-Id"), Issued: w.issued}, nil
}
func (headerAuthenticator) Challenge() string { return "" }

func TestLive(t *testing.T) {
	store := NewMemoryStore(MemoryStoreOptions{})
	counted := make(chan int, 10)
	live := &Live{Store: store, Revoked: func(_ Revocation, n int) { counted <- n }}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { live.Run(ctx) })
	defer running.Wait()
	defer cancel()
	// The credentials are issued by a clock that is slightly ahead.
	url, _ := guarded(t, &Guard{Authenticator: headerAuthenticator{time.Now().Add(2 * time.Second)}, Live: live})
	open := func(name, id string) *websocket.Conn {
		t.Helper()
		c, _, err := dialAndRead(t, url, nil, "X-Name", name, "X-Id", id)
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
		if e, ok := errors.AsType[*websocket.CloseError](err); !ok || e.Code != CodeExpired || e.Reason != ReasonRevoked {
			t.Errorf("%v, want closed with %d", err, CodeExpired)
		}
	}
	ann, annTwo, bob, carl := open("ann", "1"), open("ann", "2"), open("bob", "3"), open("carl", "4")
	if n := len(live.Sessions("ann")); n != 2 {
		t.Errorf("%d are open", n)
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
	if err := carl.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("still here")}); err != nil {
		t.Errorf("another: %v", err)
	}
	if one, two := bounded.Receive(t, counted), bounded.Receive(t, counted); one != 1 || two != 2 {
		t.Errorf("%d and %d were closed", one, two)
	}
	if _, _, err := dialAndRead(t, url, nil, "X-Name", "ann", "X-Id", "5"); statusOfHandshake(err) != 401 {
		t.Errorf("a revoked credential: %v", err)
	}
}

// statusOfHandshake returns the status with which a handshake was refused.
func statusOfHandshake(err error) int {
	if e, ok := errors.AsType[*websocket.HandshakeError](err); ok {
		return e.Status
	}
	return 0
}

func TestLiveClocks(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name       string
		at, issued time.Duration // relative to now
		want       bool
	}{
		{"issued before", -time.Hour, -2 * time.Hour, true},
		{"issued long after", -time.Hour, -time.Minute, false},
		{"the other clock is behind", -3 * time.Second, -2 * time.Second, true},
		{"the other clock is ahead", 3 * time.Second, -time.Second, true},
		{"issued after, and the revocation is not new", -10 * time.Second, -2 * time.Second, false},
	} {
		var live Live
		ann := admit(t, &live, Identity{Subject: "ann", Issued: now.Add(tt.issued)})
		live.revoke(Revocation{Subject: "bob", At: now.Add(tt.at)})
		if _, _, ok := ann.Told(); ok {
			t.Errorf("%s: another credential is covered", tt.name)
		}
		live.revoke(Revocation{Subject: "ann", At: now.Add(tt.at)})
		if _, _, got := ann.Told(); got != tt.want {
			t.Errorf("%s: covered %v, want %v", tt.name, got, tt.want)
		}
	}
}

// While the Store cannot tell whether a credential is revoked, no client is admitted.
func TestLiveFailsClosed(t *testing.T) {
	url, _ := guarded(t, &Guard{Authenticator: headerAuthenticator{}, Live: &Live{Store: brokenStore{}}})
	if _, _, err := dialAndRead(t, url, nil, "X-Name", "ann"); statusOfHandshake(err) != 503 {
		t.Errorf("%v, want 503", err)
	}
}

// A handshake is refused if its credential was revoked between the check and the opening.
func TestLiveRecentRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live Live
		now := time.Now()
		live.revoke(Revocation{Subject: "alice", At: now})
		live.revoke(Revocation{ID: "token-7", At: now})
		for _, tt := range []struct {
			id      Identity
			refused bool
		}{
			{Identity{Subject: "alice", Issued: now.Add(-time.Minute)}, true},
			{Identity{Subject: "alice", Issued: now.Add(time.Minute)}, false},
			{Identity{Subject: "bob", ID: "token-7"}, true},
			{Identity{Subject: "bob", ID: "token-8"}, false},
		} {
			s := &Session{Identity: tt.id}
			if err := live.Admit(s); (err != nil) != tt.refused {
				t.Errorf("%+v: %v", tt.id, err)
			}
			if tt.refused && len(live.Sessions(tt.id.Subject)) > 1 {
				t.Errorf("%+v is still listed", tt.id)
			}
		}
		for range maxRecent + 10 {
			live.revoke(Revocation{Subject: "carol", At: now})
		}
		if len(live.recent) != maxRecent {
			t.Errorf("%d revocations are remembered", len(live.recent))
		}
		<-time.After(recentWindow)
		if err := live.Admit(&Session{Identity: Identity{Subject: "carol"}}); err == nil {
			t.Error("a revocation was forgotten too early")
		}
		<-time.After(1)
		if err := live.Admit(&Session{Identity: Identity{Subject: "carol"}}); err != nil || len(live.recent) != 0 {
			t.Errorf("%v, with %d remembered", err, len(live.recent))
		}
		if len(live.recentCounts) != 0 {
			t.Errorf("%d revocations are indexed", len(live.recentCounts))
		}
		later := Identity{Subject: "erin", ID: "token-9", Issued: now.Add(time.Second)}
		live.revoke(Revocation{Subject: "erin", ID: "token-9", At: now.Add(time.Minute)})
		live.revoke(Revocation{Subject: "erin", ID: "token-9", At: now}) // an earlier revocation that arrives later
		if err := live.Admit(&Session{Identity: later}); err == nil {
			t.Error("the latest revocation has no effect")
		}
		live.revoke(Revocation{Subject: "dave", At: now})
		<-time.After(recentWindow + 1)
		live.revoke(Revocation{Subject: "dave", At: now})
		if len(live.recent) != 1 {
			t.Errorf("%d revocations are remembered long after the first one", len(live.recent))
		}
	})
}

// Only the first close applies. If a session is closed before Open, then Open closes the connection.
func TestLiveClose(t *testing.T) {
	var live Live
	s := admit(t, &live, Identity{Subject: "ann"})
	if _, _, ok := s.Told(); ok || s.Handle() != nil {
		t.Error("a new session is closed")
	}
	if !s.Close(4000, "first") || s.Close(4001, "second") {
		t.Error("Close did not return true for the first call only")
	}
	var h recordingHandle
	if s.Open(&h) || h.closedWith != "4000 first" {
		t.Errorf("Open: %q", h.closedWith)
	}
	if code, reason, ok := s.Told(); code != 4000 || reason != "first" || !ok {
		t.Errorf("reported %d %q", code, reason)
	}

	s = admit(t, &live, Identity{Subject: "ann"})
	var other recordingHandle
	if !s.Open(&other) || s.Handle() != &other || other.closedWith != "" {
		t.Errorf("Open: %q", other.closedWith)
	}
	s.Close(4000, "first")
	s.Close(4001, "second")
	if other.closedWith != "4000 first" {
		t.Errorf("shut with %q", other.closedWith)
	}
}

// recordingHandle records how it is closed.
type recordingHandle struct{ closedWith string }

func (h *recordingHandle) Shut(code websocket.Code, reason string) error {
	h.closedWith += fmt.Sprintf("%d %s", code, reason)
	return nil
}

func (h *recordingHandle) CloseNow() error { return nil }

// admit returns an admitted session.
func admit(t *testing.T, l *Live, id Identity) *Session {
	t.Helper()
	s := &Session{Identity: id}
	if err := l.Admit(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// The lists of a subject and of a credential remain correct, whichever session ends first.
func TestLiveSessions(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		var live Live
		other := admit(t, &live, Identity{Subject: "bob"})
		var all []*Session
		for range 3 {
			all = append(all, admit(t, &live, Identity{Subject: "ann", ID: "1"}))
		}
		for i, n := range order {
			all[n].End()
			for k, list := range [][]*Session{live.Sessions("ann"), live.sessions(byCredential, "1")} {
				if len(list) != 2-i || slices.Contains(list, all[n]) {
					t.Errorf("%v: list %d has %d left after %d", order, k, len(list), i+1)
				}
			}
		}
		other.End()
		if len(live.first[bySubject]) != 0 || len(live.first[byCredential]) != 0 {
			t.Errorf("%v is left", live.first)
		}
	}
}

// Ending a session twice does not make other sessions of its subject unreachable.
func TestLiveEndTwice(t *testing.T) {
	l := &Live{}
	one, two := &Session{Identity: Identity{Subject: "ada"}}, &Session{Identity: Identity{Subject: "ada"}}
	for _, s := range []*Session{one, two} {
		if err := l.Admit(s); err != nil {
			t.Fatal(err)
		}
	}
	one.End()
	one.End()
	if got := l.Sessions("ada"); len(got) != 1 || got[0] != two {
		t.Errorf("got %v, want the session that has not ended", got)
	}
}
