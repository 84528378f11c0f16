package hub

import (
	"cmp"
	"slices"
	"strconv"
)

const maxChangesTogether = 128 // the maximum number of changes in one message

// roster is the list of the members of a channel on all nodes. Subscribers know the members that were announced; changes since then
// are announced with the next batch, or in a large room once a second. The channel's lock guards it.
type roster struct {
	users        map[string]*member
	entries      map[entryKey]*entry
	order        []*member // in the order of joining; nil for members that have left
	removedCount int
	nextSerial   uint64
	dirty        []*member
	count        int    // the number of members that were announced
	pass         uint32 // the number of times that all entries were read
	reading      bool   // all entries are being read
	announceNow  bool   // the changes of a large room must be announced
	changes      entryQueue
	watch        watchers
}

type entryKey struct{ lease, client string }

// entry is one connection in a roster.
type entry struct {
	member  *member // nil if the connection is gone; kept while entries are being read
	version uint64
	pass    uint32 // the pass in which it was last seen
}

// member is a user in a roster.
type member struct {
	Member
	conns     int
	serial    uint64
	version   uint64 // the version of the entry from which Data was taken
	announced bool   // the member was announced
	changed   bool   // Data has changed since the member was announced
	dirty     bool
	local     bool // one of the member's connections is, or was, on this node
}

func newRoster() *roster {
	return &roster{users: map[string]*member{}, entries: map[entryKey]*entry{}}
}

// busy reports whether a call of the engine is in progress or queued.
func (r *roster) busy() bool { return r.reading || r.changes.running || len(r.changes.queue) > 0 }

// pending reports whether there are changes to announce.
func (r *roster) pending() bool { return len(r.dirty)+len(r.watch.pending) > 0 }

// due reports whether changes have to be announced now.
func (r *roster) due(ns *namespace) bool {
	return r.pending() && (r.announceNow || len(r.users) < ns.LargeRoom)
}

// apply applies an entry.
func (r *roster) apply(e Entry) {
	k := entryKey{e.Lease, e.Client}
	old := r.entries[k]
	if old != nil && e.Version <= old.version {
		old.pass = r.pass
		return
	}
	if e.Gone {
		r.drop(k, e.Version)
		return
	}
	user := cmp.Or(e.User, e.Client)
	if old != nil && old.member != nil && old.member.User != user {
		r.drop(k, 0)
		old = nil
	}
	m := r.users[user]
	if m == nil {
		r.nextSerial++
		m = &member{Member: Member{User: user}, serial: r.nextSerial}
		r.users[user] = m
		r.order = append(r.order, m)
	}
	again := old != nil && old.member != nil
	if !again {
		m.conns++
		old = new(entry)
		r.entries[k] = old
	}
	r.watch.entered(e, user, again)
	*old = entry{member: m, version: e.Version, pass: r.pass}
	if other := string(m.Data) != string(e.Data); other || m.version == 0 {
		m.changed = m.changed || other // has an effect only if the member was already announced
		m.Data = e.Data
		m.touch(r)
	}
	m.Client, m.version = e.Client, e.Version
	if _, here := r.changes.desired[e.Client]; here {
		m.local = true
	}
}

// drop removes an entry. A version other than 0 is remembered while entries are being read.
func (r *roster) drop(k entryKey, version uint64) {
	old := r.entries[k]
	delete(r.entries, k)
	if r.reading && version > 0 {
		r.entries[k] = &entry{version: version, pass: r.pass}
	}
	if old == nil || old.member == nil {
		return
	}
	m := old.member
	r.watch.left(k.client, m.User)
	m.conns--
	if m.conns == 0 {
		m.Client = k.client
		m.touch(r)
	}
}

// dropLease removes the entries of a lease.
func (r *roster) dropLease(lease string) {
	for k := range r.entries {
		if k.lease == lease {
			r.drop(k, 0)
		}
	}
}

