package channels

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// code reads until the connection ends, and returns the close code.
func code(t *testing.T, c *websocket.Conn) websocket.Code {
	t.Helper()
	for {
		if _, err := c.Read(bounded.Context(t)); err != nil {
			return websocket.CloseCode(err)
		}
	}
}

// A client whose commands all fail is closed; other clients are not.
func TestTooManyFailures(t *testing.T) {
	eachEngine(t, func(t *testing.T, driver string) {
		url := start(t, driver, &Server{Hub: newHub(t), App: "dev"})
		honest, c := dial(t, url, nil), dial(t, url, nil)
		read(t, honest)
		for i := range 2 * maxFailures {
			m := websocket.Message{Type: websocket.Text, Data: fmt.Append(nil, `{"type":"fly","id":`, i+1, `}`)}
			if c.Write(bounded.Context(t), m) != nil {
				break // the connection is closed
			}
		}
		if got := code(t, c); got != websocket.CodePolicy {
			t.Errorf("closed with %v", got)
		}
		send(t, honest, `{"type":"ping","id":1}`)
		if got := read(t, honest); got != `{"type":"pong","id":1}` {
			t.Error(got)
		}
	})
}

// Commands beyond the rate limit get a specific error code.
func TestTooManyCommands(t *testing.T) {
	eachEngine(t, func(t *testing.T, driver string) {
		c := dial(t, start(t, driver, &Server{Hub: newHub(t), App: "dev", CommandsPerSecond: 1}), nil)
		read(t, c)
		for i := 1; i <= 3; i++ {
			send(t, c, fmt.Sprint(`{"type":"ping","id":`, i, `}`))
		}
		send(t, c, `{"type":"fly","id":4}`)
		for _, want := range []string{`{"type":"pong","id":1}`, `{"type":"pong","id":2}`,
			`{"type":"error","id":3,"code":"too_fast","message":"too many commands in a short time"}`,
			`{"type":"error","id":4,"code":"too_fast","message":"too many commands in a short time"}`} {
			if got := read(t, c); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// Missed messages that do not fit into one reply are recovered in parts, in order.
func TestRecoverInPages(t *testing.T) {
	eachEngine(t, func(t *testing.T, driver string) {
		c := dial(t, start(t, driver, &Server{Hub: newHub(t), App: "dev"}), nil)
		read(t, c)
		const n = 100
		data := strings.Repeat("x", 10_000)
		var epoch string
		for i := range n {
			send(t, c, fmt.Sprintf(`{"type":"publish","id":%d,"channel":"long:x","data":"%s"}`, i+1, data))
			var p wire.Published
			if err := json.Unmarshal([]byte(read(t, c)), &p); err != nil || p.Type != "published" {
				t.Fatal(p, err)
			}
			epoch = p.Position.Epoch
		}
		offset, pieces := uint64(1), 0
		for offset < n {
			pieces++
			send(t, c, fmt.Sprintf(`{"type":"subscribe","id":1,"channel":"long:x","since":{"epoch":"%s","offset":%d}}`, epoch, offset))
			var s wire.Subscribed
			if err := json.Unmarshal([]byte(read(t, c)), &s); err != nil || s.Recovered == nil || !*s.Recovered || s.Position.Offset != offset {
				t.Fatalf("%+v, %v", s, err)
			}
			for offset < n {
				text := read(t, c)
				var m wire.Message
				if err := json.Unmarshal([]byte(text), &m); err != nil {
					t.Fatal(err)
				}
				if m.Type == "unsubscribed" && strings.Contains(text, `"code":"insufficient"`) {
					break
				}
				if offset++; m.Type != "message" || m.Offset != offset {
					t.Fatalf("offset %d, want %d: %.100s", m.Offset, offset, text)
				}
			}
		}
		if pieces < 4 || pieces > 6 {
			t.Errorf("recovered in %d parts", pieces)
		}
		send(t, c, `{"type":"publish","channel":"long:x","data":"live"}`)
		if text := read(t, c); !strings.Contains(text, `"data":"live"`) {
			t.Errorf("%.100s", text)
		}
	})
}

// A connection can acknowledge messages for a limited number of devices, but any number of times.
func TestManyDevices(t *testing.T) {
	eachEngine(t, func(t *testing.T, driver string) {
		c := dial(t, start(t, driver, &Server{Hub: newHub(t), App: "dev"}), nil)
		read(t, c)
		send(t, c, `{"type":"subscribe","id":1,"channel":"long:x"}`)
		read(t, c)
		for i := range 3*maxDevices + 1 {
			send(t, c, fmt.Sprintf(`{"type":"ack","id":2,"channel":"long:x","device":"%d","position":{"epoch":"e","offset":%d}}`, i%(maxDevices+1), i))
			text, refused := read(t, c), i%(maxDevices+1) == maxDevices
			if refused != strings.Contains(text, `"code":"too_many"`) || refused == strings.Contains(text, `"done"`) {
				t.Errorf("%d: %s", i, text)
			}
		}
	})
}

// fullSender is a connection whose queue has no room.
type fullSender struct {
	websocket.Sender
	room int
	sent []string
}

func (f *fullSender) Send(m websocket.Message) error {
	if f.room == 0 {
		return websocket.ErrQueueFull
	}
	f.room--
	f.sent = append(f.sent, string(m.Data))
	return nil
}

func (f *fullSender) SendPrepared(...*websocket.Prepared) error { return websocket.ErrQueueFull }

// Replies wait in order for room in the queue; if a client never reads, the number of waiting replies is limited.
func TestRepliesWaitForRoom(t *testing.T) {
	out := &fullSender{room: 1}
	s := (&Server{Hub: newHub(t), App: "dev"}).Open(Client{})(out).(*session)
	defer s.Closed(nil)
	command := func(text string) error {
		return s.Message(websocket.Message{Type: websocket.Text, Data: []byte(text)})
	}
	for i := 1; i <= 3; i++ {
		if err := command(fmt.Sprint(`{"type":"ping","id":`, i, `}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := command(`{"type":"subscribe","id":4,"channel":"chat"}`); err != nil { // fails, because the reply to a subscription cannot wait
		t.Fatal(err)
	}
	out.room = 2
	s.Drained()
	out.room = 3
	s.Drained()
	want := []string{`{"type":"pong","id":1}`, `{"type":"pong","id":2}`, `{"type":"pong","id":3}`,
		`{"type":"error","id":4,"channel":"chat","code":"unavailable","message":"the server is temporarily unavailable: try again later"}`}
	if got := out.sent[1:]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q", got)
	}
	out.room = 0
	var err error
	n := 0
	for ; err == nil && n < 100_000; n++ {
		err = command(`{"type":"ping","id":9007199254740991}`)
	}
	if websocket.CloseCode(err) != wire.CloseSlow {
		t.Errorf("after %d replies: %v", n, err)
	}
}

// A closed hub closes existing clients and accepts no new ones.
func TestHubEnded(t *testing.T) {
	eachEngine(t, func(t *testing.T, driver string) {
		h := newHub(t)
		url := start(t, driver, &Server{Hub: h, App: "dev"})
		c := dial(t, url, nil)
		read(t, c)
		h.Close()
		if got := code(t, c); got != websocket.CodeGoingAway {
			t.Errorf("an open connection is closed with %v", got)
		}
		if got := code(t, dial(t, url, nil)); got != websocket.CodeGoingAway {
			t.Errorf("a new connection is closed with %v", got)
		}
	})
}

// Publications from clients of other protocols also arrive as JSON, and the application can end subscriptions and connections.
func TestFromTheServer(t *testing.T) {
	eachEngine(t, func(t *testing.T, driver string) {
		h := newHub(t)
		c := dial(t, start(t, driver, &Server{Hub: h, App: "dev"}), map[string][]string{"User": {"ann"}})
		read(t, c)
		send(t, c, `{"type":"subscribe","id":1,"channel":"chat"}`)
		read(t, c)
		for _, tt := range []struct {
			p    hub.Publication
			want string
		}{
			{hub.Publication{Data: []byte("plain")}, `"data":"plain"`},
			{hub.Publication{Data: []byte{0, 1}, Binary: true}, `"data":"AAE=","binary":true`},
			{hub.Publication{Data: []byte{0xff}}, `"data":"/w==","binary":true`},
			{hub.Publication{Data: []byte(`{"a": "<"}`), User: "eve", Info: []byte("x")}, `"data":{"a":"<"},"user":"eve","info":"x"`},
		} {
			if _, err := h.Publish(bounded.Context(t), "dev", "chat", &tt.p, nil); err != nil {
				t.Fatal(err)
			}
			if got := read(t, c); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		}
		err := h.Do(bounded.Context(t), hub.Command{Kind: hub.CommandUnsubscribe, App: "dev", User: "ann", Channel: "chat"})
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, c); !strings.Contains(got, `"unsubscribed","channel":"chat","code":"server"`) {
			t.Error(got)
		}
		err = h.Do(bounded.Context(t), hub.Command{Kind: hub.CommandDisconnect, App: "dev", User: "ann", Reason: hub.EndDenied})
		if err != nil {
			t.Fatal(err)
		}
		if got := code(t, c); got != wire.CloseDenied {
			t.Errorf("closed with %v", got)
		}
	})
}

// Each end reason has its own message and close code.
func TestReasons(t *testing.T) {
	for why, want := range map[hub.EndReason]websocket.Code{
		hub.EndServer: wire.CloseServer, hub.EndInsufficient: wire.CloseSlow, hub.EndSlow: wire.CloseSlow, hub.EndExpired: wire.CloseExpired,
		hub.EndDenied: wire.CloseDenied, hub.EndReconnect: websocket.CodeServiceRestart, hub.EndShutdown: websocket.CodeGoingAway,
	} {
		if _, got, reason := (codec{}).Closing(why); got != want || reason == "" {
			t.Errorf("%d: %v %q", why, got, reason)
		}
		if m, err := (codec{}).Ended("chat", why); m == nil || err != nil {
			t.Errorf("%d: %v", why, err)
		}
	}
}

// Messages of another protocol are not sent.
func TestMessagesOfAnotherProtocol(t *testing.T) {
	if m, err := (codec{}).Publication("chat", &hub.Publication{Event: hub.InternalPrefix + "x"}, nil); m != nil || err != nil {
		t.Errorf("%v, %v", m, err)
	}
}
