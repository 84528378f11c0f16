package centrifugo

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/centrifugal/protocol"
	"github.com/golang-jwt/jwt/v5"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// decode rejects a truncated Protobuf command. After a complete one, it returns the rest of the message.
func TestDecode(t *testing.T) {
	one, err := protocol.NewProtobufCommandEncoder().Encode(&protocol.Command{Id: 7, Connect: &protocol.ConnectRequest{}})
	if err != nil {
		t.Fatal(err)
	}
	c := new(protocol.Command)
	for _, rest := range []string{"", "rest"} {
		got, err := asProtobuf.decode(append(one[:len(one):len(one)], rest...), c)
		if err != nil || string(got) != rest || c.Id != 7 || c.Connect == nil {
			t.Errorf("%q, %v, %v", got, c, err)
		}
	}
	for _, data := range []string{"\x01", string(one[:len(one)-1]), "\x80", strings.Repeat("\xff", binary.MaxVarintLen64+1), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if _, err := asProtobuf.decode([]byte(data), c); !errors.Is(err, errNoCommand) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// A message in JSON must be text, and one in Protobuf must be binary; otherwise the connection is closed with 3501.
func TestMessageType(t *testing.T) {
	for f, good := range map[format]websocket.Type{asJSON: websocket.Text, asProtobuf: websocket.Binary} {
		for _, typ := range []websocket.Type{websocket.Text, websocket.Binary} {
			n := newServer(t).newSession(Client{}, new(sink), f)
			if err := n.Message(websocket.Message{Type: typ}); (err == nil) != (typ == good) || err != nil && websocket.CloseCode(err) != 3501 {
				t.Errorf("%v with %v: %v", f, typ, err)
			}
			n.Closed(nil)
		}
	}
}

// Every reason for ending a subscription or a connection has a code. Clients subscribe again after codes from 2500 on, and
// reconnect after codes below 3500.
func TestEnds(t *testing.T) {
	for why, want := range map[hub.EndReason]struct {
		sub uint32
		end websocket.Code
	}{
		hub.EndServer: {2000, 3503}, hub.EndInsufficient: {2500, 3010}, hub.EndSlow: {2500, 3008}, hub.EndExpired: {2501, 3005}, hub.EndDenied: {2000, 3507},
		hub.EndReconnect: {2500, 3011}, hub.EndShutdown: {2500, 3001},
	} {
		if got := unsubscribePush(why); got.Code != want.sub || got.Reason == "" {
			t.Errorf("%v: %+v", why, got)
		}
		if _, code, reason := asJSON.Closing(why); code != want.end || reason == "" || len(reason) > 123 {
			t.Errorf("%v: %d %q", why, code, reason)
		}
	}
	for err, want := range map[error]uint32{
		hub.ErrSubscribed: 105, hub.ErrTooMany: 106, hub.ErrTooFast: 111, hub.ErrTooBig: 106, hub.ErrNoPresence: 108, hub.ErrUnsupported: 108,
		hub.ErrBadChannel: 107, hub.ErrNotYours: 103, websocket.ErrQueueFull: 111, errors.New("other"): 100, denied{errors.New("no")}: 103, errNoMethod: 104,
	} {
		if got := failureOf(fmt.Errorf("with context: %w", err)); got.Code != want || got.Message == "" || got.Temporary != (want == 100 || want == 111) {
			t.Errorf("%v: %+v", err, got)
		}
	}
}

// A channel without a history is neither positioned nor recoverable.
func TestChannelWithoutHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openSession(t, newServer(t), Client{Anonymous: true}, connect)
		for _, c := range []struct{ subscribe, want string }{
			{``, `{}`}, {`,"recover":true`, `{"was_recovering":true}`}, {`,"recover":true,"offset":3,"epoch":"e"`, `{"was_recovering":true}`},
		} {
			execute(t, n, `{"id":2,"subscribe":{"channel":"none:a"`+c.subscribe+`}}`)
			if !matchesPattern(d.last(), `{"id":2,"subscribe":`+c.want+`}`) {
				t.Errorf("%s: %s", c.subscribe, d.last())
			}
			execute(t, n, `{"id":3,"unsubscribe":{"channel":"none:a"}}`)
		}
		execute(t, n, `{"id":2,"subscribe":{"channel":"none:a","recover":true,"flag":2}}`)
		if !matchesPattern(d.last(), `{"id":2,"error":{"code":112,"message":"unrecoverable position"}}`) {
			t.Error(d.last())
		}
	})
}

