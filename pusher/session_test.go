package pusher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// The handshake is checked after the upgrade: the client gets an error, and is closed with the same code.
func TestConnect(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		url := drivers[driver](t, newServer(t))
		for _, tt := range []struct {
			key, query string
			code       websocket.Code
		}{
			{app.Key, "", CodeNoProtocol},
			{app.Key, "protocol=x", CodeBadProtocol},
			{app.Key, "protocol=4", CodeBadProtocol},
			{app.Key, "protocol=8", CodeBadProtocol},
			{app.Key, "protocol=7&version=x", CodeBadVersion},
			{"unknown", "protocol=7", CodeNoApp},
			{"off", "protocol=7", CodeDisabled},
		} {
			c, err := websocket.Dial(bounded.Context(t), url+"/app/"+tt.key+"?"+tt.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(`{"event":"pusher:error","data":{"code":%d,"message":"`, tt.code)
			if got := read(t, c); !strings.HasPrefix(got, want) {
				t.Errorf("%s %s: got %s", tt.key, tt.query, got)
			}
			if got := code(t, c); got != tt.code {
				t.Errorf("%s %s: closed with %v, want %v", tt.key, tt.query, got, tt.code)
			}
		}
		for _, query := range []string{"protocol=5", "protocol=6&version=2.4.0", "protocol=7&version=8.6.0-rc.1"} {
			if got := read(t, dial(t, url, query)); !strings.Contains(got, "pusher:connection_established") {
				t.Errorf("%s: %s", query, got)
			}
		}
	})
	if _, got, _ := (&Server{Apps: testApps()}).accept(&Client{Protocol: "7"}); got != CodeBadPath {
		t.Errorf("without a key: %v", got)
	}
}

// The number of connections of an application is limited, and closed connections free their slots.
func TestMaxConnections(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		s := newServer(t)
		s.MaxConnections = 1
		url := drivers[driver](t, s)
		first := dial(t, url, defaultQuery)
		read(t, first)
		if got := code(t, dial(t, url, defaultQuery)); got != CodeOverQuota {
			t.Errorf("closed with %v", got)
		}
		first.CloseNow()
		bounded.Until(t, func() bool {
			_, text := api(t, url, "GET", "/connections", "")
			return text == `{"connections":0}`
		})
		if got := read(t, dial(t, url, defaultQuery)); !strings.Contains(got, "connection_established") {
			t.Error(got)
		}
	})
}

// outbox is a Sender that stores the sent messages.
type outbox struct {
	websocket.Sender
	mu     sync.Mutex
	sent   []string
	full   bool
	closed websocket.Code
}

func (o *outbox) Send(m websocket.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full {
		return websocket.ErrQueueFull
	}
	o.sent = append(o.sent, string(m.Data))
	return nil
}

func (o *outbox) SendPrepared(...*websocket.Prepared) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full {
		return websocket.ErrQueueFull
	}
	return nil
}

func (o *outbox) Shut(code websocket.Code, _ string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed == 0 {
		o.closed = code
	}
	return nil
}

// open opens a session on an outbox.
func open(s *Server, o *outbox) *session {
	return s.Open(Client{Key: app.Key, Protocol: "7"})(o).(*session)
}

func execute(s *session, text string) error {
	return s.Message(websocket.Message{Type: websocket.Text, Data: []byte(text)})
}

