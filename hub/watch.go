package hub

import (
	"context"
	"slices"
	"sync"
)

// Watcher follows the members or the connections in a channel, or both. Its functions must not block or call the hub; calls do not
// overlap, and returning false ends the watch. Their arguments are shared and must not be modified.
type Watcher struct {
	// Users is first called before Watch returns, with all members as joins, and then with each change of a member. It may be
	// called with an earlier change that the first call already includes. May be nil.
	Users func([]Change) bool

	// Connections is called with each change of a connection, which may include changes from before the call of Watch. It does not
	// report the existing connections: call Hub.Entries after Watch. Data is nil for a connection that leaves. May be nil.
	Connections func([]Change) bool
}

// watcher is a Watcher in a channel.
type watcher struct {
	Watcher
	stop func()

	mu      sync.Mutex // held while Watcher's functions are called
	stopped bool
}

// watchers holds the watchers of a roster. The channel's lock guards it.
type watchers struct {
	all     []*watcher
	conns   map[string]int // the number of entries of each connection; nil unless a watcher follows connections
	pending []Change       // changes of connections to announce
}

// Watch follows the members of a channel with presence, on all nodes, until stop is called or the hub is closed. It is not a
// subscription: it does not call Allow and is not counted. After stop has returned, no function of w is called; w must not call
// stop.
func (h *Hub) Watch(ctx context.Context, app, channel string, w Watcher) (stop func(), err error) {
	ch, err := acquireWithPresence(ctx, h, app, channel)
	if err != nil {
		return nil, err
	}
	x := &watcher{Watcher: w}
	x.stop = sync.OnceFunc(func() {
		x.mu.Lock()
		x.stopped = true
		x.mu.Unlock()
		ch.mu.Lock()
		ch.roster.removeWatcher(x)
		ch.mu.Unlock()
		ch.unpin()
	})
	x.mu.Lock()
	ch.mu.Lock()
	there := ch.roster.addWatcher(x)
	ch.mu.Unlock()
	more := w.Users == nil || w.Users(there)
	x.mu.Unlock()
	if !more {
		x.stop()
	}
	return x.stop, nil
}

// acquireWithPresence returns a channel that is open and has a roster. The caller must unpin it.
func acquireWithPresence(ctx context.Context, h *Hub, app, channel string) (*channel, error) {
	if err := checkName(channel); err != nil {
		return nil, err
	}
	ns := h.namespaces.of(app, channel)
	if h.presence == nil || !ns.Presence {
		return nil, ErrNoPresence
	}
	return h.acquire(ctx, ns, ChannelOf(app, channel))
}

// Watch is [Hub.Watch] for the client, if Allow permits reading the members of the channel.
func (s *Session) Watch(ctx context.Context, channel string, w Watcher) (stop func(), err error) {
	if err := s.checkAllowed(ActionPresence, channel); err != nil {
		return nil, err
	}
	return s.hub.Watch(ctx, s.client.App, channel, w)
}

// Enter makes a connection of this node a member of a channel with presence, without a subscription, until leave is called or the
// node ends. m.Client is the ID of the connection, which must have no other entry in this channel.
func (h *Hub) Enter(ctx context.Context, app, channel string, m Member) (leave func(), err error) {
	ch, err := acquireWithPresence(ctx, h, app, channel)
	if err != nil {
		return nil, err
	}
	if err := h.node.addEntry(ctx, ch, Entry{Client: m.Client, User: m.User, Data: m.Data}); err != nil {
		ch.unpin()
		return nil, err
	}
	return sync.OnceFunc(func() {
		h.node.removeEntry(ch, m.Client)
		ch.unpin()
	}), nil
}

// addWatcher adds a watcher, and returns the current members as joins.
func (r *roster) addWatcher(x *watcher) (there []Change) {
	r.watch.all = append(r.watch.all, x)
	if x.Connections != nil && r.watch.conns == nil {
		r.watch.conns = map[string]int{}
		for k, e := range r.entries {
			if e.member != nil {
				r.watch.conns[k.client]++
			}
		}
	}
	if x.Users == nil {
		return nil
	}
	for _, m := range r.order {
		if m != nil && m.conns > 0 {
			there = append(there, Change{Joined, m.Member})
		}
	}
	return there
}

// removeWatcher removes a watcher.
func (r *roster) removeWatcher(x *watcher) {
	w := &r.watch
	w.all = slices.DeleteFunc(w.all, func(y *watcher) bool { return y == x })
	if !slices.ContainsFunc(w.all, func(y *watcher) bool { return y.Connections != nil }) {
		w.conns, w.pending = nil, nil
	}
}

// entered records a new entry of a connection or, if again is set, a changed entry.
func (w *watchers) entered(e Entry, user string, again bool) {
	if w.conns == nil {
		return
	}
	if !again {
		w.conns[e.Client]++
	}
	kind := Updated
	if !again && w.conns[e.Client] == 1 {
		kind = Joined
	}
	w.pending = append(w.pending, Change{kind, Member{User: user, Client: e.Client, Data: e.Data}})
}

// left records that an entry of a connection is gone. The connection may have another entry, under another lease of its node.
func (w *watchers) left(client, user string) {
	if w.conns == nil {
		return
	}
	if w.conns[client]--; w.conns[client] > 0 {
		return
	}
	delete(w.conns, client)
	w.pending = append(w.pending, Change{Left, Member{User: user, Client: client}})
}

// flush moves the changes to announce into b.
func (w *watchers) flush(b *batch) {
	b.watchers = append(b.watchers, w.all...)
	b.connectionChanges, w.pending = w.pending, nil
}

// notify passes the changes in b to the watcher.
func (x *watcher) notify(b *batch) {
	x.mu.Lock()
	more := true
	call := func(f func([]Change) bool, cs []Change) {
		if more = more && (x.stopped || f == nil || len(cs) == 0 || f(cs)); !more {
			x.stopped = true
		}
	}
	call(x.Users, b.joins)
	call(x.Users, b.changes)
	call(x.Connections, b.connectionChanges)
	x.mu.Unlock()
	if !more {
		x.stop()
	}
}
