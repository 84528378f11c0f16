package pusher

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// signIn signs in, and reads the reply.
func signIn(t *testing.T, c *websocket.Conn, id string, u any) {
	t.Helper()
	data := jsonText(u)
	send(t, c, jsonText(command{Event: "pusher:signin", Data: encode(request{UserData: data, Auth: app.Key + ":" + app.sign(userText(id, data))})}))
	read(t, c)
}

func watchlistOf(id string, users ...string) any { return map[string]any{"id": id, "watchlist": users} }

// A user is online if any of the user's connections on any node is open. When a node stops, its users go offline.
func TestWatchlistOnTwoNodes(t *testing.T) {
	m := hub.NewMemory()
	var urls [2]string
	var hubs [2]*hub.Hub
	for i := range urls {
		hubs[i] = hub.New(hub.Options{Engine: m.Node(), Namespaces: Namespaces(nil)})
		t.Cleanup(func() { hubs[i].Close() })
		urls[i] = drivers["loop"](t, &Server{Hub: hubs[i], Apps: testApps(), Watchlists: true})
	}
	events := func(name, user string) string {
		return `{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"user_ids\":[\"` + user + `\"],\"name\":\"` + name + `\"}]}"}`
	}
	bob, id := connectNamed(t, urls[0])
	signIn(t, bob, id, watchlistOf("bob", "ann"))
	there, id := connectNamed(t, urls[1])
	signIn(t, there, id, watchlistOf("ann", "bob"))
	wantRead(t, there, events("online", "bob"))
	wantRead(t, bob, events("online", "ann"))
	here, id := connectNamed(t, urls[0])
	signIn(t, here, id, watchlistOf("ann"))
	hubs[1].Close()
	here.CloseNow()
	wantRead(t, bob, events("offline", "ann")) // ann's last connection has ended
}

// A watchlist that is too long is an error that does not close the connection; if watchlists are disabled, any watchlist is
// ignored.
func TestWatchlistLimit(t *testing.T) {
	s := newServer(t)
	long := make([]string, maxWatchlist+1)
	for i := range long {
		long[i] = strconv.Itoa(i)
	}
	c, id := connectNamed(t, drivers["loop"](t, s))
	signIn(t, c, id, watchlistOf("ann", long...))
	wantRead(t, c, `{"event":"pusher:error","data":{"code":4302,"message":"The watchlist has more than 100 users."}}`)
	signIn(t, c, id, watchlistOf("ann", append(long[:maxWatchlist-1], "ann")...))
	wantRead(t, c, `{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"user_ids\":[\"ann\"],\"name\":\"online\"}]}"}`)

	s = newServer(t)
	s.Watchlists = false
	c, id = connectNamed(t, drivers["loop"](t, s))
	signIn(t, c, id, watchlistOf("ann", slices.Concat(long, []string{"ann"})...))
	send(t, c, `{"event":"pusher:ping"}`)
	wantRead(t, c, `{"event":"pusher:pong","data":{}}`)
	if _, _, n, err := s.Hub.Members(bounded.Context(t), onlineApp, onlineChannel(app, "ann"), "", 0); n != 0 || err != nil {
		t.Errorf("%d connections are online, %v", n, err)
	}
}

// failingPresence is an engine that cannot read the members of a channel.
type failingPresence struct{ hub.Engine }

func (failingPresence) Entries(context.Context, string, string, int) ([]hub.Entry, string, error) {
	return nil, "", errors.New("not now")
}

// While the engine does not respond, a client with a watchlist gets an error.
func TestWatchlistWithoutEngine(t *testing.T) {
	s := newServer(t)
	s.Hub = hub.New(hub.Options{Engine: failingPresence{hub.NewMemory().Node()}})
	t.Cleanup(func() { s.Hub.Close() })
	c, id := connectNamed(t, drivers["loop"](t, s))
	signIn(t, c, id, watchlistOf("ann", "bob"))
	wantRead(t, c, `{"event":"pusher:error","data":{"code":null,"message":"Temporarily unavailable: try again later."}}`)
}

// fullSender is a connection whose queue has room only when the test allows it.
type fullSender struct {
	websocket.Sender

	room bool
	sent []string
}

func (f *fullSender) Send(m websocket.Message) error {
	if !f.room {
		return websocket.ErrQueueFull
	}
	f.sent = append(f.sent, string(m.Data))
	return nil
}

// A slow client gets the changes since the last message when there is room again.
func TestWatchlistSlow(t *testing.T) {
	out := &fullSender{}
	w := &watchlist{out: out}
	w.reset()
	change := func(kind hub.ChangeKind, user string) {
		w.changed([]hub.Change{{Kind: kind, Member: hub.Member{User: user}}})
	}
	change(hub.Joined, "ann")
	w.resume(true)
	change(hub.Joined, "bob")
	change(hub.Left, "ann")
	w.resume(false) // replies must be sent first
	out.room = true
	change(hub.Joined, "cat")
	w.resume(true)
	change(hub.Left, "bob")
	text := func(events string) string {
		return string(encode(&event{Event: "pusher_internal:watchlist_events", Data: `{"events":[` + events + `]}`}))
	}
	want := []string{text(`{"user_ids":["bob","cat"],"name":"online"}`), text(`{"user_ids":["bob"],"name":"offline"}`)}
	if !slices.Equal(out.sent, want) {
		t.Errorf("%q, want %q", out.sent, want)
	}
}