// A client that signs in is identified as the user in the request, and can sign in only once. If the user is rejected, the
// connection is closed with a specific code.
func TestIdentified(t *testing.T) {
	var asked []string
	try := func(user string, answer error, again bool) (*outbox, error) {
		o := new(outbox)
		s := newServer(t).Open(Client{Key: app.Key, Protocol: "7", Identified: func(_ context.Context, user string) error {
			asked = append(asked, user)
			return answer
		}})(o).(*session)
		t.Cleanup(func() { s.Closed(nil) })
		data := jsonText(map[string]string{"id": user})
		line := jsonText(command{Event: "pusher:signin", Data: encode(request{UserData: data, Auth: app.Key + ":" + app.sign(userText(s.id, data))})})
		err := execute(s, line)
		if again {
			err = errors.Join(err, execute(s, line))
		}
		return o, err
	}
	o, err := try("ann", nil, true)
	if err != nil || len(o.sent) != 3 || !strings.Contains(o.sent[2], "signin_success") || !slices.Equal(asked, []string{"ann"}) {
		t.Errorf("%v, asked %q, sent %q", err, asked, o.sent)
	}
	for answer, want := range map[error]websocket.Code{ErrRevoked: 4100, ErrTooMany: 4004, errors.New("no"): 4009} {
		o, err := try("bob", fmt.Errorf("the test says: %w", answer), false)
		if websocket.CloseCode(err) != want || len(o.sent) != 2 || !strings.Contains(o.sent[1], fmt.Sprintf(`"code":%d`, want)) {
			t.Errorf("%v: %v, sent %q", answer, err, o.sent)
		}
	}
}

// A silent client is pinged, and closed if it remains silent; a client that answers the ping stays connected.
func TestActivity(t *testing.T) {
	const ping = `{"event":"pusher:ping","data":{}}`
	run := func(t *testing.T, test func(t *testing.T, s *session, o *outbox)) {
		synctest.Test(t, func(t *testing.T) {
			h := hub.New(hub.Options{})
			defer h.Close()
			o := &outbox{}
			s := open(&Server{Hub: h, Apps: testApps()}, o)
			defer s.Closed(nil)
			test(t, s, o)
		})
	}
	at := func(t *testing.T, o *outbox, pings int, code websocket.Code) {
		t.Helper()
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		if got := strings.Count(strings.Join(o.sent, ""), ping); got != pings || o.closed != code {
			t.Errorf("%d pings, closed with %d; want %d, %d", got, o.closed, pings, code)
		}
	}
	t.Run("silent", func(t *testing.T) {
		run(t, func(t *testing.T, _ *session, o *outbox) {
			advance(119 * time.Second)
			at(t, o, 0, 0)
			advance(time.Second)
			at(t, o, 1, 0)
			advance(29 * time.Second)
			at(t, o, 1, 0)
			advance(time.Second)
			at(t, o, 1, CodeNoPong)
		})
	})
	t.Run("answers", func(t *testing.T) {
		run(t, func(t *testing.T, s *session, o *outbox) {
			advance(125 * time.Second)
			at(t, o, 1, 0)
			if err := execute(s, `{"event":"pusher:pong"}`); err != nil {
				t.Fatal(err)
			}
			advance(119 * time.Second)
			at(t, o, 1, 0)
			advance(time.Second)
			at(t, o, 2, 0)
			advance(30 * time.Second)
			at(t, o, 2, CodeNoPong)
		})
	})
	t.Run("active", func(t *testing.T) {
		run(t, func(t *testing.T, s *session, o *outbox) {
			for range 10 {
				advance(100 * time.Second)
				if err := execute(s, `{"event":"pusher:ping"}`); err != nil {
					t.Fatal(err)
				}
			}
			at(t, o, 0, 0)
		})
	})
	t.Run("full", func(t *testing.T) {
		run(t, func(t *testing.T, _ *session, o *outbox) {
			o.mu.Lock()
			o.full = true
			o.mu.Unlock()
			advance(120 * time.Second)
			at(t, o, 0, CodeIdle)
		})
	})
}

// A connection may send ten client events per second. Further events get an error with a specific code, and do not close the
// connection.
func TestClientEventRate(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		url := drivers[driver](t, newServer(t))
		p := &script{url: url, clients: map[string]*websocket.Conn{}, ids: map[string]string{}}
		for _, line := range []string{"a=", `a< {"event":"pusher:connection_established","data":{"socket_id":"*","activity_timeout":120}}`, "a+ private-x", `a< {"event":"*","channel":"private-x","data":{}}`} {
			if wrong := p.line(t, line); wrong != "" {
				t.Fatal(wrong)
			}
		}
		for range 15 {
			send(t, p.clients["a"], `{"event":"client-x","channel":"private-x","data":{}}`)
		}
		got := read(t, p.clients["a"])
		if !strings.HasPrefix(got, `{"event":"pusher:error","channel":"private-x","data":{"code":4301,`) {
			t.Error(got)
		}
	})
}