// keys publishes a number of keys in a channel.
func keys(t *testing.T, h *hub.Hub, channel string, count int) {
	t.Helper()
	for i := range count {
		if _, err := h.Publish(bounded.Context(t), "dev", channel, &hub.Publication{Key: fmt.Sprintf("%05d", i), Data: []byte("1")}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// A page of a collection contains as many keys as the client requests, with a default and a maximum.
func TestPages(t *testing.T) {
	h := hub.New(hub.Options{Namespaces: []hub.Namespace{{History: 2000}}})
	defer h.Close()
	keys(t, h, "a", maxPage+1)
	p := dial(t, serve(t, &Server{Hub: h, App: "dev"}, Client{Anonymous: true}, false), asJSON)
	p.send(connect)
	p.read()
	for limit, want := range map[string]int{``: defaultPage, `,"limit":0`: defaultPage, `,"limit":-5`: defaultPage, `,"limit":1`: 1, `,"limit":101`: 101, `,"limit":5000`: maxPage} {
		p.send(`{"id":2,"subscribe":{"channel":"a","type":1,"phase":2` + limit + `}}`)
		if got := p.read(); strings.Count(got, `"key":`) != want || !strings.Contains(got, `"phase":2,`) || !strings.Contains(got, `"cursor":`) {
			t.Errorf("%s: %d keys: %.200s", limit, strings.Count(got, `"key":`), got)
		}
	}
}

// A connection may read a limited number of collections at the same time. A collection that is restarted is not counted twice, and an
// abandoned collection is not counted. If the epoch changes between two pages, the collection is unrecoverable.
func TestConcurrentCollections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		n, d := openSession(t, s, Client{Anonymous: true}, connect)
		const tooMany = `{"id":2,"error":{"code":106,"message":"limit exceeded"}}`
		channel := func(i int) string { return fmt.Sprintf("c%d", i) }
		begin := func(i int) string {
			execute(t, n, `{"id":2,"subscribe":{"channel":"`+channel(i)+`","type":1,"phase":2,"limit":1}}`)
			return d.last()
		}
		for i := range maxCollections + 1 {
			keys(t, s.Hub, channel(i), 2)
			if got := begin(i); matchesPattern(got, tooMany) != (i == maxCollections) || i < maxCollections && !strings.Contains(got, `"phase":2`) {
				t.Errorf("%d: %s", i, got)
			}
		}
		if got := begin(0); !strings.Contains(got, `"phase":2`) {
			t.Error(got)
		}
		execute(t, n, `{"id":3,"unsubscribe":{"channel":"c0"}}`)
		if got := begin(maxCollections); !strings.Contains(got, `"phase":2`) {
			t.Error(got)
		}
		last := n.collections["c1"]
		last.Epoch += "x"
		n.collections["c1"] = last
		execute(t, n, `{"id":2,"subscribe":{"channel":"c1","type":1,"phase":2,"limit":1,"cursor":"00000"}}`)
		if _, ok := n.collections["c1"]; ok || !matchesPattern(d.last(), `{"id":2,"error":{"code":112,"message":"unrecoverable position"}}`) {
			t.Error(ok, d.last())
		}
	})
}

