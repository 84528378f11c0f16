package hub

import (
	"cmp"
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/websocket"
)

// sessionTable holds the sessions of a node.
type sessionTable struct {
	seed   maphash.Seed
	shards [shards]sessionShard
}

// sessionShard is one shard of a sessionTable. The sessions of one user form a list.
type sessionShard struct {
	mu    sync.Mutex
	users map[string]*Session
	anon  map[string]*Session // sessions without a user, by client ID
}

// Session is one client in the hub. Hub.Join makes one.
type Session struct {
	client     Client
	hub        *Hub
	next, prev *Session // the links of the list for its user or ID; the shard's lock guards them

	mu          sync.Mutex
	rate        limit.Bucket // limits its publications
	subs        []*subscription
	subscribing int32  // the number of subscriptions in progress
	drains      uint32 // the number of calls of Drained
	behind      bool   // a subscription waits for Drained
	refilling   bool   // a goroutine is sending missed publications
	hasLeft     bool
	ended       uint8 // 1 + the EndReason with which the hub has closed the session; 0 if it has not
}

// state is the state of a subscription. The session's lock guards it.
type state uint8

const (
	live   state = iota
	behind       // it has missed some messages, and receives nothing else until those are sent
	ended
)

// The flags of a subscription: the features that it has requested, and its state.
const (
	wantsDelta uint8 = 1 << iota
	wantsChanges
	isMember
	hasBase // the subscriber has received the publication that precedes the next one
	wantsKeyDelta
	wantsPositions // requested, and the client has a PositionedCodec
)

// subscription is the subscription of a session to a channel. The session's lock guards it, except for at and wideHeld, which the
// channel's lock guards.
type subscription struct {
	session  *Session
	ch       *channel
	lag      *lag                    // the messages that it has missed; nil unless it is behind
	filter   func(*Publication) bool // nil means that it receives all publications
	last     uint64                  // the offset of the last publication that it has received
	at       int32
	state    state
	flags    uint8
	wideHeld bool // the subscription is counted in the channel's waiting
}

// Join adds a session. The Receiver of the connection must call Leave when the connection is closed.
func (h *Hub) Join(c Client) (*Session, error) {
	if h.closed() {
		return nil, ErrClosed
	}
	s := &Session{client: c, hub: h}
	h.report.session(s, EventConnected, "")
	h.sessions.link(s)
	if h.closed() { // Close may have missed the session
		s.Leave()
		return nil, ErrClosed
	}
	return s, nil
}

// shard returns the shard of a user or client ID.
func (t *sessionTable) shard(key string) *sessionShard {
	return &t.shards[maphash.String(t.seed, key)%shards]
}

// chain returns the location of a session's list: the shard, its table and the key.
func (t *sessionTable) chain(s *Session) (*sessionShard, *map[string]*Session, string) {
	if s.client.User != "" {
		shard := t.shard(s.client.User)
		return shard, &shard.users, s.client.User
	}
	shard := t.shard(s.client.ID)
	return shard, &shard.anon, s.client.ID
}

func (t *sessionTable) link(s *Session) {
	shard, table, key := t.chain(s)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if *table == nil {
		*table = map[string]*Session{}
	}
	s.next = (*table)[key]
	if s.next != nil {
		s.next.prev = s
	}
	(*table)[key] = s
}