// Client events that are not enabled are rejected.
func TestNoClientEvents(t *testing.T) {
	s := newServer(t)
	s.ClientEvents = false
	o := &outbox{}
	n := open(s, o)
	defer n.Closed(nil)
	if err := execute(n, `{"event":"client-x","channel":"private-x"}`); err != nil || !strings.Contains(o.sent[1], "client events are not enabled") {
		t.Error(err, o.sent)
	}
}

// A connection is closed after too many errors, and messages beyond the rate limit are errors.
func TestFlood(t *testing.T) {
	s := newServer(t)
	s.MessagesPerSecond = 1
	n := open(s, &outbox{})
	defer n.Closed(nil)
	var err error
	messages := 0
	for ; err == nil && messages < 10*maxFaults; messages++ {
		err = execute(n, `{"event":"pusher:ping"}`)
	}
	if websocket.CloseCode(err) != CodeOverCapacity || messages < maxFaults {
		t.Errorf("after %d messages: %v", messages, err)
	}
}

// Replies wait in order for room in the queue; if a client never reads, the number of waiting replies is limited.
func TestRepliesWaitForRoom(t *testing.T) {
	o := &outbox{}
	s := newServer(t)
	s.MessagesPerSecond = -1
	n := open(s, o)
	defer n.Closed(nil)
	o.full = true
	for _, text := range []string{`{"event":"pusher:ping"}`, `{"event":"pusher:subscribe","data":{"channel":"x"}}`} {
		if err := execute(n, text); err != nil {
			t.Fatal(err)
		}
	}
	o.full = false
	n.Drained()
	if got := strings.Join(o.sent[1:], "\n"); !strings.HasPrefix(got, `{"event":"pusher:pong","data":{}}`+"\n"+`{"event":"pusher:subscription_error","channel":"x",`) {
		t.Errorf("%s", got)
	}
	o.full = true
	var err error
	for i := 0; err == nil && i < 100_000; i++ {
		err = execute(n, `{"event":"pusher:ping"}`)
	}
	if websocket.CloseCode(err) != CodeOverCapacity {
		t.Errorf("%v", err)
	}
}

// A closed hub accepts no clients and closes existing connections, whose clients reconnect after a pause.
func TestHubEnded(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		s := newServer(t)
		url := drivers[driver](t, s)
		c := dial(t, url, defaultQuery)
		read(t, c)
		s.Hub.Close()
		if got := code(t, c); got != CodeOverCapacity {
			t.Errorf("an open connection is closed with %v", got)
		}
		if got := code(t, dial(t, url, defaultQuery)); got != CodeOverCapacity {
			t.Errorf("a new connection is closed with %v", got)
		}
	})
}

// Each reason for a close has its code in the protocol.
func TestReasons(t *testing.T) {
	for why, want := range map[hub.EndReason]websocket.Code{
		hub.EndServer: CodeUnauthorized, hub.EndInsufficient: CodeOverCapacity, hub.EndSlow: CodeOverCapacity,
		hub.EndExpired: CodeUnauthorized, hub.EndDenied: CodeUnauthorized, hub.EndReconnect: CodeReconnect, hub.EndShutdown: CodeOverCapacity,
	} {
		if _, got, reason := (codec{}).Closing(why); got != want || reason == "" {
			t.Errorf("%d: %v %q", why, got, reason)
		}
	}
}

