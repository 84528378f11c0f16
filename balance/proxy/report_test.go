package proxy

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
)

// A state is reported once, and so is the end of a drain.
func TestReporter(t *testing.T) {
	status := func(id string, state balance.State, live int) balance.Status {
		return balance.Status{ID: id, State: state, Live: live, Why: "because"}
	}
	r := reporter{}
	for i, step := range []struct {
		servers []balance.Status
		want    []Change
	}{
		{[]balance.Status{status("a", balance.Ready, 0)}, []Change{{"a", balance.Ready, "because", 0, false}}},
		{[]balance.Status{status("a", balance.Ready, 3)}, nil},
		{[]balance.Status{status("a", balance.Full, 4)}, nil},
		{[]balance.Status{status("a", balance.Ready, 0)}, nil},
		{[]balance.Status{status("a", balance.Draining, 2)}, []Change{{"a", balance.Draining, "because", 2, false}}},
		{[]balance.Status{status("a", balance.Draining, 1)}, nil},
		{[]balance.Status{status("a", balance.Draining, 0)}, []Change{{"a", balance.Draining, "because", 0, true}}},
		{[]balance.Status{status("a", balance.Draining, 0)}, nil},
		{[]balance.Status{status("a", balance.Down, 0), status("b", balance.Ready, 0)}, []Change{{"a", balance.Down, "because", 0, false}, {"b", balance.Ready, "because", 0, false}}},
		{[]balance.Status{status("a", balance.Down, 0), status("b", balance.Removed, 1)}, []Change{{"b", balance.Removed, "because", 1, false}}},
		{[]balance.Status{status("a", balance.Down, 0)}, []Change{{Server: "b", State: balance.Removed, Emptied: true}}},
		{nil, []Change{{Server: "a", State: balance.Removed}}},
		{nil, nil},
	} {
		var got []Change
		r.update(step.servers, func(c Change) { got = append(got, c) })
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d: got %+v, want %+v", i, got, step.want)
		}
	}
}

// The hook gets every change of a state, whatever its cause.
func TestChanges(t *testing.T) {
	changes := make(chan Change, 100)
	b := New(Settings{Pool: balance.Options{Fall: 1, Rise: 1, Ejection: balance.Ejection{Failures: 1}}}, Hooks{Changed: func(c Change) { changes <- c }})
	defer b.Close()
	const one, two = "ws://127.0.0.1:1", "ws://127.0.0.1:2"
	next := func(do error, id string, state balance.State, why string) {
		t.Helper()
		if do != nil {
			t.Fatal(do)
		}
		if c := bounded.Receive(t, changes); c.Server != id || c.State != state || c.Why != why {
			t.Errorf("got %+v, want %s %s %q", c, id, state, why)
		}
	}
	next(b.SetServers("test", []balance.Spec{{ID: one}, {ID: two}}), one, balance.Ready, "")
	next(nil, two, balance.Ready, "")
	next(b.Drain(one, 0), one, balance.Draining, "by the operator")
	next(b.Undrain(one), one, balance.Ready, "")
	b.probed(time.Now(), one, Health{Check: CheckTCP}, true, errors.New("no"))
	next(nil, one, balance.Down, "no")
	if err := b.Drain(one, 0); err != nil { // the end of this drain is not visible before the server is up again
		t.Fatal(err)
	}
	b.probed(time.Now(), one, Health{Check: CheckHTTP}, true, errDraining)
	next(nil, one, balance.Draining, "by the operator")
	b.probed(time.Now(), one, Health{Check: CheckHTTP}, true, nil)
	next(b.Undrain(one), one, balance.Ready, "")
	next(b.SetServers("test", []balance.Spec{{ID: two}}), one, balance.Removed, "")
}
