package gateway

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/pusher"
	"github.com/handfast/handfast/websocket"
)

// threeProtocols serves the same channels to clients of all protocols. Channels that begin with closed- are denied.
const threeProtocols = `
auth: {users: {jwt: {secret: "%[1]s", skew: 0s}}}
apps: [{id: main, key: k, secret: s}]
hub: {max_subscriptions: 4, namespaces: [{prefix: "", history: 100, history_age: 1h, max_data: 2KiB}, {prefix: "large-", history: 100, history_age: 1h, max_data: 64KiB}]}
endpoints:
  - {path: /channels, target: {channels: {commands_per_second: 50}}, auth: [users], ping_interval: 10m, max_message: 16KiB, rules: &all [{do: deny, channels: ["*closed-*"]}, {do: allow}]}
  - {path: "/app/{key}", target: {pusher: {messages_per_second: 50, max_data: 1KiB, client_events: true, activity_timeout: 1h}}, auth: [anonymous], ping_interval: 10m, max_message: 16KiB, rules: *all}
  - {path: /connection/websocket, target: {centrifugo: {commands_per_second: 50}}, auth: [anonymous], ping_interval: 10m, max_message: 16KiB, rules: *all}
`

// protocolClient is a connected client of one of the protocols.
type protocolClient struct {
	*websocket.Conn

	id string // the ID of the connection, for signatures
}

// protocolOf describes a protocol from a client's perspective.
type protocolOf struct {
	open       func(t *testing.T, r *running, o *websocket.DialOptions) *protocolClient
	subscribe  string // %s is replaced by the channel
	data       string // matches the data of a received message, a number
	ping, pong string // the beginning of a ping, and the reply to it
}

// slowDialOptions returns options with a long timeout, for a server that is busy with a flood.
func slowDialOptions() *websocket.DialOptions {
	return &websocket.DialOptions{Conn: websocket.ConnOptions{PingInterval: -1}}
}

var protocols = map[string]protocolOf{
	"channels": {
		open: func(t *testing.T, r *running, o *websocket.DialOptions) *protocolClient {
			o.Header = withToken(token("ann", time.Hour, nil)).Header
			c := r.open(t, "/channels", o)
			readText(t, c)
			return &protocolClient{Conn: c}
		},
		subscribe: `{"type":"subscribe","id":1,"channel":"%s"}`, data: `"data":%d`,
	},
	"pusher": {
		open: func(t *testing.T, r *running, o *websocket.DialOptions) *protocolClient {
			c := r.open(t, "/app/k?protocol=7", o)
			_, after, _ := strings.Cut(readText(t, c), `\"socket_id\":\"`)
			id, _, ok := strings.Cut(after, `\"`)
			if !ok {
				t.Fatal("no socket_id")
			}
			return &protocolClient{c, id}
		},
		subscribe: `{"event":"pusher:subscribe","data":{"channel":"%s"}}`, data: `"data":"%d"}`,
		ping: `{"event":"pusher:ping"`, pong: `{"event":"pusher:pong","data":{}}`,
	},
	"centrifugo": {
		open: func(t *testing.T, r *running, o *websocket.DialOptions) *protocolClient {
			c := r.open(t, "/connection/websocket", o)
			wantParts(t, sendCommand(t, c, `{"id":1,"connect":{"token":"`+appToken("s", `{"sub":"ann"}`)+`"}}`), `"client":"`)
			return &protocolClient{Conn: c}
		},
		subscribe: `{"id":2,"subscribe":{"channel":"%s"}}`, data: `"data":%d`, ping: "{}", pong: "{}",
	},
}

// steadyClient is a client that reads its messages, and answers pings.
type steadyClient struct {
	protocolOf
	*protocolClient

	received chan string // messages with data
}

// listen reads until the connection ends, and then closes heard.
func (h *steadyClient) listen() {
	defer close(h.received)
	for {
		m, err := h.Read(context.Background())
		if err != nil {
			return
		}
		got := string(m.Data)
		if strings.HasPrefix(got, h.ping) && h.ping != "" {
			if h.Write(context.Background(), websocket.Message{Type: websocket.Text, Data: []byte(h.pong)}) != nil {
				return
			}
		} else {
			h.received <- got
		}
	}
}

// waitFor waits for a message with data.
func (h *steadyClient) waitFor(t *testing.T, data int) {
	t.Helper()
	for {
		got := bounded.Receive(t, h.received)
		if got == "" {
			t.Fatal("the connection of another client has ended")
		}
		if strings.Contains(got, fmt.Sprintf(h.data, data)) {
			return
		}
	}
}

