package hub

import (
	"fmt"
	"slices"
	"testing"
)

// rosterOf returns a roster, and a function that returns the announced changes as text.
func rosterOf() (r *roster, told func() []string) {
	r, ns := newRoster(), &namespace{Namespace: Namespace{LargeRoom: 1 << 30}}
	return r, func() (all []string) {
		for r.due(ns) {
			b := new(batch)
			r.flush(ns, b)
			for _, c := range append(b.joins, b.changes...) {
				all = append(all, fmt.Sprintf("%s%s/%s %s", []string{"+", "=", "-"}[c.Kind], c.User, c.Client, c.Data))
			}
		}
		return all
	}
}

// presentEntry returns an entry of the user ann.
func presentEntry(client, data string, version uint64) Entry {
	return Entry{Lease: "node", Client: client, User: "ann", Data: []byte(data), Version: version}
}

// removedEntry returns the removal of an entry.
func removedEntry(client string, version uint64) Entry {
	return Entry{Lease: "node", Client: client, Version: version, Gone: true}
}

// A member is announced once for all of its connections, with the connection that last joined, changed the data or left.
func TestMemberOfSeveralConnections(t *testing.T) {
	r, told := rosterOf()
	for i, tt := range []struct {
		e    Entry
		want []string
	}{
		{presentEntry("1", "a", 1), []string{"+ann/1 a"}},
		{presentEntry("2", "a", 2), nil},
		{presentEntry("2", "b", 3), []string{"=ann/2 b"}},
		{presentEntry("1", "c", 1), nil}, // the same version again
		{presentEntry("2", "c", 2), nil}, // an earlier version
		{removedEntry("2", 2), nil},      // an earlier version
		{removedEntry("2", 4), nil},      // the first connection is still a member
		{removedEntry("2", 5), nil},      // it was already removed
		{removedEntry("1", 6), []string{"-ann/1 b"}},
		{presentEntry("3", "d", 7), []string{"+ann/3 d"}},
		{Entry{Lease: "node", Client: "3", User: "bob", Data: []byte("e"), Version: 8}, []string{"+bob/3 e", "-ann/3 d"}},
		{Entry{Lease: "node", Client: "4", Version: 9}, []string{"+4/4 "}}, // without a user
		{removedEntry("4", 10), []string{"-4/4 "}},
	} {
		r.apply(tt.e)
		if got := told(); !slices.Equal(got, tt.want) {
			t.Errorf("change %d: announced %q, want %q", i, got, tt.want)
		}
	}
	if len(r.users) != 1 || len(r.entries) != 1 || r.count != 1 {
		t.Errorf("at the end: %d users, %d entries, %d announced", len(r.users), len(r.entries), r.count)
	}
}

// A member that leaves before it was announced is not announced.
func TestBriefMember(t *testing.T) {
	r, told := rosterOf()
	r.apply(presentEntry("1", "a", 1))
	r.apply(presentEntry("1", "b", 2))
	if got := told(); !slices.Equal(got, []string{"+ann/1 b"}) {
		t.Errorf("a join and a change: %q", got)
	}
	r.apply(removedEntry("1", 3))
	r.apply(presentEntry("1", "b", 4))
	if got := told(); len(got) > 0 {
		t.Errorf("a leave and a join: %q", got)
	}
	r.apply(Entry{Lease: "node", Client: "2", User: "bob", Version: 5})
	r.apply(removedEntry("2", 6))
	if got := told(); len(got) > 0 || len(r.users) != 1 || r.count != 1 {
		t.Errorf("a join and a leave: %q; %d users, %d announced", got, len(r.users), r.count)
	}
	r.apply(presentEntry("1", "c", 7))
	r.apply(removedEntry("1", 8))
	if got := told(); !slices.Equal(got, []string{"-ann/1 c"}) || len(r.users) != 0 || r.count != 0 {
		t.Errorf("a change and a leave: %q; %d users, %d announced", got, len(r.users), r.count)
	}
}