// Publications of other protocols are sent as events.
func TestFromOtherProtocols(t *testing.T) {
	for _, tt := range []struct {
		p    hub.Publication
		want string
	}{
		{hub.Publication{Data: []byte("plain")}, `{"event":"message","channel":"presence-x","data":"plain"}`},
		{hub.Publication{Data: []byte{0, 1}, Binary: true}, `{"event":"message","channel":"presence-x","data":"AAE="}`},
		{hub.Publication{Data: []byte{0xff}, Event: "e"}, `{"event":"e","channel":"presence-x","data":"/w=="}`},
		{hub.Publication{Data: []byte(`{"a": "<"}`), Client: "c", User: "eve"}, `{"event":"message","channel":"presence-x","data":"{\"a\": \"<\"}","user_id":"eve"}`},
	} {
		m, err := (codec{}).Publication("presence-x", &tt.p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Len(); got == 0 {
			t.Error("empty")
		}
		e := &event{Event: tt.p.Event, Channel: "presence-x", Data: eventData(&tt.p), UserID: tt.p.User}
		if e.Event == "" {
			e.Event = "message"
		}
		if got := string(encode(e)); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// Publications with reserved names are not sent to clients, which would mistake them for messages of this protocol. The only
// exception is the subscription count that the server itself publishes.
func TestReservedEvents(t *testing.T) {
	for _, p := range []hub.Publication{{Event: "pusher:error"}, {Event: "pusher_internal:member_added"}, {Event: countEvent, Client: "c"}} {
		if m, err := (codec{}).Publication("x", &p, nil); m != nil || err != nil {
			t.Errorf("%+v: %v, %v", p, m, err)
		}
	}
	if m, err := (codec{}).Publication("x", &hub.Publication{Event: countEvent, Data: []byte("{}")}, nil); m == nil || err != nil {
		t.Errorf("%v, %v", m, err)
	}
}

// A client that subscribes to a cache channel while events are published receives the newest event, and no event twice.
func TestCacheWhilePublishing(t *testing.T) {
	s := newServer(t)
	url := drivers["loop"](t, s)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for i := 1; err == nil; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			_, err = s.Hub.Publish(bounded.Context(t), app.ID, "cache-x", &hub.Publication{Event: "e", Data: fmt.Append(nil, i)}, nil)
		}
		done <- err
	}()
	for range 20 {
		c := dial(t, url, defaultQuery)
		read(t, c)
		send(t, c, `{"event":"pusher:subscribe","data":{"channel":"cache-x"}}`)
		if got := read(t, c); !strings.Contains(got, "subscription_succeeded") {
			t.Fatal(got)
		}
		last := 0
		for range 5 {
			var n int
			text := read(t, c)
			if _, err := fmt.Sscanf(text, `{"event":"e","channel":"cache-x","data":"%d"}`, &n); err != nil {
				if last == 0 && strings.Contains(text, "cache_miss") {
					continue
				}
				t.Fatal(text, err)
			}
			if last != 0 && n != last+1 {
				t.Fatalf("%d after %d", n, last)
			}
			last = n
		}
		c.CloseNow()
	}
	close(stop)
	if err := bounded.Receive(t, done); err != nil {
		t.Fatal(err)
	}
}

// hookedHistory is an engine that calls a function immediately after the first read of a channel's history.
type hookedHistory struct {
	hub.Engine
	history hub.History
	once    sync.Once
	hook    func()
}

func (l *hookedHistory) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	page, err := l.history.History(ctx, channel, q)
	l.once.Do(l.hook)
	return page, err
}

func (l *hookedHistory) Trim(ctx context.Context, channel string, through uint64) error {
	return l.history.Trim(ctx, channel, through)
}

// An event that is published between reading the cached event and subscribing replaces the cached one.
func TestEventWhileReadingCache(t *testing.T) {
	engine := hub.NewMemory().Node()
	l := &hookedHistory{Engine: engine, history: engine.(hub.History)}
	h := hub.New(hub.Options{Engine: l, Namespaces: Namespaces(nil)})
	t.Cleanup(func() { h.Close() })
	publish := func(data string) {
		if _, err := h.Publish(bounded.Context(t), app.ID, "cache-x", &hub.Publication{Event: "e", Data: []byte(data)}, nil); err != nil {
			t.Error(err)
		}
	}
	publish("1")
	l.hook = func() { publish("2") }
	c := dial(t, drivers["loop"](t, &Server{Hub: h, Apps: testApps()}), defaultQuery)
	read(t, c)
	send(t, c, `{"event":"pusher:subscribe","data":{"channel":"cache-x"}}`)
	if got := read(t, c); !strings.Contains(got, "subscription_succeeded") {
		t.Error(got)
	}
	if got := read(t, c); !strings.Contains(got, `"data":"2"`) {
		t.Error(got)
	}
}