// messageFlood is a message that a client sends repeatedly until its connection is closed.
type messageFlood struct {
	name, protocol string
	first          string // sent first; any reply is accepted. %s is the ID of the connection, or a signature
	message        string // %d is replaced by a different number each time
	answer         string // the reply, which contains the error code; "" if the first message closes the connection
	end            websocket.Code
	unread         bool // several clients send many messages, read nothing, and disconnect
}

// messageFloods returns floods that cause the same errors in each protocol, with the protocol's codes. The Pusher protocol
// has neither tokens that expire nor a history.
func messageFloods() []messageFlood {
	const (
		ch, pu, cf = "channels", "pusher", "centrifugo"
		slow       = websocket.CodePolicy    // too many failed commands of handfast.v1.json
		over       = pusher.CodeOverCapacity // the same for Pusher
		errs       = websocket.Code(3509)    // the same for Centrifugo
		bad        = websocket.Code(3501)    // a command to which Centrifugo does not reply
		big        = websocket.CodeTooBig
	)
	many, larger := strings.Repeat("x", 3<<10), strings.Repeat("x", 17<<10)
	expired, forged := appToken("s", `{"sub":"ann","channel":"other","exp":1}`), appToken("other", `{"sub":"ann","channel":"other"}`)
	return []messageFlood{
		{name: "commands", protocol: ch, message: `{"type":"ping","id":1}`, answer: `"code":"too_fast"`, end: slow},
		{name: "commands", protocol: pu, message: `{"event":"pusher:ping"}`, answer: `"code":4301`, end: over},
		{name: "commands", protocol: cf, message: `{"id":3,"presence_stats":{"channel":"news"}}`, answer: `"code":111`, end: errs},

		{name: "publications", protocol: ch, message: `{"type":"publish","id":1,"channel":"chat","data":1}`, answer: `"code":"too_fast"`, end: slow},
		{name: "publications", protocol: pu, first: `{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"%s"}}`,
			message: `{"event":"client-x","channel":"private-x","data":{}}`, answer: `"code":4301`, end: over},
		{name: "publications", protocol: cf, message: `{"id":3,"publish":{"channel":"chat","data":1}}`, answer: `"code":111`, end: errs},

		{name: "invalid JSON", protocol: ch, message: `{"type":`, answer: `"code":"bad_request"`, end: slow},
		{name: "invalid JSON", protocol: pu, message: `{"event":`, answer: `not valid JSON`, end: over},
		{name: "invalid JSON", protocol: cf, message: `{"id":3,`, end: bad},

		{name: "binary messages", protocol: ch, message: "\xff\x00", answer: `"code":"bad_request"`, end: slow},
		{name: "binary messages", protocol: pu, message: "\xff\x00", answer: `this one is binary`, end: over},
		{name: "binary messages", protocol: cf, message: "\xff\x00", end: bad},

		{name: "large data", protocol: ch, message: `{"type":"publish","id":1,"channel":"chat","data":"` + many + `"}`, answer: `"code":"too_big"`, end: slow},
		{name: "large data", protocol: pu, first: `{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"%s"}}`,
			message: `{"event":"client-x","channel":"private-x","data":"` + many + `"}`, answer: `the data is larger than 1024 bytes`, end: over},
		{name: "large data", protocol: cf, message: `{"id":3,"publish":{"channel":"chat","data":"` + many + `"}}`, answer: `"code":106`, end: errs},

		{name: "messages over the limit", protocol: ch, message: larger, end: big},
		{name: "messages over the limit", protocol: pu, message: larger, end: big},
		{name: "messages over the limit", protocol: cf, message: larger, end: big},

		{name: "subscriptions", protocol: ch, message: `{"type":"subscribe","id":1,"channel":"c%d"}`, answer: `"code":"too_many"`, end: slow},
		{name: "subscriptions", protocol: pu, message: `{"event":"pusher:subscribe","data":{"channel":"c%d"}}`, answer: `"type":"LimitReached"`, end: over},
		{name: "subscriptions", protocol: cf, message: `{"id":3,"subscribe":{"channel":"c%d"}}`, answer: `"code":106`, end: errs},

		{name: "forged tokens", protocol: ch, message: `{"type":"refresh","id":1,"token":"` + forged + `"}`, answer: `"code":"denied"`, end: slow},
		{name: "forged tokens", protocol: pu, message: `{"event":"pusher:subscribe","data":{"channel":"private-c%d","auth":"k:00"}}`, answer: `"status":401`, end: over},
		{name: "forged tokens", protocol: cf, message: `{"id":3,"subscribe":{"channel":"other","token":"` + forged + `"}}`, answer: `"code":103`, end: errs},

		{name: "expired tokens", protocol: ch, message: `{"type":"refresh","id":1,"token":"` + token("ann", -time.Hour, nil) + `"}`, answer: `"code":"denied"`, end: slow},
		{name: "expired tokens", protocol: cf, message: `{"id":3,"subscribe":{"channel":"other","token":"` + expired + `"}}`, answer: `"code":109`, end: errs},

		{name: "denied channels", protocol: ch, message: `{"type":"subscribe","id":1,"channel":"closed-%d"}`, answer: `"code":"denied"`, end: slow},
		{name: "denied channels", protocol: pu, message: `{"event":"pusher:subscribe","data":{"channel":"closed-%d"}}`, answer: `"status":403`, end: over},
		{name: "denied channels", protocol: cf, message: `{"id":3,"subscribe":{"channel":"closed-%d"}}`, answer: `"code":103`, end: errs},

		{name: "unknown commands", protocol: ch, message: `{"type":"fly%d","id":1}`, answer: `"code":"unknown_type"`, end: slow},
		{name: "unknown commands", protocol: pu, message: `{"event":"pusher:fly%d"}`, answer: `The event is unknown`, end: over},
		{name: "unknown commands", protocol: cf, message: `{"id":3,"rpc":{"method":"fly%d"}}`, answer: `"code":108`, end: errs},

		{name: "large replies that are not read", protocol: ch, message: `{"type":"history","id":1,"channel":"large-x","limit":100}`, unread: true},
		{name: "large replies that are not read", protocol: cf, message: `{"id":3,"history":{"channel":"large-x","limit":100}}`, unread: true},
	}
}

