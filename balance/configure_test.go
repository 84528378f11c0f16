package balance

import (
	"testing"
	"time"
)

// A client that belongs to an upstream gets it while the upstream is ready.
func TestAcquireAt(t *testing.T) {
	now := time.Unix(1000, 0)
	p := NewPool(Options{})
	if err := p.Set(now, []Spec{{ID: "a", Capacity: 2}, {ID: "b"}}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false} {
		u, ok := p.AcquireAt(now, "a")
		if ok != want || ok && u.ID() != "a" {
			t.Errorf("%d: %v, %v", i, u, ok)
		}
		if u, ok := p.AcquireAt(now, "b"); !ok || u.ID() != "b" || u.Live() != i+1 {
			t.Errorf("%d: %v, %v", i, u, ok)
		}
	}
	if _, ok := p.AcquireAt(now, "c"); ok {
		t.Error("one that is not known")
	}
	p.Drain(now, "b", true)
	if _, ok := p.AcquireAt(now, "b"); ok {
		t.Error("one that drains")
	}
}

// Configure changes the policy and the number of probes for a verdict, and keeps all other state.
func TestConfigure(t *testing.T) {
	now := time.Unix(1000, 0)
	p := NewPool(Options{Policy: LeastConnections()})
	if err := p.Set(now, []Spec{{ID: "a"}, {ID: "b"}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p.AcquireAt(now, "a")
	}
	p.Drain(now, "b", true)
	p.Configure(now, Options{Policy: RoundRobin(), Fall: 1})
	s := p.Status(now)
	if s[0].Live != 3 || s[1].State != Draining {
		t.Errorf("%+v", s)
	}
	p.Drain(now, "b", false)
	seen := map[string]int{}
	for range 4 {
		u, err := p.Acquire(now, "")
		if err != nil {
			t.Fatal(err)
		}
		seen[u.ID()]++
	}
	if seen["a"] != 2 || seen["b"] != 2 {
		t.Errorf("round robin: %v", seen)
	}
	p.Probe(now, "a", nil)
	if !p.Probe(now, "a", ErrNone) || p.Status(now)[0].State != Down {
		t.Error("one failed probe is not enough")
	}
	p.Configure(now, Options{})
	if u, err := p.Acquire(now, ""); err != nil || u.ID() != "b" {
		t.Errorf("%v, %v", u, err)
	}
}
