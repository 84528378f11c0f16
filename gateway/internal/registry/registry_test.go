package registry

import (
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

func entry(endpoint, addr, user string) *Entry {
	return &Entry{Endpoint: endpoint, Addr: netip.MustParseAddr(addr), Session: auth.Session{Identity: auth.Identity{Subject: user}}}
}

func TestBounds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		b      Bounds
		have   []*Entry
		next   *Entry
		want   error
		anyone *Entry // a client that must still be admitted
	}{
		{"total", Bounds{Total: 2}, []*Entry{entry("a", "192.0.2.1", ""), entry("b", "192.0.2.2", "")},
			entry("c", "192.0.2.3", ""), ErrFull, nil},
		{"endpoint", Bounds{Endpoint: 1}, []*Entry{entry("a", "192.0.2.1", "")},
			entry("a", "192.0.2.2", ""), ErrEndpointFull, entry("b", "192.0.2.1", "")},
		{"address", Bounds{PerAddress: 1}, []*Entry{entry("a", "192.0.2.1", "")},
			entry("b", "192.0.2.1", ""), ErrAddressFull, entry("b", "192.0.2.2", "")},
		{"IPv6 by /64", Bounds{PerAddress: 1}, []*Entry{entry("a", "2001:db8::1", "")},
			entry("b", "2001:db8::2", ""), ErrAddressFull, entry("b", "2001:db8:0:1::1", "")},
		{"address at an endpoint", Bounds{EndpointPerAddress: 1}, []*Entry{entry("a", "192.0.2.1", "")},
			entry("a", "192.0.2.1", ""), ErrAddressFull, entry("b", "192.0.2.1", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := New(&auth.Live{})
			for _, e := range tt.have {
				if err := g.Enter(e, tt.b); err != nil {
					t.Fatal(err)
				}
			}
			if err := g.Enter(tt.next, tt.b); err != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.anyone != nil {
				if err := g.Enter(tt.anyone, tt.b); err != nil {
					t.Errorf("another client: %v", err)
				}
			}
			g.Leave(tt.have[0])
			if err := g.Enter(tt.next, tt.b); err != nil {
				t.Errorf("after one client has left: %v", err)
			}
		})
	}
}

// A rejection reserves no slot, whatever the limit: rejections by address do not use up the slots of the endpoint or the server.
func TestRefusalsTakeNothing(t *testing.T) {
	for name, b := range map[string]Bounds{
		"address":                {Total: 3, Endpoint: 2, PerAddress: 1, EndpointPerAddress: 5},
		"address at an endpoint": {Total: 3, Endpoint: 2, PerAddress: 5, EndpointPerAddress: 1},
		"endpoint":               {Total: 3, Endpoint: 1, PerAddress: 5, EndpointPerAddress: 5},
		"total":                  {Total: 1, Endpoint: 2, PerAddress: 5, EndpointPerAddress: 5},
	} {
		t.Run(name, func(t *testing.T) {
			g := New(&auth.Live{})
			first := entry("a", "192.0.2.1", "")
			if err := g.Enter(first, b); err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if err := g.Enter(entry("a", "192.0.2.1", ""), b); err == nil {
					t.Fatal("admitted beyond the limit")
				}
			}
			if b.Endpoint == 2 && b.Total == 3 {
				second := entry("a", "192.0.2.2", "")
				if err := g.Enter(second, b); err != nil {
					t.Errorf("another address: %v", err)
				}
				g.Leave(second)
			}
			g.Leave(first)
			for range 2 { // each limit has exactly one free slot again
				again := entry("a", "192.0.2.1", "")
				if err := g.Enter(again, b); err != nil {
					t.Errorf("after the first client has left: %v", err)
				}
				if n := g.endpoints.Taken("a"); n != 1 || g.inUse != 1 {
					t.Errorf("the endpoint has %d of %d places", n, g.inUse)
				}
				g.Leave(again)
			}
			if n := g.endpoints.Taken("a"); n != 0 || g.inUse != 0 {
				t.Errorf("the endpoint has %d of %d places", n, g.inUse)
			}
		})
	}
}