func (t *sessionTable) unlink(s *Session) {
	shard, table, key := t.chain(s)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	switch {
	case s.prev != nil:
		s.prev.next = s.next
	case s.next != nil:
		(*table)[key] = s.next
	default:
		delete(*table, key)
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.next, s.prev = nil, nil
}

// sessionsIn appends the sessions of one list to all.
func sessionsIn(heads map[string]*Session, key string, all []*Session) []*Session {
	for s := heads[key]; s != nil; s = s.next {
		all = append(all, s)
	}
	return all
}

// each calls f for every session, without holding a lock.
func (t *sessionTable) each(f func(*Session)) {
	var some []*Session
	for i := range t.shards {
		shard := &t.shards[i]
		shard.mu.Lock()
		some = some[:0]
		for key := range shard.users {
			some = sessionsIn(shard.users, key, some)
		}
		for key := range shard.anon {
			some = sessionsIn(shard.anon, key, some)
		}
		shard.mu.Unlock()
		for _, s := range some {
			f(s)
		}
	}
}

// Client returns the Client that has joined.
func (s *Session) Client() Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// user returns the session's user, or its client ID if it has none. The caller holds mu.
func (s *Session) user() string {
	if s.client.User != "" {
		return s.client.User
	}
	return s.client.ID
}

// SetUser sets the user of a client that has authenticated after it joined. Existing subscriptions are not changed.
func (s *Session) SetUser(user string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hasLeft {
		return
	}
	s.hub.sessions.unlink(s)
	s.client.User, s.client.Data = user, data
	s.hub.sessions.link(s)
	s.hub.report.markDirty(s)
}

// find returns the subscription to a channel; nil if there is none. The caller holds mu.
func (s *Session) find(name string) *subscription {
	for _, x := range s.subs {
		if x.ch.name == name {
			return x
		}
	}
	return nil
}

// Subscribed reports whether the session is subscribed to a channel.
func (s *Session) Subscribed(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(ChannelOf(s.client.App, channel)) != nil
}

// Subscriptions returns the names of the channels that the session is subscribed to.
func (s *Session) Subscriptions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, len(s.subs))
	for i, x := range s.subs {
		names[i] = x.ch.local()
	}
	return names
}

// Unsubscribe ends a subscription. After it has returned, no message of the channel is sent to the client.
func (s *Session) Unsubscribe(channel string) error {
	s.mu.Lock()
	x := s.find(ChannelOf(s.client.App, channel))
	if x != nil {
		x.end()
	}
	s.mu.Unlock()
	if x == nil {
		return ErrNotSubscribed
	}
	return nil
}

// end ends the subscription. The caller holds the session's lock.
func (x *subscription) end() {
	s := x.session
	x.state, x.lag = ended, nil
	for i, y := range s.subs {
		if y == x {
			last := len(s.subs) - 1
			s.subs[i] = s.subs[last]
			s.subs[last] = nil
			s.subs = s.subs[:last]
			break
		}
	}
	x.ch.remove(x)
	if !s.hasLeft {
		s.hub.report.session(s, EventUnsubscribed, x.ch.local())
	}
	if x.flags&isMember != 0 {
		s.hub.node.removeEntry(x.ch, s.client.ID)
	}
}

// Leave ends the session: its subscriptions end and its members leave. It does not wait for the engine.
func (s *Session) Leave() {
	s.mu.Lock()
	if s.hasLeft {
		s.mu.Unlock()
		return
	}
	rest := s.hub.report.rest(s)
	s.hasLeft = true
	for len(s.subs) > 0 {
		s.subs[len(s.subs)-1].end()
	}
	s.subs = nil
	s.hub.sessions.unlink(s)
	s.hub.report.disconnected(s, rest)
	s.mu.Unlock()
}

// end closes the connection. The session leaves when its Receiver learns that the connection is closed.
func (s *Session) end(why EndReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close(why)
}

// close is end for callers that hold mu.
func (s *Session) close(why EndReason) {
	if s.ended == 0 {
		s.ended = 1 + uint8(why)
	}
	m, code, reason := s.client.Codec.Closing(why)
	if m != nil {
		s.client.Out.SendPrepared(m) //nolint:errcheck // if SendPrepared fails, the connection is closed nevertheless
	}
	if s.client.Out.Shut(code, reason) != nil {
		s.client.Out.Shut(websocket.CodeGoingAway, "") //nolint:errcheck // Shut fails only for an invalid code, and CodeGoingAway is valid
	}
}

// checkAllowed returns an error if the client may not perform an action.
func (s *Session) checkAllowed(action, channel string) error {
	if err := checkName(channel); err != nil {
		return err
	}
	if len(channel) > len(userPrefix) && channel[:len(userPrefix)] == userPrefix {
		s.mu.Lock()
		user := s.client.User
		s.mu.Unlock()
		if user == "" || channel != UserChannel(user) || action == ActionPublish {
			return ErrNotYours
		}
		return nil
	}
	if s.client.Allow == nil {
		return nil
	}
	return s.client.Allow(action, channel)
}

