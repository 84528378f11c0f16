package auth

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A renewed session is warned and closed when its new credential expires.
func TestLiveRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := warning()
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
		if id, expires := c.Credential(); id != "second" || !expires.Equal(began.Add(10*time.Minute)) {
			t.Errorf("credential %q until %v", id, expires)
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
			t.Error("something is left")
		}
	})
}

// A credential that never expires takes the session out of the heap.
func TestLiveRenewForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := warning()
		c := live.open(t, time.Minute, 0)
		if err := c.Renew(&Identity{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if !c.closed.IsZero() {
			t.Error("it was closed")
		}
		c.End()
	})
}

// Revocations count for the new credential, not for the old one.
func TestLiveRenewRevoked(t *testing.T) {
	var live Live
	issued := time.Now()
	s := admitted(t, &live, Identity{Subject: "ann", ID: "first", Issued: issued})
	defer s.End()
	if err := s.Renew(&Identity{Subject: "bob"}); !errors.Is(err, ErrOtherSubject) {
		t.Errorf("another subject: %v", err)
	}
	if err := s.Renew(&Identity{Subject: "ann", ID: "second", Issued: issued}); err != nil {
		t.Fatal(err)
	}
	live.revoke(Revocation{ID: "first", At: time.Now()})
	if _, _, told := s.Told(); told {
		t.Error("closed for the old credential")
	}
	live.revoke(Revocation{ID: "third", At: time.Now()})
	if err := s.Renew(&Identity{Subject: "ann", ID: "third", Issued: issued}); !errors.Is(err, errRevoked) {
		t.Errorf("a revoked credential: %v", err)
	}
	live.revoke(Revocation{ID: "second", At: time.Now()})
	if code, reason, _ := s.Told(); code != CodeExpired || reason != ReasonRevoked {
		t.Errorf("%v %q", code, reason)
	}
}
