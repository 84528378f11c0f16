package proxy

import (
	"errors"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
)

// What the admission of handshakes measures is the servers' own time: a handshake that waits for a place is not with a server, and one
// that never gets a place shows nothing about them.
func TestAdmissionMeasuresServers(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	tried := make(chan Attempt, 4)
	b := New(Settings{MaxWaiting: 1, Wait: time.Minute}, Hooks{Tried: func(a Attempt) { tried <- a }})
	t.Cleanup(func() { b.Close() })
	if err := b.SetServers("test", []balance.Spec{{ID: "ws://" + up.addr, Capacity: 1}}); err != nil {
		t.Fatal(err)
	}
	first := open(t, b)
	took := bounded.Receive(t, tried).Took
	second := make(chan *Conn, 1)
	go func() {
		c, err := b.Open(bounded.Context(t), opening(t))
		if err != nil {
			t.Error(err)
		}
		second <- c
	}()
	bounded.Until(t, func() bool { return b.Status().Waiting == 1 })
	if s := b.Status().Storm; s.Underway != 0 || s.Took != took {
		t.Errorf("while one waits: %+v, want %v in total", s, took)
	}
	if _, err := b.Open(bounded.Context(t), opening(t)); !errors.Is(err, balance.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if s := b.Status().Storm; s.Underway != 0 || s.Took != took {
		t.Errorf("after one that got no place: %+v, want %v in total", s, took)
	}
	first.Abandon()
	if c := bounded.Receive(t, second); c != nil {
		defer c.Abandon()
	}
	took += bounded.Receive(t, tried).Took
	if s := b.Status().Storm; s.Limited || s.Underway != 0 || s.Took != took {
		t.Errorf("at the end: %+v, want %v in total", s, took)
	}
}
