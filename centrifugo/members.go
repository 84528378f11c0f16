package centrifugo

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// maxMemberWatches is the maximum number of channels whose members a connection may follow.
const maxMemberWatches = 16

// memberWatches is the set of a connection's subscriptions to the members of channels.
type memberWatches struct {
	mu      sync.Mutex
	watches map[string]memberWatch // by the name of the subscription's channel, such as $clients:news
	closed  bool
}

// memberWatch is a subscription to the members of a channel.
type memberWatch struct {
	channel string // the channel whose members the client follows
	stop    func()
}

// add adds a subscription, or returns an error if there are maxMemberWatches already.
func (f *memberWatches) add(channel string, one memberWatch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return hub.ErrClosed
	case len(f.watches) == maxMemberWatches:
		return errLimit
	case f.watches == nil:
		f.watches = map[string]memberWatch{}
	}
	f.watches[channel] = one
	return nil
}

// has reports whether the subscription exists.
func (f *memberWatches) has(channel string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.watches[channel]
	return ok
}

// end ends a subscription, and reports whether there was one.
func (f *memberWatches) end(channel string) bool {
	f.mu.Lock()
	one, ok := f.watches[channel]
	delete(f.watches, channel)
	f.mu.Unlock()
	if ok {
		one.stop()
	}
	return ok
}

// endWhere ends the subscriptions for which over returns true, and returns the names of their channels.
func (f *memberWatches) endWhere(match func(channel, of string) bool) (ended []string) {
	f.mu.Lock()
	all := make(map[string]string, len(f.watches))
	for channel, one := range f.watches {
		all[channel] = one.channel
	}
	f.mu.Unlock()
	for channel, of := range all {
		if match(channel, of) && f.end(channel) {
			ended = append(ended, channel)
		}
	}
	return ended
}

// close ends all subscriptions when the connection ends.
func (f *memberWatches) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.endWhere(func(string, string) bool { return true })
}

// members executes a subscription to the members of a channel. For the client, the members are a keyed collection of connections, with
// their IDs as keys, or of users. The name of the collection is a prefix with a colon, followed by the channel: $clients:news.
func (s *session) members(ctx context.Context, c *protocol.SubscribeRequest, r *request) (*protocol.SubscribeResult, error) {
	_, of, _ := strings.Cut(c.Channel, ":")
	switch {
	case of == "":
		return nil, errBadRequest
	case s.subscribed(c.Channel):
		return nil, errSubscribed
	case c.Phase != phaseState:
		return nil, errUnrecoverable
	case c.Tf != nil: // members have no tags
		return nil, errNotAvailable
	}
	state, stop, err := r.watch(ctx, s, c.Type, of)
	if err != nil {
		return nil, err
	}
	if err := s.watches.add(c.Channel, memberWatch{of, stop}); err != nil {
		stop()
		return nil, err
	}
	s.grant(c.Channel, r.granted)
	res := &protocol.SubscribeResult{Type: typeMap, Phase: phaseLive, State: state}
	s.clock.setExpiry(r, res)
	return res, nil
}

// watch starts to follow the members of a channel, and returns the current ones.
func (r *request) watch(ctx context.Context, s *session, kind int32, of string) (state []*protocol.Publication, stop func(), err error) {
	watch, entries := s.hub.Watch, s.entries(of)
	if r.granted {
		watch = func(ctx context.Context, channel string, w hub.Watcher) (func(), error) {
			return s.server.Hub.Watch(ctx, s.server.App, channel, w)
		}
		entries = s.server.entries(of)
	}
	changed := func(cs []hub.Change) bool { return s.watches.push(&s.out, r.channel, s.format.membership(kind, cs)) }
	if kind == typeUsers {
		first := true
		stop, err = watch(ctx, of, hub.Watcher{Users: func(cs []hub.Change) bool {
			if first {
				first, state = false, s.format.membership(kind, cs)
				return true
			}
			return changed(cs)
		}})
	} else if stop, err = watch(ctx, of, hub.Watcher{Connections: changed}); err == nil {
		room := hub.NewRoom(maxPresence)
		err = entries.each(ctx, maxMembers, func(e *hub.Entry) error {
			if !room.Take(e.Size()) {
				return errLimit
			}
			state = append(state, s.format.connection(e.Client, e.User, e.Data))
			return nil
		})
	}
	if err == nil && len(state) > maxMembers {
		err = errLimit
	}
	if err != nil && stop != nil {
		stop()
	}
	return state, stop, err
}

// push sends changes of a collection, and reports whether the subscription continues. If the queue has no room for the changes, the
// subscription ends, and the client subscribes again.
func (f *memberWatches) push(out *outbox, channel string, ps []*protocol.Publication) bool {
	all := make([]*websocket.Prepared, 0, len(ps))
	for _, p := range ps {
		if m, err := out.format.prepare(&protocol.Push{Channel: channel, Pub: p}); err == nil {
			all = append(all, m)
		}
	}
	if len(all) == 0 || !errors.Is(out.SendPrepared(all...), websocket.ErrQueueFull) {
		return true
	}
	f.forget(channel)
	out.reply(&protocol.Reply{Push: &protocol.Push{Channel: channel, Unsubscribe: unsubscribePush(hub.EndInsufficient)}})
	return false
}

// forget removes a subscription whose watcher ends because push returns false.
func (f *memberWatches) forget(channel string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watches, channel)
}

// membership converts changes of members to changes of a collection. It omits connections that have not authenticated yet, because they
// have no user.
func (f format) membership(kind int32, cs []hub.Change) (ps []*protocol.Publication) {
	for _, c := range cs {
		var p *protocol.Publication
		switch {
		case kind == typeClients:
			p = f.connection(c.Client, c.User, c.Data)
		case c.User == c.Client || c.Kind == hub.Updated:
			continue
		default:
			p = &protocol.Publication{Key: c.User, Data: f.data(nil, false)}
		}
		if c.Kind == hub.Left {
			p.Removed, p.Info = true, nil
		}
		ps = append(ps, p)
	}
	return ps
}

// connection returns a publication of a collection of connections.
func (f format) connection(client, user string, data []byte) *protocol.Publication {
	info := &protocol.ClientInfo{User: user, Client: client, ConnInfo: f.info(data)}
	if user == client {
		info.User = ""
	}
	return &protocol.Publication{Key: client, Data: f.data(nil, false), Info: info}
}

// subscribed reports whether the client is subscribed to a channel, or to the members of one.
func (s *session) subscribed(channel string) bool {
	return s.hub.Subscribed(channel) || s.watches.has(channel)
}

// end ends a subscription, and reports whether there was one.
func (s *session) end(channel string) bool {
	return s.watches.end(channel) || s.hub.Unsubscribe(channel) == nil
}