// A rejection by one limit takes no slot of another limit.
func TestBoundsTogether(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    Bounds
	}{
		{"by address", Bounds{Total: 3, Endpoint: 3, PerAddress: 1}},
		{"by address at the endpoint", Bounds{Total: 3, Endpoint: 3, PerAddress: 2, EndpointPerAddress: 1}},
	} {
		g := New(&auth.Live{})
		first := entry("a", "192.0.2.1", "")
		if err := g.Enter(first, tt.b); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := g.Enter(entry("a", "192.0.2.1", ""), tt.b); !errors.Is(err, error(ErrAddressFull)) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if tt.b.EndpointPerAddress > 0 {
			if err := g.Enter(entry("b", "192.0.2.1", ""), tt.b); err != nil {
				t.Errorf("%s: at another endpoint: %v", tt.name, err)
			}
		}
		if err := g.Enter(entry("a", "192.0.2.2", ""), tt.b); err != nil {
			t.Errorf("%s: another address: %v", tt.name, err)
		}
		g.Leave(first)
		if err := g.Enter(first, tt.b); err != nil {
			t.Errorf("%s: after the first client has left: %v", tt.name, err)
		}
		if g.endpoints.Taken("a") != 2 {
			t.Errorf("%s: %d places of the endpoint are in use", tt.name, g.endpoints.Taken("a"))
		}
	}
}

func TestBoundsPerUser(t *testing.T) {
	g := New(&auth.Live{})
	b := Bounds{EndpointPerUser: 1}
	first, second, other := entry("a", "192.0.2.1", "alice"), entry("a", "192.0.2.2", "alice"), entry("b", "192.0.2.1", "alice")
	for _, e := range []*Entry{first, second, other} {
		if err := g.Enter(e, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Identify(first, b); err != nil {
		t.Error(err)
	}
	if err := g.Identify(second, b); !errors.Is(err, ErrUserFull) {
		t.Errorf("the second client: %v", err)
	}
	if err := g.Identify(other, b); err != nil {
		t.Errorf("at another endpoint: %v", err)
	}
	g.Leave(second)
	g.Leave(first)
	if err := g.Enter(second, b); err != nil {
		t.Fatal(err)
	}
	if err := g.Identify(second, b); err != nil {
		t.Errorf("after the first client has left: %v", err)
	}
}

func TestListAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&auth.Live{})
		all := map[string]*member{
			"a1": join(t, g, entry("chat", "192.0.2.1", "alice")),
			"a2": join(t, g, entry("news", "192.0.2.2", "alice")),
			"b1": join(t, g, entry("chat", "192.0.2.2", "bob")),
			"a3": join(t, g, entry("chat", "2001:db8::1", "alice")),
		}
		names := func(f Filter) []string {
			var list []string
			for _, e := range g.List(f) {
				for name, m := range all {
					if m.Entry == e {
						list = append(list, name)
					}
				}
			}
			slices.Sort(list)
			return list
		}
		for _, tt := range []struct {
			f    Filter
			want []string
		}{
			{Filter{}, []string{"a1", "a2", "a3", "b1"}},
			{Filter{User: "alice"}, []string{"a1", "a2", "a3"}},
			{Filter{User: "nobody"}, nil},
			{Filter{Endpoint: "chat"}, []string{"a1", "a3", "b1"}},
			{Filter{User: "alice", Endpoint: "chat"}, []string{"a1", "a3"}},
			{Filter{Addr: netip.MustParsePrefix("192.0.2.2/32")}, []string{"a2", "b1"}},
			{Filter{Addr: netip.MustParsePrefix("2001:db8::/32")}, []string{"a3"}},
			{Filter{ID: all["b1"].ID}, []string{"b1"}},
			{Filter{ID: all["b1"].ID, User: "alice"}, nil},
		} {
			if got := names(tt.f); !slices.Equal(got, tt.want) {
				t.Errorf("%+v: %v, want %v", tt.f, got, tt.want)
			}
		}
		if n := g.Close(Filter{User: "alice", Endpoint: "news"}, auth.CodeExpired, "revoked"); n != 1 {
			t.Errorf("%d closed", n)
		}
		if code := all["a2"].code(); code != auth.CodeExpired {
			t.Errorf("code %v", code)
		}
		synctest.Wait()
		if got := names(Filter{User: "alice"}); !slices.Equal(got, []string{"a1", "a3"}) {
			t.Errorf("left: %v", got)
		}
		g.Close(Filter{}, websocket.CodePolicy, "")
		synctest.Wait()
		if g.Len() != 0 || len(g.live.Sessions("alice")) != 0 || len(g.entries) != 0 {
			t.Errorf("%d open", g.Len())
		}
	})
}

// The per-user lists stay intact, in whatever order connections leave.
func TestUsersList(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		synctest.Test(t, func(t *testing.T) {
			g := New(&auth.Live{})
			var all []*member
			for range 3 {
				all = append(all, join(t, g, entry("a", "192.0.2.1", "alice")))
			}
			for i, n := range order {
				g.Close(Filter{ID: all[n].ID}, websocket.CodePolicy, "")
				synctest.Wait()
				if left := len(g.List(Filter{User: "alice"})); left != 2-i {
					t.Errorf("%v: %d left after %d", order, left, i+1)
				}
			}
		})
	}
}