// The members of a channel are returned in one reply, so their number is limited.
func TestManyMembers(t *testing.T) {
	s := newServer(t)
	var users atomic.Int64 // the number of users that the node knows of
	stop, err := s.Hub.Watch(bounded.Context(t), "dev", "a", hub.Watcher{Users: func(cs []hub.Change) bool {
		for _, c := range cs {
			users.Add(map[hub.ChangeKind]int64{hub.Joined: 1, hub.Left: -1}[c.Kind])
		}
		return true
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	leave := func() {}
	for i := range maxMembers + 1 {
		leave, err = s.Hub.Enter(bounded.Context(t), "dev", "a", hub.Member{User: fmt.Sprint("u", i), Client: fmt.Sprint("c", i)})
		if err != nil {
			t.Fatal(err)
		}
	}
	reply := func(command string) string { // executes a command of a new client
		n, d := openSession(t, s, Client{Anonymous: true}, connect)
		execute(t, n, `{"id":2,`+command+`}`)
		diaryMu.Lock()
		defer diaryMu.Unlock()
		return d.sent[slices.IndexFunc(d.sent, func(text string) bool { return strings.HasPrefix(text, `{"id":2,`) })]
	}
	count := func(want int) {
		t.Helper()
		bounded.Until(t, func() bool { return users.Load() == int64(want) })
		if got := reply(`"presence_stats":{"channel":"a"}`); !matchesPattern(got, fmt.Sprintf(`{"id":2,"presence_stats":{"num_clients":%d,"num_users":%[1]d}}`, want)) {
			t.Error(got)
		}
	}
	count(maxMembers + 1)
	for _, most := range []bool{false, true} {
		if most {
			leave()
			count(maxMembers)
		}
		for command, what := range map[string]string{`"subscribe":{"channel":"$users:a","type":3,"phase":2}`: `"key":`,
			`"subscribe":{"channel":"$clients:a","type":2,"phase":2}`: `"key":`, `"presence":{"channel":"a"}`: `"client":`} {
			got := reply(command)
			if limited := matchesPattern(got, `{"id":2,"error":{"code":106,"message":"limit exceeded"}}`); limited == most || most && strings.Count(got, what) != maxMembers {
				t.Errorf("%s: %d, %.200s", command, strings.Count(got, what), got)
			}
		}
	}
}

// Joins and leaves are sent only to clients that request them and are allowed to see them.
func TestJoinLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		deny := func(action, _ string) error {
			if action == hub.ActionPresence {
				return errors.New("no")
			}
			return nil
		}
		_, sees := openSession(t, s, Client{Anonymous: true}, connect, `{"id":2,"subscribe":{"channel":"a","join_leave":true}}`)
		_, asksNot := openSession(t, s, Client{Anonymous: true}, connect, `{"id":2,"subscribe":{"channel":"a"}}`)
		_, mayNot := openSession(t, s, Client{Anonymous: true, Allow: deny}, connect, `{"id":2,"subscribe":{"channel":"a","join_leave":true}}`)
		synctest.Wait()
		before := []int{len(sees.sent), len(asksNot.sent), len(mayNot.sent)}
		for user, want := range map[string]string{"ann": `{"user":"ann","client":"*","conn_info":1}`, "": `{"user":"","client":"*","conn_info":1}`} {
			n, _ := openSession(t, s, Client{User: user, Anonymous: true, Info: []byte("1")}, connect, `{"id":2,"subscribe":{"channel":"a"}}`)
			synctest.Wait()
			if !matchesPattern(sees.last(), `{"push":{"channel":"a","join":{"info":`+want+`}}}`) {
				t.Error(sees.last())
			}
			n.Closed(nil)
			synctest.Wait()
			if !matchesPattern(sees.last(), `{"push":{"channel":"a","leave":{"info":`+want+`}}}`) {
				t.Error(sees.last())
			}
		}
		if len(sees.sent) != before[0]+4 || len(asksNot.sent) != before[1] || len(mayNot.sent) != before[2] {
			t.Errorf("%q\n%q\n%q", sees.sent, asksNot.sent, mayNot.sent)
		}
		if ps, err := asJSON.Members("a", []hub.Change{{Kind: hub.Updated}}); len(ps) != 0 || err != nil {
			t.Errorf("%v, %v for changed data of a member", ps, err)
		}
	})
}

// Commands without a channel close the connection. Commands with a channel are executed, or get a specific error.
func TestChannelCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		for _, c := range []string{"subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "sub_refresh"} {
			n, _ := openSession(t, s, Client{Anonymous: true}, connect)
			if err := n.receive([]byte(`{"id":2,"` + c + `":{"data":1}}`)); websocket.CloseCode(err) != 3501 {
				t.Errorf("%s: %v", c, err)
			}
		}
		n, d := openSession(t, s, Client{User: "ann", Info: []byte(`{"n":1}`)}, connect, subscribes("a"))
		id := n.id
		for i, c := range []struct{ command, want string }{
			{`"presence":{"channel":"a"}`, `"presence":{"presence":{"` + id + `":{"user":"ann","client":"` + id + `","conn_info":{"n":1}}}}`},
			{`"publish":{"channel":"a"}`, ""},
			{`"publish":{"channel":"a","type":1,"key":"k","removed":true}`, `"publish":{}`},
			{`"sub_refresh":{"channel":"b","token":"x"}`, `"error":{"code":103,"message":"permission denied"}`},
			{`"sub_refresh":{"channel":"a","token":"x"}`, `"error":{"code":103,"message":"permission denied"}`},
			{`"sub_refresh":{"channel":"a","type":1,"token":"x"}`, `"error":{"code":108,"message":"not available"}`},
			{`"sub_refresh":{"channel":"a","token":"TOKEN"}`, `"sub_refresh":{}`},
		} {
			command := quoted(fmt.Sprintf(`{"id":%d,%s}`, i+2, c.command), token(t, "secret", jwt.MapClaims{"sub": "ann", "channel": "a"}))
			err := n.receive([]byte(command))
			if c.want == "" && websocket.CloseCode(err) != 3501 || c.want != "" && (err != nil || !matchesPattern(d.last(), fmt.Sprintf(`{"id":%d,%s}`, i+2, c.want))) {
				t.Errorf("%s: %s, %v", c.command, d.last(), err)
			}
		}
	})
}

