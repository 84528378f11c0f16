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
	// maxWatchlist is the maximum number of users on a watchlist.
	maxWatchlist = 100

	// onlineApp is an application of the hub with a presence channel for each user who has signed in. The members of a channel are
	// the connections of its user. The application has no clients.
	onlineApp = "_online"
)

// onlineChannel returns the channel of onlineApp for a user of an application.
func onlineChannel(app App, user string) string { return app.ID + "/" + user }

// watchlist notifies a signed-in client about which users on its list are signed in on any node. If the queue of the connection is
// full, the watchlist waits until there is room, and then sends the current state.
type watchlist struct {
	out   websocket.Sender
	leave func()   // ends the presence of the client's own user; nil before the sign-in
	stops []func() // each ends one watch

	mu         sync.Mutex
	paused     bool // no changes are sent for now
	online     map[string]bool
	sentOnline map[string]bool // the users who are online according to the last message to the client
}

// watchlistEvent is an element of the data of pusher_internal:watchlist_events.
type watchlistEvent struct {
	UserIDs []string `json:"user_ids"`
	Name    string   `json:"name"`
}

// watch marks the client's user as online, and watches the users of a list. It is called after the reply to the sign-in.
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
		return fault{message: "The watchlist is not a list of user IDs, which are strings of 1 to 128 bytes."}
	case len(users) > maxWatchlist:
		return fault{code: int(CodeLongWatchlist), message: "The watchlist has more than " + strconv.Itoa(maxWatchlist) + " users."}
	}
	w.stop()
	w.reset()
	for _, user := range slices.Compact(slices.Sorted(slices.Values(users))) {
		stop, err := s.server.Hub.Watch(ctx, onlineApp, onlineChannel(s.app, user), hub.Watcher{Users: w.changed})
		if err != nil {
			w.stop()
			w.reset()
			return err
		}
		w.stops = append(w.stops, stop)
	}
	w.resume(!s.replies.Waiting())
	return nil
}

// reset clears the state. No changes are sent until resume is called.
func (w *watchlist) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused, w.online, w.sentOnline = true, map[string]bool{}, map[string]bool{}
}

// resume resumes sending changes, unless replies must be sent first. free reports that no reply is waiting.
func (w *watchlist) resume(free bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paused && free {
		w.paused = false
		w.send()
	}
}

// changed receives changes of a user's presence.
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
	if !w.paused {
		w.send()
	}
	return true
}

// send sends the changes since the last message. The caller holds mu.
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
	add("online", w.online, w.sentOnline)
	add("offline", w.sentOnline, w.online)
	if len(events) == 0 {
		return
	}
	e := &event{Event: "pusher_internal:watchlist_events", Data: jsonText(map[string]any{"events": events})}
	if errors.Is(w.out.Send(websocket.Message{Type: websocket.Text, Data: encode(e)}), websocket.ErrQueueFull) {
		w.paused = true // no changes are sent until the queue has room
		return
	}
	w.sentOnline = maps.Clone(w.online)
}

// stop ends the watches.
func (w *watchlist) stop() {
	for _, stop := range w.stops {
		stop()
	}
	w.stops = nil
}

// close ends the watches and the presence of the client's own user.
func (w *watchlist) close() {
	w.stop()
	if w.leave != nil {
		w.leave()
	}
}