// Publish publishes p in a channel for the client, if Allow, the rate limit and the size limit permit it. Publish sets Client, User and
// Info of p; a member of the channel publishes as that member's user. p must not be modified afterwards. See [Hub.Publish].
func (s *Session) Publish(ctx context.Context, channel string, p *Publication, o *PublishOptions) (Published, error) {
	if err := s.checkAllowed(ActionPublish, channel); err != nil {
		return Published{}, err
	}
	ns := s.hub.namespaces.of(s.client.App, channel)
	s.mu.Lock()
	p.Client, p.User, p.Info = s.client.ID, s.memberUser(channel), s.client.Data
	left := s.hasLeft
	within, _ := s.rate.Allow(time.Now(), float64(ns.Rate), ns.Burst)
	s.mu.Unlock()
	if left {
		return Published{}, ErrClosed
	}
	if !within {
		ns.counters.rejected.Add(1)
		return Published{}, ErrTooFast
	}
	done, err := ns.publish(ctx, s.hub, ChannelOf(s.client.App, channel), p, o)
	if err == ErrTooBig { //nolint:errorlint // ErrTooBig is never wrapped
		ns.counters.rejected.Add(1)
	}
	return done, err
}

// memberUser returns the user as which the session is a member of a channel. The caller holds mu.
func (s *Session) memberUser(channel string) string {
	x := s.find(ChannelOf(s.client.App, channel))
	if x == nil || x.flags&isMember == 0 {
		return s.client.User
	}
	x.ch.mu.Lock()
	defer x.ch.mu.Unlock()
	return cmp.Or(x.ch.roster.changes.desired[s.client.ID].User, s.client.User)
}

// History reads the history of a channel, if Allow permits it.
func (s *Session) History(ctx context.Context, channel string, q HistoryQuery) (HistoryPage, error) {
	if err := s.checkAllowed(ActionHistory, channel); err != nil {
		return HistoryPage{}, err
	}
	return s.hub.History(ctx, s.client.App, channel, q)
}

// Ack saves the position up to which a device of the client has read a channel, if the session is subscribed to it. See [Hub.Ack].
func (s *Session) Ack(ctx context.Context, channel, device string, p Position) error {
	if !s.Subscribed(channel) {
		return ErrNotSubscribed
	}
	return s.hub.Ack(ctx, s.client.App, channel, device, p)
}

// Acked returns the position up to which a device has read a channel, or nil if it is unknown. It requires that Allow
// permits subscribing. See [Hub.Acked].
func (s *Session) Acked(ctx context.Context, channel, device string) (*Position, error) {
	if err := s.checkAllowed(ActionSubscribe, channel); err != nil {
		return nil, err
	}
	return s.hub.Acked(ctx, s.client.App, channel, device)
}

// Snapshot reads a page of a keyed collection, if Allow permits subscribing. See [Hub.Snapshot].
func (s *Session) Snapshot(ctx context.Context, channel, cursor string, limit int) (ps []*Publication, next string, top Position, err error) {
	if err := s.checkAllowed(ActionSubscribe, channel); err != nil {
		return nil, "", Position{}, err
	}
	return s.hub.Snapshot(ctx, s.client.App, channel, cursor, limit)
}

// Members returns a page of the members of a channel, if Allow permits it. See [Hub.Members].
func (s *Session) Members(ctx context.Context, channel, cursor string, limit int) (ms []Member, next string, users int, err error) {
	if err := s.checkAllowed(ActionPresence, channel); err != nil {
		return nil, "", 0, err
	}
	return s.hub.Members(ctx, s.client.App, channel, cursor, limit)
}

// Entries returns a page of the connections in a channel, if Allow permits reading its members. See [Hub.Entries].
func (s *Session) Entries(ctx context.Context, channel, cursor string, limit int) (es []Entry, next string, err error) {
	if err := s.checkAllowed(ActionPresence, channel); err != nil {
		return nil, "", err
	}
	return s.hub.Entries(ctx, s.client.App, channel, cursor, limit)
}