// Changes that arrive while entries are being read take precedence. Entries that were not read are removed, except on the node that is
// about to store them.
func TestChangesWhileReading(t *testing.T) {
	r, told := rosterOf()
	for _, client := range []string{"stays", "leaves", "forgotten", "own"} {
		e := presentEntry(client, "", 10)
		e.User, e.Data = client, nil
		r.apply(e)
	}
	told()
	r.changes.desired = map[string]Entry{"own": {}}
	read := func(client string, version uint64) {
		e := presentEntry(client, "", version)
		e.User, e.Data = client, nil
		r.apply(e)
	}
	r.beginReading()
	r.apply(removedEntry("leaves", 11))
	r.apply(removedEntry("never seen", 11))
	read("leaves", 10)
	read("never seen", 10)
	read("stays", 10) // the same version again
	if got := told(); !slices.Equal(got, []string{"-leaves/leaves "}) {
		t.Errorf("while they are read: %q", got)
	}
	r.endReading(false, "node")
	if got := told(); len(got) > 0 || len(r.entries) != 3 {
		t.Errorf("not all entries could be read: %q, %d entries", got, len(r.entries))
	}
	r.beginReading()
	read("stays", 10)
	r.endReading(true, "node")
	if got := told(); !slices.Equal(got, []string{"-forgotten/forgotten "}) || len(r.entries) != 2 {
		t.Errorf("all entries were read: %q, %d entries", got, len(r.entries))
	}
	r.beginReading()
	read("stays", 10)
	r.endReading(true, "another lease of the node")
	if got := told(); !slices.Equal(got, []string{"-own/own "}) || len(r.entries) != 1 {
		t.Errorf("under an earlier lease: %q, %d entries", got, len(r.entries))
	}
	r.apply(removedEntry("stays", 11))
	read("stays", 10) // nothing is remembered when no read is in progress
	if got := told(); len(got) > 0 || len(r.entries) != 1 {
		t.Errorf("afterwards: %q, %d entries", got, len(r.entries))
	}
}

// The entries of an expired lease are removed; those of a node with a new lease stay if their members do.
func TestLeasesOfARoster(t *testing.T) {
	r, told := rosterOf()
	for _, k := range []entryKey{{"ended", "1"}, {"other", "2"}, {"own", "stays"}, {"own", "leaves"}} {
		r.apply(Entry{Lease: k.lease, Client: k.client, Version: 1})
	}
	told()
	r.dropLease("ended")
	if got := told(); !slices.Equal(got, []string{"-1/1 "}) {
		t.Errorf("a node has ended: %q", got)
	}
	r.changes.desired = map[string]Entry{"stays": {}, "2": {}}
	r.rename("own", "new")
	if got := told(); !slices.Equal(got, []string{"-leaves/leaves "}) {
		t.Errorf("this node has another lease: %q", got)
	}
	if r.entries[entryKey{"new", "stays"}] == nil || r.entries[entryKey{"other", "2"}] == nil || len(r.entries) != 2 {
		t.Errorf("entries: %v", r.entries)
	}
}

// Changes are announced in parts of 128 members; in a large room, all changes are announced when they are due.
func TestAnnouncedTogether(t *testing.T) {
	ns := &namespace{Namespace: Namespace{LargeRoom: 2 * maxChangesTogether}}
	r := newRoster()
	join := func(from, to int) {
		for i := from; i < to; i++ {
			r.apply(Entry{Lease: "node", Client: fmt.Sprint(i), Version: 1})
		}
	}
	flush := func() int {
		b := new(batch)
		r.flush(ns, b)
		return len(b.joins)
	}
	join(0, maxChangesTogether+1)
	if n := flush(); n != maxChangesTogether || !r.due(ns) {
		t.Errorf("%d joins together; more: %v", n, r.due(ns))
	}
	if n := flush(); n != 1 || r.due(ns) || r.pending() {
		t.Errorf("%d joins in the end; more: %v", n, r.pending())
	}
	join(maxChangesTogether+1, 2*maxChangesTogether-1)
	if !r.due(ns) {
		t.Error("not due although the room is not large")
	}
	join(2*maxChangesTogether-1, 2*maxChangesTogether)
	if r.due(ns) || !r.pending() {
		t.Errorf("a large room: due: %v, pending: %v", r.due(ns), r.pending())
	}
	join(2*maxChangesTogether, 3*maxChangesTogether)
	for r.announceNow = true; r.due(ns); {
		flush()
	}
	if r.announceNow || r.pending() || r.count != 3*maxChangesTogether || ns.counters.joins.Load() != 3*maxChangesTogether {
		t.Errorf("now: %v, pending: %v, %d announced, %d counted", r.announceNow, r.pending(), r.count, ns.counters.joins.Load())
	}
	r.apply(removedEntry("0", 2))
	if r.due(ns) {
		t.Error("the next change is due before its time")
	}
}

