//go:build linux

package fanout

import (
	"testing"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
)

// A returning client sends its position after the greeting. Received messages are counted once; duplicates are counted separately.
func TestStormReceived(t *testing.T) {
	clients, err := load.NewClients(1, "127.0.0.1:1", "/", "")
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Close()
	w := &storm{p: &Handfast, clients: clients, subscribers: make([]subscriber, 1), waiting: 1, after: 5, due: 3}
	w.opened(0)
	for _, text := range []string{
		`{"type":"welcome"}`, `{"type":"subscribed","position":{"epoch":"e","offset":7}}`, stamped(1, 6, 0) + "\n" + stamped(1, 7, 0),
		stamped(1, 7, 0), stamped(1, 5, 0),
	} {
		if err := w.received(0, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if w.due != 1 || w.twice != 1 || w.waiting != 0 || w.subscribers[0].position != `{"epoch":"e","offset":7}` {
		t.Errorf("%d due, %d twice, %d waiting, %+v", w.due, w.twice, w.waiting, w.subscribers[0])
	}
	if err := w.received(0, []byte(`{"type":"error"}`)); err == nil {
		t.Error("no error")
	}
}

// The result of several storms consists of the minimum times and the sums of the errors.
func TestStormLeast(t *testing.T) {
	a := Storm{Took: 3 * time.Second, CPU: 5, Clients: 1, Late: 1, Missed: 2, Twice: 3}
	b := Storm{Took: 2 * time.Second, CPU: 6, Clients: 2, Late: 10, Missed: 20, Twice: 30}
	if got := (Storm{}).Least(a); got != a {
		t.Errorf("%+v", got)
	}
	if got, want := a.Least(b), (Storm{Took: 2 * time.Second, CPU: 5, Clients: 1, Late: 11, Missed: 22, Twice: 33}); got != want {
		t.Errorf("%+v", got)
	}
}
