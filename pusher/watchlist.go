package pusher

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

const (
	// maxWatchlist is how many users a client may watch.
	maxWatchlist = 100

	// onlineApp is an application of the hub that has a channel for each user who has signed in, with presence: whose members are the
	// connections of that user. No client is in it.
	onlineApp = "_online"
)

// onlineChannel returns the channel of onlineApp for a user of an application.
func onlineChannel(app App, user string) string { return app.ID + "/" + user }

// watchlist is what a client that has signed in watches: which of some users have signed in, too, on whatever node. What there is no room for in the
// queue of the connection waits, and is sent as it is by then.
type watchlist struct {
	out   websocket.Sender
	leave func()   // ends that the client itself is online; nil before it has signed in
	stops []func() // end the watches

	mu     sync.Mutex
	quiet  bool // nothing is sent
	online map[string]bool
	told   map[string]bool // who is online as far as the client knows
}

// watchlistEvent is a part of the data of pusher_internal:watchlist_events.
type watchlistEvent struct {
	UserIDs []string `json:"user_ids"`
	Name    string   `json:"name"`
}

// watch makes the client online, and has it watch the users of a list. It is called after the answer to the sign-in.
func (s *session) watch(ctx context.Context, list json.RawMessage) error {
	if !s.server.Watchlists {
		return nil
	}
	var err error
	w := &s.watchlist
	if w.leave == nil {
		w.out = s.out
		w.leave, err = s.server.Hub.Enter(ctx, onlineApp, onlineChannel(s.app, s.user), hub.Member{User: s.user, Client: s.id})
		if err != nil {
			return err
		}
	}
	var users []string
	switch {
	case len(list) > 0 && json.Unmarshal(list, &users) != nil, slices.ContainsFunc(users, func(u string) bool { return !validUser(u) }):
		return fault{why: "The watchlist is not a list of user IDs, which are strings of 1 to 128 bytes."}
	case len(users) > maxWatchlist:
		return fault{code: int(CodeLongWatchlist), why: "The watchlist has more than " + strconv.Itoa(maxWatchlist) + " users."}
	}
	w.stop()
	w.begin()
	for _, user := range slices.Compact(slices.Sorted(slices.Values(users))) {
		stop, err := s.server.Hub.Watch(ctx, onlineApp, onlineChannel(s.app, user), hub.Watcher{Users: w.changed})
		if err != nil {
			w.stop()
			w.begin()
			return err
		}
		w.stops = append(w.stops, stop)
	}
	w.continues(!s.replies.Waiting())
	return nil
}

// begin forgets what was watched. Nothing is sent until continues is called.
func (w *watchlist) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet, w.online, w.told = true, map[string]bool{}, map[string]bool{}
}

// continues sends what has changed, unless something else is to be sent before it.
func (w *watchlist) continues(free bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.quiet && free {
		w.quiet = false
		w.send()
	}
}

// changed is called with what has changed of a user.
func (w *watchlist) changed(cs []hub.Change) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range cs {
		if c.Kind == hub.Left {
			delete(w.online, c.User)
		} else {
			w.online[c.User] = true
		}
	}
	if !w.quiet {
		w.send()
	}
	return true
}

// send sends what the client does not know. The caller holds mu.
func (w *watchlist) send() {
	var events []watchlistEvent
	add := func(name string, in, notIn map[string]bool) {
		var users []string
		for user := range in {
			if !notIn[user] {
				users = append(users, user)
			}
		}
		if len(users) > 0 {
			slices.Sort(users)
			events = append(events, watchlistEvent{users, name})
		}
	}
	add("online", w.online, w.told)
	add("offline", w.told, w.online)
	if len(events) == 0 {
		return
	}
	e := &event{Event: "pusher_internal:watchlist_events", Data: jsonText(map[string]any{"events": events})}
	if errors.Is(w.out.Send(websocket.Message{Type: websocket.Text, Data: encode(e)}), websocket.ErrQueueFull) {
		w.quiet = true // until there is room
		return
	}
	w.told = maps.Clone(w.online)
}

// stop ends the watches.
func (w *watchlist) stop() {
	for _, stop := range w.stops {
		stop()
	}
	w.stops = nil
}

// close ends all of it, with the connection.
func (w *watchlist) close() {
	w.stop()
	if w.leave != nil {
		w.leave()
	}
}
