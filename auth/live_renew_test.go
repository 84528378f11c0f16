package auth

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket"
)

// A renewed session is warned and closed when its new credential expires.
func TestLiveRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := newWarningLive()
		began := time.Now()
		c := live.open(t, time.Minute, 30*time.Second)
		<-time.After(40 * time.Second)
		synctest.Wait()
		if c.warned.Sub(began) != 30*time.Second {
			t.Errorf("warned after %v", c.warned.Sub(began))
		}
		if err := c.Renew(&Identity{ID: "second", Expires: began.Add(10 * time.Minute)}); err != nil {
			t.Fatal(err)
		}
		if who := c.Who(); who.ID != "second" || !who.Expires.Equal(began.Add(10*time.Minute)) {
			t.Errorf("credential %q until %v", who.ID, who.Expires)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if c.warned.Sub(began) != 10*time.Minute-30*time.Second || c.closed.Sub(began) != 10*time.Minute {
			t.Errorf("warned after %v, closed after %v", c.warned.Sub(began), c.closed.Sub(began))
		}
		if err := c.Renew(&Identity{Expires: time.Now().Add(time.Hour)}); !errors.Is(err, ErrSessionClosed) {
			t.Errorf("a closed session: %v", err)
		}
		c.End()
		if len(live.expiring) != 0 {
			t.Error("the Live still contains the session")
		}
	})
}

// A renewal with less time than the warning, or with the same credential, does not warn immediately: otherwise a client that
// answers each warning would renew continuously.
func TestLiveRenewShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			life time.Duration // lifetime of each new credential; 0 if the expiry does not change
			min  int64
			max  int64
			code websocket.Code
		}{
			{8 * time.Second, 14, 16, 0},
			{0, 1, 40, CodeExpired},
		} {
			var renewals atomic.Int64
			began := time.Now()
			live := &Live{Expiring: func(h Handle, _ time.Duration) {
				if renewals.Add(1) > 100 {
					return
				}
				expires := began.Add(8 * time.Second)
				if test.life != 0 {
					expires = time.Now().Add(test.life)
				}
				_ = h.(*timedSession).Renew(&Identity{Expires: expires}) // the last renewals may come too late, and fail
			}}
			c := live.open(t, 8*time.Second, 30*time.Second)
			<-time.After(time.Minute)
			synctest.Wait()
			if n := renewals.Load(); n < test.min || n > test.max || c.code != test.code {
				t.Errorf("credentials for %v: %d renewals in a minute, closed with %d", test.life, n, c.code)
			}
			c.End()
		}
	})
}

// A credential that never expires removes the session from the heap.
func TestLiveRenewForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := newWarningLive()
		c := live.open(t, time.Minute, 0)
		if err := c.Renew(&Identity{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if !c.closed.IsZero() {
			t.Error("the session was closed")
		}
		c.End()
	})
}

// Revocations apply to the new credential, not to the old one.
func TestLiveRenewRevoked(t *testing.T) {
	var live Live
	issued := time.Now()
	s := admit(t, &live, Identity{Subject: "ann", ID: "first", Issued: issued})
	defer s.End()
	if err := s.Renew(&Identity{Subject: "bob"}); !errors.Is(err, ErrOtherSubject) {
		t.Errorf("another subject: %v", err)
	}
	if err := s.Renew(&Identity{Subject: "ann", ID: "second", Issued: issued}); err != nil {
		t.Fatal(err)
	}
	if old := live.sessions(byCredential, "first"); len(old) != 0 {
		t.Errorf("%d sessions are still found by the old credential", len(old))
	}
	live.revoke(Revocation{ID: "first", At: time.Now()})
	if _, _, told := s.Told(); told {
		t.Error("closed for the old credential")
	}
	live.revoke(Revocation{ID: "third", At: time.Now()})
	if err := s.Renew(&Identity{Subject: "ann", ID: "third", Issued: issued}); !errors.Is(err, ErrRevoked) {
		t.Errorf("a revoked credential: %v", err)
	}
	live.revoke(Revocation{ID: "second", At: time.Now()})
	if code, reason, _ := s.Told(); code != CodeExpired || reason != ReasonRevoked {
		t.Errorf("%v %q", code, reason)
	}
}

// A session that gets another subject is found, and revoked, by that subject, and no longer by the previous one.
func TestLiveBecome(t *testing.T) {
	live := Live{}
	issued := time.Now().Add(-time.Minute)
	s := admit(t, &live, Identity{Subject: "anonymous", Method: "anonymous"})
	defer s.End()
	live.revoke(Revocation{Subject: "bob", At: time.Now()})
	if err := s.Become(&Identity{Subject: "bob", Method: "jwt", Issued: issued}); !errors.Is(err, ErrRevoked) {
		t.Errorf("a revoked credential: %v", err)
	}
	if who := s.Who(); who.Subject != "anonymous" {
		t.Errorf("after an error the identity is %+v", who)
	}
	if err := s.Become(&Identity{Subject: "ann", Method: "jwt", ID: "first", Issued: issued}); err != nil {
		t.Fatal(err)
	}
	if who := s.Who(); who.Subject != "ann" || who.Method != "jwt" || who.ID != "first" || !who.Issued.Equal(issued) {
		t.Errorf("%+v", who)
	}
	if len(live.Sessions("anonymous")) != 0 || len(live.Sessions("ann")) != 1 {
		t.Error("the session is not found by its subject")
	}
	live.revoke(Revocation{Subject: "anonymous", At: time.Now()})
	if _, _, told := s.Told(); told {
		t.Error("closed by a revocation of its previous subject")
	}
	live.revoke(Revocation{Subject: "ann", At: time.Now()})
	if code, _, told := s.Told(); !told || code != CodeExpired {
		t.Errorf("revoked, and closed with %v", code)
	}
	if err := s.Become(&Identity{Subject: "carl"}); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("a closed session: %v", err)
	}
}
