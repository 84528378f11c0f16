package centrifugo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/golang-jwt/jwt/v5"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/transcript"
	"github.com/handfast/handfast/websocket"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

func newServer(t testing.TB) *Server {
	h := hub.New(hub.Options{MaxSubscriptions: 4, Namespaces: []hub.Namespace{
		{History: 10, Presence: true}, {Prefix: "short:", History: 2}, {Prefix: "none:"},
	}})
	t.Cleanup(func() { h.Close() })
	return &Server{Hub: h, App: "dev", Secret: "secret"}
}

// serve serves s with a goroutine per connection, or on the event loop, and returns the URL.
func serve(t *testing.T, s *Server, c Client, loop bool) string {
	accept := websocket.AcceptOptions{Subprotocols: Subprotocols, Conn: ConnOptions()}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/{method}", s.API)
	mux.HandleFunc("/emulation", s.Emulation)
	mux.HandleFunc("/connection/sse", func(w http.ResponseWriter, r *http.Request) { s.SSE(w, r, c) })
	mux.HandleFunc("/connection/http_stream", func(w http.ResponseWriter, r *http.Request) { s.HTTPStream(w, r, c) })
	if !loop {
		mux.HandleFunc("/connection/websocket", func(w http.ResponseWriter, r *http.Request) {
			if conn, err := websocket.Accept(w, r, &accept); err == nil {
				conn.Run(context.Background(), s.Open(c))
			}
		})
		ts := httptest.NewServer(mux)
		t.Cleanup(ts.Close)
		return ts.URL
	}
	mux.Handle("/connection/websocket", &websocket.Endpoint{Accept: accept, Open: s.Open(c)})
	ws := &websocket.Server{HTTP: &http.Server{Handler: mux}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- ws.Serve(l) }()
	t.Cleanup(func() {
		ws.Close()
		bounded.Receive(t, done)
	})
	return "http://" + l.Addr().String()
}

// peer is a client in a test.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
	f    format
}