// runUnread sends the flood on several connections without reading.
func (f *messageFlood) runUnread(t *testing.T, r *running) {
	t.Helper()
	var cs [4]*protocolClient
	for i := range cs {
		cs[i] = protocols[f.protocol].open(t, r, slowDialOptions())
	}
	for range 60 { // at the allowed rate
		for _, c := range cs {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)                   // the server need not read the message
			c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(f.message)}) //nolint:errcheck // the server need not read the message before the timeout
			cancel()
		}
	}
	for _, c := range cs {
		c.CloseNow()
	}
}

// run sends the flood until the connection is closed, and checks what the client has received.
func (f *messageFlood) run(t *testing.T, r *running) {
	t.Helper()
	if f.unread {
		f.runUnread(t, r)
		return
	}
	c := protocols[f.protocol].open(t, r, slowDialOptions())
	if f.first != "" {
		sendCommand(t, c.Conn, fmt.Sprintf(f.first, "k:"+hmacOf("s", c.id+":private-x")))
	}
	answered, ended := 0, make(chan websocket.Code, 1)
	ctx := bounded.Context(t) // one for all messages: each context uses memory until the end of the test
	go func() {
		for {
			m, err := c.Read(ctx)
			if err != nil {
				ended <- websocket.CloseCode(err)
				return
			}
			if f.answer != "" && strings.Contains(string(m.Data), f.answer) {
				answered++
			}
		}
	}()
	for i := range 1_000_000 { // the connection is closed before the last message
		m := websocket.Message{Type: websocket.Text, Data: []byte(strings.ReplaceAll(f.message, "%d", fmt.Sprint(i)))}
		if f.message[0] == 0xff {
			m.Type = websocket.Binary
		}
		if c.Write(ctx, m) != nil {
			break
		}
	}
	if end := bounded.Receive(t, ended); end != f.end {
		t.Errorf("closed with %d, want %d", end, f.end)
	}
	if f.answer != "" && answered == 0 {
		t.Errorf("no reply contains %s", f.answer)
	}
}

// apiFlood is a call of an HTTP API that is repeated many times.
type apiFlood struct {
	name   string
	call   func(t *testing.T, r *running) (status int, body string)
	status int
	answer string
}

