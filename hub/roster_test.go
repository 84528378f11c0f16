package hub

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// The announced changes of a roster always lead to its current state, in whatever order entries are read and changes arrive; no
// join or leave is announced twice, and the pages list every member once.
func FuzzRoster(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 40, 41, 80, 81, 120, 160, 200, 240})
	f.Add([]byte("join, leave, read, and join again"))
	f.Fuzz(func(t *testing.T, script []byte) {
		ns := &namespace{Namespace: Namespace{LargeRoom: 1 << 30}}
		r := newRoster()
		store := map[entryKey]Entry{} // the contents of the engine
		told := map[string]bool{}
		r.addWatcher(&watcher{Watcher: Watcher{Connections: func([]Change) bool { return true }}})
		connected := map[string]bool{} // as announced to a watcher of connections
		version := uint64(0)
		var late []Entry // changes that have not arrived yet
		flush := func() {
			for n := 0; r.due(ns); n++ {
				if n > len(script) {
					t.Fatal("there are always more changes to announce")
				}
				b := new(batch)
				r.flush(ns, b)
				for _, c := range b.connectionChanges {
					if (c.Kind == Joined) == connected[c.Client] {
						t.Fatalf("%v of %s, announced before: %v", c.Kind, c.Client, connected[c.Client])
					}
					if connected[c.Client] = true; c.Kind == Left {
						delete(connected, c.Client)
					}
				}
				for _, c := range append(b.joins, b.changes...) {
					switch {
					case c.Kind == Joined && told[c.User], c.Kind != Joined && !told[c.User]:
						t.Fatalf("%v of %s, announced before: %v", c.Kind, c.User, told[c.User])
					}
					if told[c.User] = c.Kind != Left; c.Kind == Left {
						delete(told, c.User)
					}
				}
			}
		}
		arrive := func() {
			for _, e := range late {
				r.apply(e)
			}
			late = nil
		}
		for _, op := range script {
			k := entryKey{fmt.Sprint("node ", op%3), fmt.Sprint("client ", op>>2%8)}
			user := fmt.Sprint("user ", op>>2%5)
			version++
			e := Entry{Lease: k.lease, Client: k.client, User: user, Data: []byte{op}, Version: version}
			switch {
			case op < 120:
				store[k] = e
				late = append(late, e)
			case op < 200:
				delete(store, k)
				e.Gone = true
				late = append(late, e)
			case op < 215:
				arrive()
			case op < 235: // the engine has lost changes, and all entries are read again; some changes arrive during the read
				lost := op%2 == 0
				if lost {
					late = nil
				}
				r.beginReading()
				seen := slices.Collect(maps.Values(store))
				if !lost {
					arrive()
				}
				for _, e := range seen {
					r.apply(e)
				}
				r.endReading(true, "")
			case op < 245:
				for k := range store {
					if k.lease == "node 0" {
						delete(store, k)
					}
				}
				arrive()
				r.dropLease("node 0")
			default:
				flush()
			}
		}
		arrive()
		r.beginReading()
		for _, e := range store {
			r.apply(e)
		}
		r.endReading(true, "")
		flush()
		want, clients := map[string]bool{}, map[string]bool{}
		for _, e := range store {
			want[e.User], clients[e.Client] = true, true
		}
		if !maps.Equal(told, want) || !maps.Equal(connected, clients) {
			t.Fatalf("announced are %v and %v, want %v and %v", told, connected, want, clients)
		}
		got := map[string]bool{}
		for cursor := ""; ; {
			users, ms, next := r.page(cursor, 2, 0, "")
			if users != len(want) {
				t.Fatalf("%d members, want %d", users, len(want))
			}
			for _, m := range ms {
				if got[m.User] {
					t.Fatalf("%s is in two pages", m.User)
				}
				got[m.User] = true
			}
			if len(ms) == 0 && next != "" {
				t.Fatal("an empty page is not the last")
			}
			if cursor = next; next == "" {
				break
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("the pages have %v, want %v", got, want)
		}
	})
}

// A window contains all publications after its floor, in whatever way it was filled.
func TestWindow(t *testing.T) {
	var w window
	push := func(from, to uint64, wide bool) {
		for i := from; i <= to; i++ {
			w.push(&Publication{Position: Position{Offset: i * 10}, Data: make([]byte, 10)}, wide)
		}
	}
	check := func(what string, floor uint64, count int) {
		t.Helper()
		ps, all := w.since(floor)
		if w.floor != floor || !all || len(ps) != count {
			t.Errorf("%s: floor %d, %d publications, %v; want floor %d, %d", what, w.floor, len(ps), all, floor, count)
		}
		if floor > 0 {
			if _, all := w.since(floor - 1); all {
				t.Errorf("%s: since does not report that publications before the floor are missing", what)
			}
		}
		bytes := 0
		for _, p := range w.ps {
			bytes += len(p.Data)
		}
		if bytes != w.bytes {
			t.Errorf("%s: the window counts %d bytes of %d", what, w.bytes, bytes)
		}
	}
	w.reset(5)
	check("empty", 5, 0)
	push(1, windowCount, false)
	check("full", 5, windowCount)
	push(windowCount+1, windowCount+1, false)
	check("one more", 10, windowCount)
	push(windowCount+2, 1000, true)
	check("wide", 10, 999)
	if ps, all := w.since(9985); !all || len(ps) != 2 {
		t.Errorf("the last two: %d, %v", len(ps), all)
	}
	push(1001, 1001, false)
	check("narrow again", (1001-windowCount)*10, windowCount)
	page := HistoryPage{Top: Position{Offset: 10010}}
	for i := uint64(501); i <= 1001; i++ {
		page.Publications = append(page.Publications, &Publication{Position: Position{Offset: i * 10}, Data: make([]byte, 10)})
	}
	w.prepend(5000, page)
	check("reached back", 5000, 501)
	w.prepend(6000, page)
	check("not forward", 5000, 501)
	w.push(&Publication{Position: Position{Offset: 20000}, Data: make([]byte, windowBytes)}, false)
	check("one large", 10010, 1)
	w.push(&Publication{Position: Position{Offset: 20001}, Data: make([]byte, windowBytes+1)}, false)
	check("too large", 20001, 0)
}

// A stopped watch leaves nothing in its channel.
func TestUnwatch(t *testing.T) {
	r := newRoster()
	users := &watcher{Watcher: Watcher{Users: func([]Change) bool { return true }}}
	conns := &watcher{Watcher: Watcher{Connections: func([]Change) bool { return true }}}
	r.addWatcher(users)
	r.addWatcher(conns)
	r.removeWatcher(users)
	if len(r.watch.all) != 1 || r.watch.conns == nil {
		t.Errorf("%d watchers of two, connections %v", len(r.watch.all), r.watch.conns)
	}
	r.removeWatcher(conns)
	if len(r.watch.all) != 0 || r.watch.conns != nil {
		t.Errorf("%d watchers, connections %v after the last", len(r.watch.all), r.watch.conns)
	}
}