// The number of subscriptions is sent when it changes, at most once a second.
func TestSubscriptionCounts(t *testing.T) {
	s := newServer(t)
	s.SubscriptionCounts = true
	events := make(chan hub.Event, 10)
	s.Events = func(e hub.Event) { events <- e }
	url := drivers["loop"](t, s)
	subscribe := func() *websocket.Conn {
		c := dial(t, url, defaultQuery)
		read(t, c)
		send(t, c, `{"event":"pusher:subscribe","data":{"channel":"x"}}`)
		if got := read(t, c); !strings.Contains(got, "subscription_succeeded") {
			t.Fatal(got)
		}
		return c
	}
	want := func(c *websocket.Conn, n int) {
		t.Helper()
		text := fmt.Sprintf(`{"event":"pusher_internal:subscription_count","channel":"x","data":"{\"subscription_count\":%d}"}`, n)
		for read(t, c) != text {
		}
	}
	a := subscribe()
	want(a, 1)
	b := subscribe()
	want(a, 2)
	want(b, 2)
	b.CloseNow()
	want(a, 1)
	a.CloseNow()
	bounded.Until(t, s.counts.idle)
	for _, n := range []int{1, 2, 1, 0} {
		e := bounded.Receive(t, events)
		if e.Kind != hub.EventSubscriptionCount || e.App != app.ID || e.Channel != "x" || e.Subscribers != n || e.Time.IsZero() {
			t.Errorf("%+v, want %d", e, n)
		}
	}
}

// The event of a cache channel is kept for 30 minutes, even if the channel's history is longer.
func TestCacheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Namespaces: []hub.Namespace{{History: 5, HistoryAge: 2 * time.Hour}}})
		defer h.Close()
		s := &Server{Hub: h, Apps: testApps()}
		cached := func(want bool) {
			t.Helper()
			if p, _, err := s.cached(t.Context(), app.ID, "cache-x"); (p != nil) != want || err != nil {
				t.Errorf("%+v, %v, want one: %t", p, err, want)
			}
		}
		cached(false)
		if _, err := h.Publish(t.Context(), app.ID, "cache-x", &hub.Publication{Event: "e", Data: []byte("1")}, nil); err != nil {
			t.Fatal(err)
		}
		advance(30*time.Minute - time.Second)
		cached(true)
		advance(time.Second)
		cached(false)
	})
}

// A cache miss is reported, once a second for any number of subscribers.
func TestCacheMisses(t *testing.T) {
	s := newServer(t)
	events := make(chan hub.Event, 100)
	s.Events = func(e hub.Event) { events <- e }
	url := drivers["loop"](t, s)
	for i := range 20 {
		c := dial(t, url, defaultQuery)
		read(t, c)
		for _, channel := range []string{"cache-x", "cache-y"} {
			if channel == "cache-y" && i == 0 {
				if _, err := s.Hub.Publish(bounded.Context(t), app.ID, channel, &hub.Publication{Event: "e", Data: []byte("1")}, nil); err != nil {
					t.Fatal(err)
				}
			}
			send(t, c, `{"event":"pusher:subscribe","data":{"channel":"`+channel+`"}}`)
			read(t, c) // the reply
			read(t, c) // the event, or the cache miss
		}
		c.CloseNow()
	}
	first := bounded.Receive(t, events)
	if first.Kind != hub.EventCacheMiss || first.App != app.ID || first.Channel != "cache-x" {
		t.Errorf("%+v", first)
	}
	for len(events) > 0 {
		if e := bounded.Receive(t, events); e.Channel != "cache-x" || e.Time.Sub(first.Time) < throttleTime {
			t.Errorf("%+v after %+v", e, first)
		} else {
			first = e
		}
	}
}