// A history request returns a limited number of publications, may specify an offset without an epoch, and may be reversed.
func TestHistoryParts(t *testing.T) {
	h := hub.New(hub.Options{Namespaces: []hub.Namespace{{History: 2000}}})
	defer h.Close()
	keys(t, h, "a", maxHistory+1)
	s := &Server{Hub: h, App: "dev"}
	n, d := openSession(t, s, Client{Anonymous: true}, connect)
	for _, c := range []struct {
		part         string
		count, first int
	}{
		{``, 0, 0}, {`,"limit":-1`, maxHistory, 1}, {`,"limit":1001`, maxHistory, 1}, {`,"limit":1000`, maxHistory, 1}, {`,"limit":2`, 2, 1},
		{`,"limit":3,"since":{"offset":7}`, 3, 8}, {`,"limit":3,"reverse":true`, 3, maxHistory + 1}, {`,"limit":3,"reverse":true,"since":{"offset":7}`, 3, 6},
	} {
		execute(t, n, `{"id":2,"history":{"channel":"a"`+c.part+`}}`)
		r := new(protocol.Reply)
		text := d.last()
		if err := json.Unmarshal([]byte(text), r); err != nil || r.History == nil || len(r.History.Publications) != c.count || r.History.Offset != maxHistory+1 ||
			c.count > 0 && int(r.History.Publications[0].Offset) != c.first {
			t.Errorf("%s: %v, %.300s", c.part, err, text)
		}
	}
	if err := h.Trim(bounded.Context(t), "dev", "a", 10); err != nil {
		t.Fatal(err)
	}
	execute(t, n, `{"id":3,"history":{"channel":"a","limit":1,"since":{"offset":2}}}`)
	if !strings.Contains(d.last(), `"offset":11`) {
		t.Error(d.last())
	}
}

// Channels with clients are listed if they match the pattern.
func TestListedChannels(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	url := serve(t, newServer(t), Client{Anonymous: true}, false)
	p, _ := connected(t, url)
	q, _ := connected(t, url)
	for _, channel := range []string{"a:1", "a:2", "b:1"} {
		p.send(subscribes(channel))
		p.read()
	}
	q.send(subscribes("a:1"))
	q.read()
	for pattern, want := range map[string]string{
		``:    `{"a:1":{"num_clients":2},"a:2":{"num_clients":1},"b:1":{"num_clients":1}}`,
		`a:*`: `{"a:1":{"num_clients":2},"a:2":{"num_clients":1}}`, `c*`: `{}`,
	} {
		if _, got := call(t, url, "channels", "secret", `{"pattern":"`+pattern+`"}`); !matchesPattern(got, `{"result":{"channels":`+want+`}}`) {
			t.Errorf("%q: %s", pattern, got)
		}
	}
	if _, got := call(t, url, "channels", "secret", `{"pattern":"["}`); !matchesPattern(got, `{"error":{"code":107,"message":"bad request"}}`) {
		t.Error(got)
	}
}

// pagedEngine is an engine that lists one channel per page.
type pagedEngine struct{ hub.Engine }

func (pagedEngine) Occupy(context.Context, string, []hub.Occupied) error { return nil }

func (pagedEngine) Occupied(_ context.Context, prefix, after string, _ int) (cs []hub.Occupied, more bool, err error) {
	names := []string{"a", "b", "c"}
	i := slices.IndexFunc(names, func(name string) bool { return prefix+name > after })
	return []hub.Occupied{{Channel: prefix + names[i], Subscribers: 1}}, i < len(names)-1, nil
}

// If the engine returns the channels in pages, the list contains those of all pages.
func TestListedChannelsOfAllPages(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s := newServer(t)
	s.Hub = hub.New(hub.Options{Engine: pagedEngine{hub.NewMemory().Node()}})
	t.Cleanup(func() { s.Hub.Close() })
	url := serve(t, s, Client{Anonymous: true}, false)
	if _, got := call(t, url, "channels", "secret", `{}`); !matchesPattern(got, `{"result":{"channels":{"a":{"num_clients":1},"b":{"num_clients":1},"c":{"num_clients":1}}}}`) {
		t.Error(got)
	}
}