// The pages of a roster list the members in the order in which they joined, even if some have left, and each page continues where
// the previous one ended.
func TestPagesOfARoster(t *testing.T) {
	r, told := rosterOf()
	const count = 20
	for i := range count {
		r.apply(Entry{Lease: "node", Client: fmt.Sprint(i), Data: make([]byte, 100), Version: 1})
	}
	told()
	users := func(ms []Member) (all []string) {
		for _, m := range ms {
			all = append(all, m.User)
		}
		return all
	}
	n, ms, next := r.page("", 3, 0, "")
	if got := users(ms); n != count || !slices.Equal(got, []string{"0", "1", "2"}) || next == "" {
		t.Errorf("the first page: %q of %d, %q", got, n, next)
	}
	r.apply(removedEntry("3", 2)) // the first member of the next page
	for i := 5; i < count-1; i++ {
		r.apply(removedEntry(fmt.Sprint(i), 2))
	}
	told()
	if n, ms, next = r.page(next, 3, 0, ""); n != 5 || !slices.Equal(users(ms), []string{"4", "19"}) || next != "" {
		t.Errorf("the second page: %q of %d, %q", users(ms), n, next)
	}
	if len(r.order) >= count/2 {
		t.Errorf("%d places are kept for 5 members", len(r.order))
	}
	three := 3 * (100 + 1 + 1) // including the names of the user and of the connection
	if _, ms, next = r.page("", 10, three, ""); len(ms) != 3 || next == "" {
		t.Errorf("as many bytes as three members: %d, %q", len(ms), next)
	}
	if _, ms, _ = r.page("", 10, three-1, ""); len(ms) != 2 {
		t.Errorf("a byte less: %d", len(ms))
	}
	if n, ms, next = r.page("", 0, 0, ""); n != 5 || len(ms) != 0 || next == "" {
		t.Errorf("no page: %d of %d, %q", len(ms), n, next)
	}
}

// A member is in its own first page once, even before it is announced, but not in the pages of other members before that.
func TestOwnPage(t *testing.T) {
	r, told := rosterOf()
	r.apply(Entry{Lease: "node", Client: "bob", Version: 1})
	told()
	r.apply(presentEntry("1", "", 2))
	for _, tt := range []struct {
		self, cursor string
		limit        int
		users        int
		want         string
	}{
		{"ann", "", 10, 2, "[ann bob]"},
		{"ann", "", 1, 2, "[ann]"},
		{"ann", "", 0, 2, "[]"},
		{"ann", "1", 10, 2, "[bob]"},
		{"bob", "", 10, 1, "[bob]"},
		{"", "", 10, 1, "[bob]"},
		{"eve", "", 10, 1, "[bob]"},
	} {
		users, ms, _ := r.page(tt.cursor, tt.limit, 0, tt.self)
		got := []string{}
		for _, m := range ms {
			got = append(got, m.User)
		}
		if users != tt.users || fmt.Sprint(got) != tt.want {
			t.Errorf("%q from %q, %d: %v of %d, want %s of %d", tt.self, tt.cursor, tt.limit, got, users, tt.want, tt.users)
		}
	}
}