func apiFloods() []apiFlood {
	pusherCall := func(key, secret, body string) func(*testing.T, *running) (int, string) {
		return func(t *testing.T, r *running) (int, string) {
			t.Helper()
			return trigger(t, r.URLs()[0], "/apps/main/events", key, secret, body)
		}
	}
	centrifugoCall := func(method, key, body string) func(*testing.T, *running) (int, string) {
		return func(t *testing.T, r *running) (int, string) {
			t.Helper()
			res := post(t, r.URLs()[0]+"/api/"+method, key, body)
			text := make([]byte, 300)
			n, _ := res.Body.Read(text)
			res.Body.Close()
			return res.StatusCode, string(text[:n])
		}
	}
	stale := func(t *testing.T, r *running) (int, string) {
		t.Helper()
		q := "auth_key=k&auth_timestamp=1&auth_version=1.0"
		res, body := requestPage(t, "GET", r.URLs()[0]+"/apps/main/channels?"+q+"&auth_signature="+hmacOf("s", "GET\n/apps/main/channels\n"+q), nil)
		return res.StatusCode, body
	}
	names := func(n int) string { return `"c"` + strings.Repeat(`,"c"`, n-1) }
	big := strings.Repeat("x", 3<<10)
	return []apiFlood{
		{"pusher/invalid JSON", pusherCall("k", "s", `{"name":`), 400, "not valid JSON"},
		{"pusher/large data", pusherCall("k", "s", `{"name":"e","channel":"c","data":"`+big+`"}`), 413, "at most 1024 bytes"},
		{"pusher/large bodies", pusherCall("k", "s", strings.Repeat(big, 50)), 413, "larger than"},
		{"pusher/channels", pusherCall("k", "s", `{"name":"e","channels":[`+names(101)+`],"data":"1"}`), 400, "1 to 100 channels"},
		{"pusher/names of channels", pusherCall("k", "s", `{"name":"e","channel":"a b","data":"1"}`), 400, "not a valid name"},
		{"pusher/wrong signatures", pusherCall("k", "wrong", `{"name":"e","channel":"c","data":"1"}`), 401, "auth_signature"},
		{"pusher/wrong keys", pusherCall("other", "s", `{"name":"e","channel":"c","data":"1"}`), 401, "auth_key"},
		{"pusher/old signatures", stale, 401, "auth_timestamp"},
		{"centrifugo/invalid JSON", centrifugoCall("publish", "s", `{"channel":`), 400, "not a JSON object"},
		{"centrifugo/large data", centrifugoCall("publish", "s", `{"channel":"c","data":"`+big+`"}`), 200, `"code":106`},
		{"centrifugo/large bodies", centrifugoCall("publish", "s", strings.Repeat(big, 1400)), 413, ""},
		{"centrifugo/channels", centrifugoCall("broadcast", "s", `{"channels":[`+names(1001)+`],"data":1}`), 200, `"code":107`},
		{"centrifugo/names of channels", centrifugoCall("publish", "s", `{"channel":"`+strings.Repeat("x", 300)+`","data":1}`), 200, `"code":107`},
		{"centrifugo/wrong keys", centrifugoCall("publish", "wrong", `{"channel":"c","data":1}`), 401, "API key"},
		{"centrifugo/unknown methods", centrifugoCall("fly", "s", `{}`), 404, "no such method"},
	}
}

// peakHeap returns the maximum size of the heap in bytes while f runs.
func peakHeap(f func()) uint64 {
	var most atomic.Uint64
	look := func() {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most.Store(max(most.Load(), m.HeapAlloc))
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
				look()
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	look()
	return most.Load()
}

// A flood of errors in one protocol closes only its own connection, with that protocol's code, does not prevent delivery to other
// clients, and uses limited memory. The same applies to calls of the HTTP APIs.
func TestFloodOfOneProtocol(t *testing.T) {
	r := run(t, parse(t, threeProtocols, key))
	var others []*steadyClient
	for _, p := range protocols {
		c := &steadyClient{p, p.open(t, r, slowDialOptions()), make(chan string, 16)}
		sendCommand(t, c.Conn, fmt.Sprintf(p.subscribe, "news"))
		go c.listen()
		others = append(others, c)
	}
	for range 100 {
		body := `{"channel":"large-x","data":"` + strings.Repeat("x", 40<<10) + `"}`
		if res := post(t, r.URLs()[0]+"/api/publish", "s", body); res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}
	sent := 1000
	stay := func(t *testing.T) {
		t.Helper()
		sent++
		status, text := trigger(t, r.URLs()[0], "/apps/main/events", "k", "s", fmt.Sprintf(`{"name":"e","channel":"news","data":"%d"}`, sent))
		if status != http.StatusOK {
			t.Fatal(status, text)
		}
		for _, c := range others {
			c.waitFor(t, sent)
		}
	}
	stay(t)
	const room = 128 << 20 // queues, waiting messages, messages in transit on both sides, and garbage
	var before uint64
	bound := func(t *testing.T, f func()) {
		t.Helper()
		if before == 0 {
			before = peakHeap(func() {})
		}
		if peak := peakHeap(f); peak > before+room {
			t.Errorf("%d KiB of heap, %d before", peak>>10, before>>10)
		}
		stay(t)
	}
	for _, f := range messageFloods() {
		t.Run(f.protocol+"/"+f.name, func(t *testing.T) { bound(t, func() { f.run(t, r) }) })
	}
	for _, f := range apiFloods() {
		t.Run(f.name, func(t *testing.T) {
			bound(t, func() {
				for range 20 {
					if status, text := f.call(t, r); status != f.status || !strings.Contains(text, f.answer) {
						t.Fatalf("%d %s, want %d %s", status, text, f.status, f.answer)
					}
				}
			})
		})
	}
	bounded.Until(t, func() bool { return peakHeap(func() {}) < before+8<<20 }) // the memory of the flood is released
	if lines := strings.Count(r.log.String(), `msg="action denied"`); lines > 100 {
		t.Errorf("the log has %d lines about denied actions", lines)
	}
}