// The ID of a user has 1 to 128 bytes in every message that contains one.
func TestValidUser(t *testing.T) {
	for n, want := range map[int]bool{0: false, 1: true, 128: true, 129: false} {
		id := strings.Repeat("u", n)
		if validUser(id) != want {
			t.Errorf("%d bytes are valid: %t", n, !want)
		}
		if _, _, err := parseMember(jsonText(map[string]string{"user_id": id})); (err == nil) != want {
			t.Errorf("a member with an ID of %d bytes: %v", n, err)
		}
		if validChannel(userPrefix+id) != want {
			t.Errorf("the channel of a user with an ID of %d bytes is valid: %t", n, !want)
		}
		s := open(newServer(t), new(outbox))
		t.Cleanup(func() { s.Closed(nil) })
		data := jsonText(map[string]string{"id": id})
		err := execute(s, jsonText(command{Event: "pusher:signin", Data: encode(request{UserData: data, Auth: app.Key + ":" + app.sign(userText(s.id, data))})}))
		if (err == nil) != want {
			t.Errorf("a sign-in with an ID of %d bytes: %v", n, err)
		}
	}
}

// The data of other protocols may be JSON, other text, or empty.
func TestAsJSON(t *testing.T) {
	for data, want := range map[string]string{"": "null", "1": "1", "x": `"x"`, `{"a":1}`: `{"a":1}`} {
		if got := string(asJSON([]byte(data))); got != want {
			t.Errorf("%q: %s, want %s", data, got, want)
		}
	}
}

// The namespaces get the settings that the protocol requires, and are otherwise unchanged.
func TestNamespaces(t *testing.T) {
	all := Namespaces([]hub.Namespace{
		{Prefix: "", History: 5, HistoryAge: time.Minute}, {Prefix: "presence-big-", MaxData: 7},
		{App: "a", Prefix: "", Name: "all of a"}, {App: "b", Prefix: "private-cache-", HistoryAge: 0, History: 3},
	})
	find := func(app, prefix string) hub.Namespace {
		for _, n := range all {
			if n.App == app && n.Prefix == prefix {
				return n
			}
		}
		t.Fatalf("no rules for %q %q: %+v", app, prefix, all)
		return hub.Namespace{}
	}
	for _, tt := range []struct{ got, want hub.Namespace }{
		{find("", ""), hub.Namespace{History: 5, HistoryAge: time.Minute}},
		{find("", "presence-"), hub.Namespace{Prefix: "presence-", History: 5, HistoryAge: time.Minute, Presence: true}},
		{find("", "presence-big-"), hub.Namespace{Prefix: "presence-big-", MaxData: 7, Presence: true}},
		{find("", "presence-cache-"), hub.Namespace{Prefix: "presence-cache-", History: 5, HistoryAge: cacheTTL, Presence: true}},
		{find("", "cache-"), hub.Namespace{Prefix: "cache-", History: 5, HistoryAge: cacheTTL}},
		{find("a", "cache-"), hub.Namespace{App: "a", Prefix: "cache-", Name: "all of a", History: 1, HistoryAge: cacheTTL}},
		{find("b", "private-cache-"), hub.Namespace{App: "b", Prefix: "private-cache-", History: 3}},
	} {
		if tt.got != tt.want {
			t.Errorf("got %+v, want %+v", tt.got, tt.want)
		}
	}
	if len(all) != 4+5+5+1 { // 4 given namespaces, 5 added for each of "" and a, and 1 for watchlists
		t.Errorf("%d rules: %+v", len(all), all)
	}
}

// An error of the engine is reported to the client as 503, without the text of the error.
func TestEngineErrorTextIsNotSent(t *testing.T) {
	s := newServer(t)
	n := open(s, &outbox{})
	defer n.Closed(nil)
	f, ok := n.subscriptionFault("x", errors.New("secret of the engine")).(fault)
	if !ok || f.code != 503 || strings.Contains(f.message, "secret") {
		t.Errorf("%+v", f)
	}
}
