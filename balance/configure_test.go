package balance

import (
	"testing"
	"time"
)

// AcquireAt chooses the named upstream while that upstream is ready.
func TestAcquireAt(t *testing.T) {
	now := time.Unix(1000, 0)
	p := NewPool(Options{})
	if err := p.Set(now, []Spec{{ID: "a", Capacity: 2}, {ID: "b"}}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false} {
		u, ok := p.AcquireAt(now, "a")
		if ok != want || ok && u.ID() != "a" {
			t.Errorf("AcquireAt(a), call %d: got %v, %v, want %v", i+1, u, ok, want)
		}
		if u, ok := p.AcquireAt(now, "b"); !ok || u.ID() != "b" || u.Live() != i+1 {
			t.Errorf("AcquireAt(b), call %d: got %v, %v, want b with %d connections", i+1, u, ok, i+1)
		}
	}
	if _, ok := p.AcquireAt(now, "c"); ok {
		t.Error("AcquireAt returned an unknown upstream")
	}
	p.Drain(now, "b", true)
	if _, ok := p.AcquireAt(now, "b"); ok {
		t.Error("AcquireAt returned a draining upstream")
	}
}

// OthersReady reports whether an upstream other than the given one accepts connections.
func TestOthersReady(t *testing.T) {
	p := newListedPool(t, Options{}, Spec{ID: "a", Capacity: 1}, Spec{ID: "b"})
	a, b := p.byID["a"], p.byID["b"]
	ready := func(when string, besideA, besideB bool) {
		t.Helper()
		if gotA, gotB := p.OthersReady(start, a), p.OthersReady(start, b); gotA != besideA || gotB != besideB {
			t.Errorf("%s: got %v for a and %v for b, want %v and %v", when, gotA, gotB, besideA, besideB)
		}
	}
	ready("both ready", true, true)
	p.AcquireAt(start, "a")
	ready("a full", true, false)
	p.Drain(start, "b", true)
	ready("a full, b draining", false, false)
	p.Release(start, a)
	ready("b draining", false, true)
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
		t.Errorf("got %+v, want 3 connections at a and b draining", s)
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
		t.Errorf("round robin: got %v, want 2 connections each", seen)
	}
	p.Probe(now, "a", nil)
	if !p.Probe(now, "a", ErrNone) || p.Status(now)[0].State != Down {
		t.Error("Fall is 1, but one failed probe did not make the upstream down")
	}
	p.Configure(now, Options{})
	if u, err := p.Acquire(now, ""); err != nil || u.ID() != "b" {
		t.Errorf("got %v, %v, want b", u, err)
	}
}