// rename moves the entries of this node to a new lease, so that the members of the node stay. Entries that the node no longer has are
// removed.
func (r *roster) rename(old, lease string) {
	for k, e := range r.entries {
		if k.lease != old {
			continue
		}
		if _, stays := r.changes.desired[k.client]; !stays || e.member == nil {
			r.drop(k, 0)
			continue
		}
		delete(r.entries, k)
		r.entries[entryKey{lease, k.client}] = e
	}
}

// beginReading prepares for applying all entries of the channel.
func (r *roster) beginReading() { r.reading, r.pass = true, r.pass+1 }

// endReading removes the entries that were neither read nor changed since beginReading, except those that this node is about to
// make under its lease.
func (r *roster) endReading(complete bool, lease string) {
	r.reading = false
	for k, e := range r.entries {
		if e.member == nil {
			delete(r.entries, k)
		} else if _, own := r.changes.desired[k.client]; complete && e.pass != r.pass && (k.lease != lease || !own) {
			r.drop(k, 0)
		}
	}
}

func (m *member) touch(r *roster) {
	if !m.dirty {
		m.dirty = true
		r.dirty = append(r.dirty, m)
	}
}

// flush moves the changes that must be announced into b.
func (r *roster) flush(ns *namespace, b *batch) {
	r.watch.flush(b)
	n := min(len(r.dirty), maxChangesTogether)
	for _, m := range r.dirty[:n] {
		m.dirty = false
		switch {
		case m.conns > 0 && !m.announced:
			m.announced, m.changed = true, false
			r.count++
			ns.counters.joins.Add(1)
			b.joins = append(b.joins, Change{Joined, m.Member})
		case m.conns > 0 && m.changed:
			m.changed = false
			b.changes = append(b.changes, Change{Updated, m.Member})
		case m.conns == 0:
			if m.announced {
				r.count--
				ns.counters.leaves.Add(1)
				b.changes = append(b.changes, Change{Left, m.Member})
			}
			r.remove(m)
		}
	}
	clear(r.dirty[:n])
	if r.dirty = r.dirty[n:]; len(r.dirty) == 0 {
		r.dirty, r.announceNow = nil, false
	}
}

// remove removes a member.
func (r *roster) remove(m *member) {
	delete(r.users, m.User)
	if i, ok := r.find(m.serial); ok {
		r.order[i] = nil
		r.removedCount++
	}
	if r.removedCount > len(r.order)/2 {
		r.order = slices.DeleteFunc(r.order, func(m *member) bool { return m == nil })
		r.removedCount = 0
	}
}

// find returns the index of the first member with that serial number or a later one, and reports whether it has exactly
// that number.
func (r *roster) find(serial uint64) (int, bool) {
	lo, hi := 0, len(r.order)
	for lo < hi {
		mid := (lo + hi) / 2
		at := mid
		for at < hi && r.order[at] == nil {
			at++
		}
		switch {
		case at == hi:
			hi = mid
		case r.order[at].serial < serial:
			lo = at + 1
		default:
			hi = mid
		}
	}
	at := lo
	for at < len(r.order) && r.order[at] == nil {
		at++
	}
	return at, at < len(r.order) && r.order[at].serial == serial
}

// page returns the number of members, and a page of them that begins at a cursor and is limited in its number of members and in bytes. The
// user self is included even before being announced; self may be empty.
func (r *roster) page(cursor string, limit, bytes int, self string) (users int, ms []Member, next string) {
	users = r.count
	me := r.users[self]
	if self == "" || me == nil || me.announced {
		me = nil
	}
	room := NewRoom(bytes)
	if me != nil {
		users++
		if limit > 0 && cursor == "" {
			room.Take(me.Size())
			ms = append(ms, me.Member)
		}
	}
	from, _ := strconv.ParseUint(cursor, 10, 64)
	at, _ := r.find(from)
	for ; at < len(r.order); at++ {
		m := r.order[at]
		if m == nil || !m.announced {
			continue
		}
		if len(ms) >= limit || !room.Take(m.Size()) {
			return users, ms, strconv.FormatUint(m.serial, 10)
		}
		ms = append(ms, m.Member)
	}
	return users, ms, ""
}