func dial(t *testing.T, url string, f format) *peer {
	t.Helper()
	o := &websocket.DialOptions{}
	if f == asProtobuf {
		o.Subprotocols = []string{subprotocolProtobuf}
	}
	c, err := websocket.Dial(bounded.Context(t), url+"/connection/websocket", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return &peer{t, c, f}
}

func (p *peer) send(data string) {
	p.t.Helper()
	if err := p.conn.Write(bounded.Context(p.t), p.f.message([]byte(data))); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next message that is not a ping. It answers pings, because a test may take longer than a client may be silent.
func (p *peer) read() string {
	p.t.Helper()
	for {
		m, err := p.conn.Read(bounded.Context(p.t))
		if err != nil {
			p.t.Fatal(err)
		}
		ping := pings[p.f].Data()
		if string(m.Data) != string(ping) {
			return string(m.Data)
		}
		p.send(string(ping))
	}
}

// want reads a reply, and compares it with JSON in which "*" matches anything.
func (p *peer) want(want string) {
	p.t.Helper()
	got := p.read()
	if !matchesPattern(got, want) {
		p.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func (p *peer) wantClose(code websocket.Code) {
	p.t.Helper()
	for {
		_, err := p.conn.Read(bounded.Context(p.t))
		if err == nil {
			continue
		}
		if e, ok := errors.AsType[*websocket.CloseError](err); !ok || e.Code != code {
			p.t.Errorf("closed with %v, want %d", err, code)
		}
		return
	}
}

func matchesPattern(got, want string) bool {
	var g, w any
	return json.Unmarshal([]byte(got), &g) == nil && json.Unmarshal([]byte(want), &w) == nil && transcript.Fits(g, w)
}

func token(t *testing.T, secret string, claims jwt.MapClaims) string {
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func quoted(command, token string) string { return strings.Replace(command, "TOKEN", token, 1) }

func TestJSON(t *testing.T) {
	for name, loop := range map[string]bool{"run": false, "loop": true} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, serve(t, newServer(t), Client{Anonymous: true}, loop), asJSON)
			p.send(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"a"}}`)
			p.want(`{"id":1,"connect":{"client":"*","ping":25,"pong":true}}`)
			p.want(`{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"*"}}`)
			p.send(`{"id":3,"publish":{"channel":"a","data":{"n":1}}}`)
			p.want(`{"push":{"channel":"a","pub":{"data":{"n":1},"info":{"user":"","client":"*"},"offset":1,"epoch":"*"}}}`)
			p.want(`{"id":3,"publish":{}}`)
			p.send(`{"id":4,"presence_stats":{"channel":"a"}}`)
			p.want(`{"id":4,"presence_stats":{"num_clients":1,"num_users":1}}`)
			p.send(`{"id":5,"history":{"channel":"a","limit":-1}}`)
			p.want(`{"id":5,"history":{"publications":[{"data":{"n":1},"info":{"user":"","client":"*"},"offset":1,"epoch":"*"}],"epoch":"*","offset":1}}`)
			p.send(`{"id":6,"unsubscribe":{"channel":"a"}}`)
			p.want(`{"id":6,"unsubscribe":{}}`)
			p.send(`{"id":7,"subscribe":{"channel":"a","recover":true,"delta":"fossil"}}`)
			p.want(`{"id":7,"subscribe":{"recoverable":true,"positioned":true,"epoch":"*","offset":1,"delta":true,"recovered":true,"was_recovering":true,` +
				`"publications":[{"data":"{\"n\":1}","info":{"user":"","client":"*"},"offset":1,"epoch":"*"}]}}`)
			p.send(`{"id":8,"rpc":{"method":"m"}}`)
			p.want(`{"id":8,"error":{"code":108,"message":"not available"}}`)
			p.send(`{"id":9,"history":{"channel":"a","limit":1,"since":{"epoch":"x","offset":1}}}`)
			p.want(`{"id":9,"error":{"code":112,"message":"unrecoverable position"}}`)
		})
	}
}

func TestProtobuf(t *testing.T) {
	p := dial(t, serve(t, newServer(t), Client{Anonymous: true}, true), asProtobuf)
	var all []byte
	for _, c := range []*protocol.Command{
		{Id: 1, Connect: &protocol.ConnectRequest{}}, {Id: 2, Subscribe: &protocol.SubscribeRequest{Channel: "a"}},
		{Id: 3, Publish: &protocol.PublishRequest{Channel: "a", Data: []byte{0xff, 0}}},
	} {
		data, err := protocol.NewProtobufCommandEncoder().Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	p.send(string(all))
	var replies []*protocol.Reply
	for len(replies) < 4 {
		r, err := protocol.NewProtobufReplyDecoder([]byte(p.read())).Decode()
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, r)
	}
	if replies[0].Connect == nil || !replies[1].Subscribe.Recoverable || !bytes.Equal(replies[2].Push.Pub.Data, []byte{0xff, 0}) || replies[3].Id != 3 {
		t.Errorf("%v", replies)
	}
}

func TestTokens(t *testing.T) {
	soon, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	url := serve(t, newServer(t), Client{}, false)
	for name, c := range map[string]struct {
		token string
		code  websocket.Code // the expected close code; 0 means that the client gets a reply
		reply string
	}{
		"good":    {token(t, "secret", jwt.MapClaims{"sub": "ann", "exp": soon, "channels": []string{"news"}}), 0, `{"id":1,"connect":{"client":"*","ping":25,"pong":true,"expires":true,"ttl":"*","subs":"*"}}`},
		"expired": {token(t, "secret", jwt.MapClaims{"sub": "ann", "exp": past}), 0, `{"id":1,"error":{"code":109,"message":"token expired"}}`},
		"forged":  {token(t, "other", jwt.MapClaims{"sub": "ann"}), 3500, ""},
		"garbage": {"x.y.z", 3500, ""},
		"none":    {"eyJhbGciOiJub25lIn0.e30.", 3500, ""},
		"missing": {"", 3500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, url, asJSON)
			p.send(quoted(`{"id":1,"connect":{"token":"TOKEN"}}`, c.token))
			if c.code != 0 {
				p.wantClose(c.code)
				return
			}
			p.want(c.reply)
		})
	}
}

func TestSubscriptionTokens(t *testing.T) {
	s := newServer(t)
	p := dial(t, serve(t, s, Client{User: "ann", Allow: func(string, string) error { return errors.New("no") }}, true), asJSON)
	p.send(`{"id":1,"connect":{}}`)
	p.read()
	denied := `{"id":2,"error":{"code":103,"message":"permission denied"}}`
	subscribe := `{"id":2,"subscribe":{"channel":"$a","token":"TOKEN"}}`
	p.send(`{"id":2,"subscribe":{"channel":"a"}}`)
	p.want(denied)
	p.send(`{"id":2,"subscribe":{"channel":"$a"}}`)
	p.want(denied)
	for _, claims := range []jwt.MapClaims{{"sub": "ann", "channel": "b"}, {"sub": "bob", "channel": "$a"}, {"sub": "ann", "channel": "$a", "client": "x"}} {
		p.send(quoted(subscribe, token(t, "secret", claims)))
		p.want(denied)
	}
	p.send(quoted(subscribe, token(t, "secret", jwt.MapClaims{"sub": "ann", "channel": "$a", "exp": 1})))
	p.want(`{"id":2,"error":{"code":109,"message":"token expired"}}`)
	good := token(t, "secret", jwt.MapClaims{"sub": "ann", "channel": "$a", "exp": time.Now().Add(time.Hour).Unix()})
	p.send(quoted(subscribe, good))
	p.want(`{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"*","expires":true,"ttl":"*"}}`)
	p.send(quoted(`{"id":3,"sub_refresh":{"channel":"$a","token":"TOKEN"}}`, good))
	p.want(`{"id":3,"sub_refresh":{"expires":true,"ttl":"*"}}`)
	p.send(`{"id":4,"publish":{"channel":"$a","data":1}}`)
	p.want(`{"id":4,"error":{"code":103,"message":"permission denied"}}`)
}

// Invalid input closes its own connection, and no other.
func TestHostile(t *testing.T) {
	url := serve(t, newServer(t), Client{Anonymous: true}, true)
	honest := dial(t, url, asJSON)
	honest.send(`{"id":1,"connect":{}}`)
	honest.read()
	for name, c := range map[string]struct {
		send string
		code websocket.Code
	}{
		"no JSON":          {"{", 3501},
		"before connect":   {`{"id":1,"subscribe":{"channel":"a"}}`, 3501},
		"connect twice":    {`{"id":1,"connect":{}}` + "\n" + `{"id":2,"connect":{}}`, 3501},
		"pong without one": {`{"id":1,"connect":{}}` + "\n" + `{}`, 3501},
		"no id":            {`{"id":1,"connect":{}}` + "\n" + `{"subscribe":{"channel":"a"}}`, 3501},
		"no channel":       {`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{}}`, 3501},
		"errors":           {`{"id":1,"connect":{}}` + strings.Repeat("\n"+`{"id":2,"rpc":{}}`, 300), 3509},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, url, asJSON)
			p.send(c.send)
			p.wantClose(c.code)
		})
	}
	honest.send(`{"id":2,"subscribe":{"channel":"` + strings.Repeat("x", 256) + `"}}`)
	honest.want(`{"id":2,"error":{"code":107,"message":"bad request"}}`)
	honest.send(`{"id":3,"subscribe":{"channel":"a"}}`)
	honest.read()
	honest.send(`{"id":4,"subscribe":{"channel":"a"}}`)
	honest.want(`{"id":4,"error":{"code":105,"message":"already subscribed"}}`)
}

func TestCollections(t *testing.T) {
	s := newServer(t)
	for _, channel := range []string{"a", "none:a"} {
		p := dial(t, serve(t, s, Client{Anonymous: true}, false), asJSON)
		p.send(`{"id":1,"connect":{}}`)
		p.read()
		for _, key := range []string{"x", "y", "z"} {
			p.send(`{"id":2,"publish":{"channel":"` + channel + `","type":1,"key":"` + key + `","data":1}}`)
			p.want(`{"id":2,"publish":{}}`)
		}
		p.send(`{"id":3,"subscribe":{"channel":"` + channel + `","type":1,"phase":2,"limit":2}}`)
		one := func(r string) *protocol.SubscribeResult {
			var reply protocol.Reply
			if err := json.Unmarshal([]byte(r), &reply); err != nil || reply.Subscribe == nil {
				t.Fatal(r, err)
			}
			return reply.Subscribe
		}
		first := one(p.read())
		state := first.State
		if first.Phase == phaseState {
			p.send(`{"id":4,"subscribe":{"channel":"` + channel + `","type":1,"phase":2,"limit":2,"cursor":"` + first.Cursor + `"}}`)
			first = one(p.read())
			state = append(state, first.State...)
		} else if channel == "a" {
			t.Error("one page for a limit of two")
		}
		if first.Phase != phaseLive || len(state) != 3 || state[2].Key != "z" {
			t.Errorf("%s: %v", channel, state)
		}
		p.send(`{"id":5,"publish":{"channel":"` + channel + `","type":1,"key":"x","removed":true}}`)
		var got protocol.Reply
		if err := json.Unmarshal([]byte(p.read()), &got); err != nil || !got.Push.Pub.Removed || got.Push.Pub.Key != "x" {
			t.Errorf("%+v, %v", &got, err)
		}
	}
}

func call(t *testing.T, url, method, key, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(bounded.Context(t), http.MethodPost, url+"/api/"+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-Key", key)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func TestAPI(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	url := serve(t, newServer(t), Client{User: "ann"}, false)
	p := dial(t, url, asJSON)
	p.send(`{"id":1,"connect":{}}`)
	p.read()
	for _, c := range []struct {
		method, key, body string
		status            int
		want              string
	}{
		{"publish", "wrong", `{}`, 401, ""},
		{"publish", "", `{}`, 401, ""},
		{"nothing", "secret", `{}`, 404, ""},
		{"publish", "secret", `{`, 400, ""},
		{"publish", "secret", `{"channel":"a"}`, 200, `{"error":{"code":107,"message":"bad request"}}`},
		{"publish", "secret", `{"channel":"a","data":{"n":1}}`, 200, `{"result":{"offset":1,"epoch":"*"}}`},
		{"broadcast", "secret", `{"channels":["a","none:b"],"data":2}`, 200, `{"result":{"responses":[{"result":{"offset":2,"epoch":"*"}},{"result":{}}]}}`},
		{"history", "secret", `{"channel":"a","limit":1}`, 200, `{"result":{"publications":[{"data":{"n":1},"offset":1,"epoch":"*"}],"offset":2,"epoch":"*"}}`},
		{"history_remove", "secret", `{"channel":"a"}`, 200, `{"result":{}}`},
		{"history", "secret", `{"channel":"a","limit":1}`, 200, `{"result":{"publications":[],"offset":2,"epoch":"*"}}`},
		{"presence", "secret", `{"channel":"none:a"}`, 200, `{"error":{"code":108,"message":"not available"}}`},
		{"presence_stats", "secret", `{"channel":"a"}`, 200, `{"result":{"num_clients":0,"num_users":0}}`},
		{"batch", "secret", `{"commands":[{"publish":{"channel":"a","data":3}},{"x":{}}]}`, 200, `{"replies":[{"publish":{"offset":3,"epoch":"*"}},{"error":{"code":104,"message":"method not found"}}]}`},
		{"info", "secret", ``, 200, `{"result":{"nodes":["*"]}}`},
		{"subscribe", "secret", `{"user":"ann","channel":"b"}`, 200, `{"result":{}}`},
	} {
		status, got := call(t, url, c.method, c.key, c.body)
		if status != c.status || c.want != "" && !matchesPattern(got, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.body, status, got)
		}
	}
	p.want(`{"push":{"channel":"b","subscribe":{"recoverable":true,"positioned":true,"epoch":"*"}}}`)
	call(t, url, "refresh", "secret", `{"user":"ann","expire_at":4000000000}`)
	p.want(`{"push":{"refresh":{"expires":true,"ttl":"*"}}}`)
	call(t, url, "unsubscribe", "secret", `{"user":"ann","channel":"b"}`)
	p.want(`{"push":{"channel":"b","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}`)
	call(t, url, "disconnect", "secret", `{"user":"ann","disconnect":{"code":4501,"reason":"banned"}}`)
	p.wantClose(4501)
}

// sink is a connection that records how it is closed.
type sink struct {
	websocket.Sender
	code  atomic.Uint32
	pings atomic.Int32
}

func (s *sink) Send(websocket.Message) error { return nil }
func (s *sink) SendPrepared(...*websocket.Prepared) error {
	s.pings.Add(1)
	return nil
}
func (s *sink) Subprotocol() string { return "" }
func (s *sink) Shut(code websocket.Code, _ string) error {
	s.code.Store(uint32(code))
	return nil
}

func TestClock(t *testing.T) {
	text := func(data string) websocket.Message {
		return websocket.Message{Type: websocket.Text, Data: []byte(data)}
	}
	for name, c := range map[string]struct {
		first string
		after time.Duration
		code  websocket.Code
	}{
		"stale":   {"", connectTimeout, 3502},
		"no pong": {`{"id":1,"connect":{}}`, pingInterval + pongTimeout, 3012},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hub.New(hub.Options{})
				defer h.Close()
				out := new(sink)
				r := (&Server{Hub: h, App: "dev"}).Open(Client{Anonymous: true})(out)
				defer r.Closed(nil)
				if err := r.Message(text(c.first)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.after) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
				synctest.Wait()
				if code := websocket.Code(out.code.Load()); code != c.code {
					t.Errorf("closed with %d", code)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		out := new(sink)
		r := (&Server{Hub: h, App: "dev"}).Open(Client{Anonymous: true})(out)
		defer r.Closed(nil)
		if err := r.Message(text(`{"id":1,"connect":{}}`)); err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 5; i++ {
			for synctest.Wait(); int(out.pings.Load()) < i; synctest.Wait() {
				time.Sleep(time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
			}
			if err := r.Message(text(`{}`)); err != nil {
				t.Fatal(err)
			}
		}
		if code := out.code.Load(); code != 0 {
			t.Errorf("a client that answers was closed with %d", code)
		}
	})
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"id":2,"subscribe":{"channel":"a","recover":true,"delta":"fossil"}}`), false)
	f.Add([]byte(`{"id":3,"publish":{"channel":"a","data":{"n":1},"type":1,"key":"k"}}`+"\n{}"), false)
	f.Add([]byte(`{"id":4,"subscribe":{"channel":"none:a","type":1,"phase":2}}`), false)
	f.Add([]byte(`{"id":5,"subscribe":{"channel":"b","tf":{"op":"not","nodes":[{"key":"a","cmp":"gte","val":"1"}]}}}`), false)
	f.Add([]byte("\x04\x08\x02\x2a\x00"), true)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, data []byte, binary bool) {
		format, connect := asJSON, []byte(`{"id":1,"connect":{}}`)
		if binary {
			format, connect = asProtobuf, []byte("\x04\x08\x01\x22\x00")
		}
		n := s.newSession(Client{Anonymous: true}, new(sink), format)
		defer n.Closed(nil)
		if err := n.receive(connect); err != nil {
			t.Fatal(err)
		}
		n.receive(data) //nolint:errcheck // the test only checks that receive does not panic
	})
}

func FuzzAPI(f *testing.F) {
	f.Add("publish", `{"channel":"a","data":1}`)
	f.Add("batch", `{"commands":[{"publish":{}}]}`)
	f.Add("history", `{"channel":"a","since":{"offset":1},"reverse":true}`)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, name, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.SetPathValue("method", name)
		r.Header.Set("X-API-Key", "secret")
		w := httptest.NewRecorder()
		if s.API(w, r); w.Code == http.StatusOK && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q", w.Body)
		}
	})
}