// An admitted client can be closed before it has its connection, and Open reports that.
func TestCloseBetweenAdmitAndOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&auth.Live{})
		e := entry("a", "192.0.2.1", "alice")
		if err := g.Enter(e, Bounds{}); err != nil {
			t.Fatal(err)
		}
		admit(t, g, e)
		if list := g.List(Filter{User: "alice"}); len(list) != 1 || list[0].Subprotocol() != "" {
			t.Errorf("%d connections are listed", len(list))
		}
		if n := g.Close(Filter{User: "alice"}, websocket.CodePolicy, "bye"); n != 1 {
			t.Errorf("%d closed", n)
		}
		synctest.Wait()
		_, conn := wstest.Pipe(t, nil)
		if g.Open(e, conn) {
			t.Error("a closed client may stay connected")
		}
		if code, reason, ok := e.Told(); !ok || code != websocket.CodePolicy || reason != "bye" {
			t.Errorf("the close frame has %v %q", code, reason)
		}
		conn.CloseNow()
		g.Leave(e)
		if g.Len() != 0 {
			t.Errorf("%d connections are left", g.Len())
		}
	})
}

// A connection is closed by one goroutine, however often Close is called.
func TestCloseAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&auth.Live{})
		e := entry("a", "192.0.2.1", "")
		if err := g.Enter(e, Bounds{}); err != nil {
			t.Fatal(err)
		}
		peer, conn := wstest.PipePeer(t, protocol.RoleClient, &wstest.Options{Server: websocket.ConnOptions{CloseTimeout: time.Hour}})
		defer peer.Close()
		admit(t, g, e)
		g.Open(e, conn)
		before := runtime.NumGoroutine()
		for range 100 {
			if n := g.Close(Filter{}, websocket.CodePolicy, ""); n != 1 {
				t.Fatalf("%d closed", n)
			}
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 3 {
			t.Errorf("%d goroutines close one connection", n)
		}
		conn.CloseNow()
		g.Leave(e)
	})
}

// The traffic of an endpoint never decreases: it includes open entries and entries that have left.
func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&auth.Live{})
		var sum, other Sum
		m := join(t, g, &Entry{Sum: &sum})
		m.In.Add(5)
		m.In.Add(6)
		m.Out.Add(7)
		want := Traffic{MessagesIn: 2, MessagesOut: 1, BytesIn: 11, BytesOut: 7}
		if got := g.Traffic([]*Sum{&other, &sum}); got[0] != (Traffic{}) || got[1] != want {
			t.Errorf("open: %+v", got)
		}
		g.Close(Filter{}, websocket.CodeNormal, "")
		m.code()
		synctest.Wait()
		if got := g.Traffic([]*Sum{&sum}); g.Len() != 0 || got[0] != want {
			t.Errorf("closed: %+v", got)
		}
	})
}

// A connection whose user changes counts for the new user from then on, and no longer for the previous one.
func TestBecome(t *testing.T) {
	g := New(&auth.Live{})
	b := Bounds{EndpointPerUser: 1}
	first, second := entry("a", "192.0.2.1", "anonymous"), entry("a", "192.0.2.1", "anonymous")
	for _, e := range []*Entry{first, second} {
		if err := g.Enter(e, b); err != nil {
			t.Fatal(err)
		}
		admit(t, g, e)
	}
	ann, bob := &auth.Identity{Subject: "ann"}, &auth.Identity{Subject: "bob"}
	for _, c := range []struct {
		e    *Entry
		id   *auth.Identity
		want error
	}{{first, ann, nil}, {first, ann, nil}, {second, ann, ErrUserFull}, {second, bob, nil}, {first, bob, ErrUserFull}} {
		if err := g.Become(c.e, c.id, b); err != c.want {
			t.Errorf("%s: %v, want %v", c.id.Subject, err, c.want)
		}
	}
	if list := g.List(Filter{User: "ann"}); len(list) != 1 || list[0] != first {
		t.Errorf("%d of ann", len(list))
	}
	first.Close(1000, "")
	carl := &auth.Identity{Subject: "carl"}
	if err := g.Become(first, carl, b); !errors.Is(err, auth.ErrSessionClosed) {
		t.Error(err)
	}
	if err := g.Become(second, carl, b); err != nil {
		t.Errorf("a place was not released: %v", err)
	}
	g.Leave(first)
	if err := g.Become(second, ann, b); err != nil {
		t.Errorf("a place was not released: %v", err)
	}
	g.Leave(second)
	for _, user := range []string{"ann", "bob", "carl"} {
		if n := g.byUser.Taken(perUser{"a", user}); n != 0 {
			t.Errorf("%d places are still counted for %s", n, user)
		}
	}
}
