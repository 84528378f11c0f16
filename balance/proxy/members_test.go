package proxy

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/websocket"
)

// Rebalancing takes the connections in order and leaves those that the server asks to keep; a drain takes all.
func TestMovable(t *testing.T) {
	m := members{byServer: map[string]*group{"a": {live: map[*Conn]struct{}{}}}}
	for i := range uint64(6) {
		c := &Conn{number: i}
		c.stays.Store(i == 2)
		c.moved.Store(i == 4)
		m.byServer["a"].live[c] = struct{}{}
	}
	numbers := func(list []*Conn) (n []uint64) {
		for _, c := range list {
			n = append(n, c.number)
		}
		return n
	}
	list, leaving := m.movable("a", false)
	if got := numbers(list); !slices.Equal(got, []uint64{0, 1, 3, 5}) || leaving != 1 {
		t.Errorf("rebalance: got %v, %d leaving, want 0, 1, 3, 5 and 1", got, leaving)
	}
	list, leaving = m.movable("a", true)
	got := numbers(list)
	slices.Sort(got)
	if !slices.Equal(got, []uint64{0, 1, 2, 3, 5}) || leaving != 1 {
		t.Errorf("drain: got %v, %d leaving, want 0, 1, 2, 3, 5 and 1", got, leaving)
	}
	if list, leaving := m.movable("b", true); list != nil || leaving != 0 {
		t.Errorf("server without connections: got %v, %d, want none", list, leaving)
	}
}

// A drain can begin with any connection; rebalancing begins with the newest or the oldest.
func TestPick(t *testing.T) {
	const n = 8
	var drawn [n]int
	for range 1000 {
		drawn[pick(n, true, true)]++
		if i := pick(n, false, false); i != n-1 {
			t.Fatalf("rebalance: got connection %d first, want %d", i, n-1)
		}
		if i := pick(n, false, true); i != 0 {
			t.Fatalf("rebalance, oldest first: got connection %d first, want 0", i)
		}
	}
	for i, times := range drawn {
		if times == 0 {
			t.Errorf("no drain of 1000 began with connection %d: %v", i, drawn)
		}
	}
}

// fakeCarriage is a carriage with fixed traffic.
type fakeCarriage struct{ n int64 }

func (p fakeCarriage) Shut(websocket.Code, string) error { return nil }
func (p fakeCarriage) CloseNow() error                   { return nil }
func (p fakeCarriage) traffic() Traffic {
	return Traffic{FromClients: p.n, FromServer: 2 * p.n, MessagesFromClients: 3, MessagesFromServer: 4}
}

// connectionOf returns a connection to a server, with some traffic.
func connectionOf(t *testing.T, id string, bytes int64) *Conn {
	t.Helper()
	p := balance.NewPool(balance.Options{})
	if err := p.Set(time.Now(), []balance.Spec{{ID: id}}); err != nil {
		t.Fatal(err)
	}
	u, err := p.Acquire(time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	c := new(Conn)
	c.server.Store(u)
	by := carriage(fakeCarriage{bytes})
	c.carried.Store(&by)
	return c
}

// Traffic is counted while a connection is open and afterwards, and closed connections are counted by close code, for at most
// maxCodes different codes.
func TestCounts(t *testing.T) {
	m := members{byServer: map[string]*group{}}
	if n := m.counts("ws://a"); !reflect.DeepEqual(n, Counts{}) {
		t.Errorf("unknown server: got %+v, want no counts", n)
	}
	one, two := connectionOf(t, "ws://a", 10), connectionOf(t, "ws://a", 100)
	m.add(one)
	m.add(two)
	m.failed("ws://a")
	m.resumed(one)
	want := Counts{Opened: 2, Failed: 1, Resumed: 1, Traffic: Traffic{110, 220, 6, 8}}
	if n := m.counts("ws://a"); !reflect.DeepEqual(n, want) || len(m.all()) != 2 {
		t.Errorf("two open connections: got %+v, want %+v", n, want)
	}
	m.remove(one, &websocket.CloseError{Code: websocket.CodeNormal})
	m.remove(two, errRemoved)
	want.Closed = map[websocket.Code]uint64{websocket.CodeNormal: 1, websocket.CodeAbnormal: 1}
	n := m.counts("ws://a")
	if !reflect.DeepEqual(n, want) || len(m.all()) != 0 {
		t.Errorf("both have ended: got %+v, want %+v", n, want)
	}
	n.Closed[websocket.CodeNormal] = 9 // a copy that the caller owns
	closes := func(code websocket.Code) {
		m.remove(connectionOf(t, "ws://a", 0), &websocket.CloseError{Code: code})
	}
	for i := range websocket.Code(maxCodes) {
		closes(3000 + i)
	}
	closes(websocket.CodeNormal)
	closes(3000)
	n = m.counts("ws://a")
	if len(n.Closed) != maxCodes || n.Closed[3000] != 2 || n.Closed[websocket.CodeNormal] != 2 || n.Closed[3000+maxCodes-3] != 1 {
		t.Errorf("got %d close codes, want %d: %v", len(n.Closed), maxCodes, n.Closed)
	}
}

// A server is forgotten when it is no longer in the list and has no connections.
func TestForgottenServers(t *testing.T) {
	m := members{byServer: map[string]*group{}}
	live := connectionOf(t, "ws://live", 0)
	m.add(live)
	m.failed("ws://listed")
	m.failed("ws://gone")
	m.prune([]balance.Spec{{ID: "ws://listed"}})
	for id, want := range map[string]Counts{"ws://live": {Opened: 1, Traffic: Traffic{0, 0, 3, 4}}, "ws://listed": {Failed: 1}, "ws://gone": {}} {
		if n := m.counts(id); !reflect.DeepEqual(n, want) {
			t.Errorf("%s: got %+v, want %+v", id, n, want)
		}
	}
	m.remove(live, nil)
	m.prune(nil)
	if len(m.byServer) != 0 {
		t.Errorf("got %d servers, want 0", len(m.byServer))
	}
}

// A connection that continues on another server is counted there from then on.
func TestCountsOfMovedConnection(t *testing.T) {
	m := members{byServer: map[string]*group{}}
	c, other := connectionOf(t, "ws://a", 0), connectionOf(t, "ws://b", 0)
	m.add(c)
	m.reassign(c, other.server.Load())
	if list, _ := m.movable("ws://a", true); len(list) != 0 || c.Server() != "ws://b" {
		t.Errorf("got %d connections of the old server, and %s as the present one, want 0 and ws://b", len(list), c.Server())
	}
	if list, _ := m.movable("ws://b", true); len(list) != 1 || m.counts("ws://a").Opened != 1 || m.counts("ws://b").Opened != 1 {
		t.Errorf("got %d connections of the new server, counts %+v and %+v, want 1 opened at each", len(list), m.counts("ws://a"), m.counts("ws://b"))
	}
}