// The changes that a slow subscriber has missed are combined into one for each member; if there are too many changes, they are lost.
func TestMissedMembers(t *testing.T) {
	x := &subscription{session: &Session{client: Client{ID: "own", User: "self"}}, flags: wantsChanges, lag: new(lag)}
	ch := &channel{ns: &namespace{}}
	change := func(kind ChangeKind, user string) Change { return Change{kind, Member{User: user, Client: user}} }
	x.miss(ch, &batch{
		joins:   []Change{change(Joined, "comes"), change(Joined, "brief"), change(Joined, "self"), change(Joined, "changes")},
		changes: []Change{change(Left, "leaves"), change(Left, "back"), change(Updated, "updated"), change(Updated, "own")},
	})
	x.miss(ch, &batch{
		joins:   []Change{change(Joined, "back")},
		changes: []Change{change(Left, "brief"), change(Updated, "changes"), change(Updated, "updated")},
	})
	var got []string
	for _, c := range x.lag.pendingChanges() {
		got = append(got, fmt.Sprint(c.Kind, " ", c.User))
	}
	slices.Sort(got)
	if want := []string{"0 changes", "0 comes", "1 back", "1 updated", "2 leaves"}; !slices.Equal(got, want) {
		t.Errorf("missed: %q, want %q", got, want)
	}
	x.lag = new(lag)
	for i := range maxMissed {
		x.miss(ch, &batch{joins: []Change{change(Joined, fmt.Sprint(i))}})
	}
	x.miss(ch, &batch{changes: []Change{change(Left, "0")}})
	if x.lag.unrecoverable || len(x.lag.changes) != maxMissed {
		t.Errorf("the maximum number: %d; lost: %v", len(x.lag.changes), x.lag.unrecoverable)
	}
	x.miss(ch, &batch{joins: []Change{change(Joined, "one more")}})
	if !x.lag.unrecoverable || len(x.lag.changes) != 0 {
		t.Errorf("one more: %d; lost: %v", len(x.lag.changes), x.lag.unrecoverable)
	}
	x.lag, x.flags = new(lag), 0
	x.miss(ch, &batch{joins: []Change{change(Joined, "ann")}})
	if len(x.lag.changes) > 0 {
		t.Error("changes are kept for a subscriber that has not requested them")
	}
}

// latest.since returns the latest publication of each key, in order. If there are too many keys, latest first forgets removed keys, and
// then all keys. The publications before the forgotten ones are then unknown.
func TestLatest(t *testing.T) {
	var l latest
	offset := uint64(0)
	set := func(key string, removed bool) {
		offset++
		l.set(&Publication{Position: Position{Offset: offset}, Key: key, Removed: removed})
	}
	set("a", false)
	set("b", false)
	set("a", false)
	set("c", true)
	var got []string
	ps, all := l.since(1)
	for _, p := range ps {
		got = append(got, fmt.Sprint(p.Key, p.Offset))
	}
	if !all || !slices.Equal(got, []string{"b2", "a3", "c4"}) {
		t.Errorf("%q, %v", got, all)
	}
	if ps, all := l.since(2); !all || len(ps) != 2 {
		t.Errorf("after the second: %d, %v", len(ps), all)
	}
	fill := func(live, removed int) {
		l, offset = latest{}, 0
		for i := range live + removed {
			set(fmt.Sprint(i), i >= live)
		}
	}
	fill(maxLatest/2, maxLatest/2)
	if ps, all := l.since(0); !all || len(ps) != maxLatest {
		t.Errorf("the maximum number: %d, %v", len(ps), all)
	}
	set("one more", false)
	if ps, all := l.since(maxLatest); !all || len(ps) != 1 || len(l.byKey) != maxLatest/2+1 {
		t.Errorf("without the removed ones: %d of %d, %v", len(ps), len(l.byKey), all)
	}
	if _, all := l.since(maxLatest - 1); all {
		t.Error("since does not report that removed keys may be missing")
	}
	const much = maxLatest * 3 / 4
	fill(much-1, maxLatest-much+1)
	set("one more", false)
	if len(l.byKey) != much {
		t.Errorf("the maximum number of remaining keys: %d", len(l.byKey))
	}
	fill(much, maxLatest-much)
	set("one more", false)
	if ps, all := l.since(offset); !all || len(ps) != 0 || len(l.byKey) != 0 {
		t.Errorf("one key too many: %d of %d, %v", len(ps), len(l.byKey), all)
	}
	if _, all := l.since(offset - 1); all {
		t.Error("since does not report that publications may be missing")
	}
}
