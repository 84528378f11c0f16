package proxy

import (
	"slices"
	"testing"
)

// A rebalance takes the connections in their order and leaves those that are to stay; a drain takes all.
func TestMovable(t *testing.T) {
	m := members{by: map[string]*group{"a": {live: map[*Conn]struct{}{}}}}
	for i := range uint64(6) {
		c := &Conn{number: i, stays: i == 2}
		c.moved.Store(i == 4)
		m.by["a"].live[c] = struct{}{}
	}
	numbers := func(list []*Conn) (n []uint64) {
		for _, c := range list {
			n = append(n, c.number)
		}
		return n
	}
	list, leaving := m.movable("a", false)
	if got := numbers(list); !slices.Equal(got, []uint64{0, 1, 3, 5}) || leaving != 1 {
		t.Errorf("rebalance: %v, %d leave", got, leaving)
	}
	list, leaving = m.movable("a", true)
	got := numbers(list)
	slices.Sort(got)
	if !slices.Equal(got, []uint64{0, 1, 2, 3, 5}) || leaving != 1 {
		t.Errorf("drain: %v, %d leave", got, leaving)
	}
	if list, leaving := m.movable("b", true); list != nil || leaving != 0 {
		t.Errorf("a server without connections: %v, %d", list, leaving)
	}
}
