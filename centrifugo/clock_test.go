package centrifugo

import (
	"errors"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// diaryMu guards all connRecorders. advance locks it before time passes, so that no connRecorder is being written at that moment.
var diaryMu sync.Mutex

// connRecorder is a connection that records what is sent, and when.
type connRecorder struct {
	websocket.Sender
	began time.Time

	sent   []string
	pings  []time.Duration
	code   websocket.Code
	closed time.Duration
	gone   bool
}

func (d *connRecorder) Subprotocol() string { return "" }

func (d *connRecorder) Send(m websocket.Message) error {
	diaryMu.Lock()
	defer diaryMu.Unlock()
	d.sent = append(d.sent, string(m.Data))
	return nil
}

func (d *connRecorder) SendPrepared(ps ...*websocket.Prepared) error {
	diaryMu.Lock()
	defer diaryMu.Unlock()
	if d.gone {
		return net.ErrClosed
	}
	for _, p := range ps {
		if p == pings[asJSON] {
			d.pings = append(d.pings, time.Since(d.began))
		} else {
			d.sent = append(d.sent, string(p.Data()))
		}
	}
	return nil
}

func (d *connRecorder) Shut(code websocket.Code, _ string) error {
	diaryMu.Lock()
	defer diaryMu.Unlock()
	d.code, d.closed = code, time.Since(d.began)
	return nil
}

// last returns the last message.
func (d *connRecorder) last() string {
	diaryMu.Lock()
	defer diaryMu.Unlock()
	if len(d.sent) == 0 {
		return ""
	}
	return d.sent[len(d.sent)-1]
}

// openSession starts a session, makes it execute some commands, and returns it with the connRecorder of its connection.
func openSession(t *testing.T, s *Server, c Client, commands ...string) (*session, *connRecorder) {
	t.Helper()
	d := &connRecorder{began: time.Now()}
	n := s.Open(c)(d).(*session)
	t.Cleanup(func() { n.Closed(nil) })
	execute(t, n, commands...)
	return n, d
}

// execute makes a session execute commands.
func execute(t *testing.T, n *session, commands ...string) {
	t.Helper()
	if err := n.Message(websocket.Message{Type: websocket.Text, Data: []byte(strings.Join(commands, "\n"))}); err != nil {
		t.Fatal(err)
	}
}

// advance lets time pass in a synctest bubble.
func advance(d time.Duration) {
	diaryMu.Lock()
	diaryMu.Unlock() //nolint:staticcheck // the critical section is empty on purpose: see diaryMu
	<-time.After(d)
	synctest.Wait()
}

const connect = `{"id":1,"connect":{}}`

// The first ping is sent at a random time in the second half of the interval, and the next ones follow at the interval.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, different := newServer(t), map[time.Duration]bool{}
		for range 20 {
			n, d := openSession(t, s, Client{Anonymous: true}, connect)
			for range 3 {
				before := len(d.pings)
				for len(d.pings) == before && d.code == 0 {
					advance(pingInterval / 50)
				}
				execute(t, n, "{}")
			}
			if d.code != 0 || len(d.pings) != 3 || d.pings[0] < pingInterval/2 || d.pings[0] >= pingInterval ||
				d.pings[1]-d.pings[0] != pingInterval || d.pings[2]-d.pings[1] != pingInterval {
				t.Errorf("pings at %v, closed with %d", d.pings, d.code)
			}
			different[d.pings[0]] = true
		}
		if len(different) < 10 {
			t.Errorf("%d different times of 20", len(different))
		}
	})
}

// A client that does not answer a ping in time is disconnected, unless the ping could not be sent.
func TestPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, d := openSession(t, newServer(t), Client{Anonymous: true}, connect)
		advance(pingInterval + pongTimeout)
		if d.code != 3012 || d.closed != d.pings[0]+pongTimeout {
			t.Errorf("closed with %d after %v, pings at %v", d.code, d.closed, d.pings)
		}
		n, d := openSession(t, newServer(t), Client{Anonymous: true}, connect)
		d.gone = true
		advance(3 * pingInterval)
		if d.code != 0 || n.clock.recordPong() {
			t.Errorf("closed with %d for a ping that was not sent", d.code)
		}
	})
}

// A connection without a successful connect command is closed after connectTimeout; a connected one is not.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, d := openSession(t, newServer(t), Client{})
		_, ok := openSession(t, newServer(t), Client{Anonymous: true}, connect)
		advance(connectTimeout)
		if d.code != 3502 || d.closed != connectTimeout || ok.code != 0 {
			t.Errorf("closed with %d after %v, the other one with %d", d.code, d.closed, ok.code)
		}
	})
}

// A connection is closed refreshGrace after its token expires, unless the client sends another token. No ping is sent after the
// close.
func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 5 * time.Second
		claims := func(d time.Duration) string {
			return token(t, "secret", jwt.MapClaims{"sub": "ann", "exp": time.Now().Add(d).Unix()})
		}
		s := newServer(t)
		n, d := openSession(t, s, Client{}, quoted(`{"id":1,"connect":{"token":"TOKEN"}}`, claims(life)))
		if want := `{"id":1,"connect":{"client":"*","ping":25,"pong":true,"expires":true,"ttl":5}}`; !matchesPattern(d.last(), want) {
			t.Error(d.last())
		}
		late := claims(2 * life)
		advance(life)
		execute(t, n, quoted(`{"id":2,"refresh":{"token":"TOKEN"}}`, late))
		if want := `{"id":2,"refresh":{"client":"*","expires":true,"ttl":5}}`; !matchesPattern(d.last(), want) {
			t.Error(d.last())
		}
		for d.code == 0 {
			advance(time.Second)
			if len(d.pings) > 0 {
				n.clock.recordPong()
			}
		}
		if d.code != 3005 || d.closed != 2*life+refreshGrace {
			t.Errorf("closed with %d after %v", d.code, d.closed)
		}
		pings := len(d.pings)
		if advance(10 * pingInterval); len(d.pings) != pings {
			t.Error("pings are sent after the connection was closed")
		}
		for _, expired := range []bool{true, false} { // the application changes the expiry
			n, d = openSession(t, s, Client{User: "ann"}, connect)
			n.applyRefresh(&refreshOrder{Expired: expired, Expires: time.Now().Add(life).Unix()})
			if want := `{"push":{"refresh":{"expires":true,"ttl":5}}}`; !expired && !matchesPattern(d.last(), want) {
				t.Error(d.last())
			}
			for d.code == 0 {
				advance(time.Second)
				n.clock.recordPong()
			}
			if at := map[bool]time.Duration{true: 0, false: life + refreshGrace}[expired]; d.code != 3005 || d.closed != at {
				t.Errorf("closed with %d after %v, want %v", d.code, d.closed, at)
			}
		}
		n, d = openSession(t, s, Client{User: "ann"}, connect)
		n.applyRefresh(&refreshOrder{Expires: time.Now().Add(life).Unix()})
		n.applyRefresh(&refreshOrder{}) // now the connection never expires
		if !matchesPattern(d.last(), `{"push":{"refresh":{}}}`) {
			t.Error(d.last())
		}
		for range 4 * pingInterval / time.Second {
			advance(time.Second)
			n.clock.recordPong()
		}
		if d.code != 0 {
			t.Errorf("closed with %d", d.code)
		}
	})
}

// A subscription to a channel or to its members ends refreshGrace after its token expires, unless another token extends it. The
// token of an ended subscription has no effect on a later one, and a subscription without an expiry continues.
func TestSubscriptionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 5 * time.Second
		s := newServer(t)
		s.Hub = hub.New(hub.Options{Namespaces: []hub.Namespace{{Presence: true}}})
		defer s.Hub.Close()
		of := func(channel string, d time.Duration) string {
			return token(t, "secret", jwt.MapClaims{"sub": "ann", "channel": channel, "exp": time.Now().Add(d).Unix()})
		}
		n, d := openSession(t, s, Client{User: "ann"}, connect)
		subscribe := func(channel, more string) {
			t.Helper()
			execute(t, n, quoted(`{"id":2,"subscribe":{"channel":"`+channel+`","token":"TOKEN"`+more+`}}`, of(channel, life)))
			if !strings.Contains(d.last(), `"expires":true,"ttl":5`) {
				t.Error(d.last())
			}
		}
		subscribe("$short", "")
		subscribe("$long", "")
		subscribe("$left", "")
		subscribe("$users:a", `,"type":3,"phase":2`)
		execute(t, n, quoted(`{"id":3,"sub_refresh":{"channel":"$long","token":"TOKEN"}}`, of("$long", 2*life)), `{"id":4,"unsubscribe":{"channel":"$left"}}`)
		if len(n.clock.subs) != 3 || len(n.grants) != 3 {
			t.Errorf("%v, %v", n.clock.subs, n.grants)
		}
		n.applySubscribe(&subscribeOrder{Channel: "ordered", Expires: time.Now().Add(life).Unix()}) // a subscription without a token ends without a delay
		n.applySubscribe(&subscribeOrder{Channel: "kept"})
		for _, channel := range []string{"again", "ended"} { // the token of an earlier subscription does not apply to a later one
			subscribe(channel, "")
			if channel == "again" {
				execute(t, n, `{"id":4,"unsubscribe":{"channel":"again"}}`)
			} else if !n.end(channel) {
				t.Error("the client was not subscribed")
			}
			execute(t, n, subscribes(channel))
		}
		ends := map[string]time.Duration{}
		for range 50 {
			before := len(d.sent)
			advance(time.Second)
			n.clock.recordPong()
			for _, push := range d.sent[before:] {
				for _, channel := range []string{"$short", "$long", "$left", "$users:a", "ordered", "kept", "again", "ended"} {
					if matchesPattern(push, `{"push":{"channel":"`+channel+`","unsubscribe":{"code":2501,"reason":"subscription expired"}}}`) {
						ends[channel] = time.Since(d.began)
					}
				}
			}
		}
		for channel, want := range map[string]time.Duration{"$short": life + refreshGrace, "$long": 2*life + refreshGrace, "$users:a": life + refreshGrace,
			"ordered": life, "$left": 0, "kept": 0, "again": 0, "ended": 0} {
			if lasts := want == 0 && channel != "$left"; ends[channel] != want || n.subscribed(channel) != lasts {
				t.Errorf("%s ended after %v, want %v; subscribed: %v", channel, ends[channel], want, n.subscribed(channel))
			}
		}
		if d.code != 0 || len(n.clock.subs) != 0 {
			t.Errorf("closed with %d, %v", d.code, n.clock.subs)
		}
	})
}

// The times in tokens are limited, and the remaining time is in whole seconds, at least one.
func TestSeconds(t *testing.T) {
	last := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	for n, want := range map[float64]time.Time{-1: time.Unix(0, 0), 0: time.Unix(0, 0), 1.9: time.Unix(1, 0), float64(last.Unix()): last, 1e18: last,
		math.Inf(1): last, float64(last.Unix() - 1): last.Add(-time.Second)} {
		if got := seconds(n); !got.Equal(want) {
			t.Errorf("%v: %v, want %v", n, got.UTC(), want.UTC())
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for d, want := range map[time.Duration]uint32{-time.Hour: 1, 0: 1, 1900 * time.Millisecond: 1, 2 * time.Second: 2, time.Hour: 3600, math.MaxInt64: 1 << 31} {
			if got := secondsUntil(time.Now().Add(d)); got != want {
				t.Errorf("%v: %d, want %d", d, got, want)
			}
		}
	})
}

// A new token must be valid and for the same user. A client that a handshake has authenticated can renew that credential only if the
// server supports it.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		named := quoted(`{"id":1,"connect":{"token":"TOKEN"}}`, token(t, "secret", jwt.MapClaims{"sub": "ann"}))
		refresh := func(text string) string { return quoted(`{"id":2,"refresh":{"token":"TOKEN"}}`, text) }
		claims := func(c jwt.MapClaims) string { return refresh(token(t, "secret", c)) }
		past := time.Now().Add(-time.Second).Unix()
		second := 0
		denies := func(err error) func(*Token) error { // fails for the second token
			second = 0
			return func(*Token) error {
				if second++; second == 2 {
					return err
				}
				return nil
			}
		}
		for name, c := range map[string]struct {
			client         Client
			first, command string
			code           websocket.Code
			reply          string
		}{
			"no token":         {Client{}, named, refresh(""), 3501, ""},
			"of a handshake":   {Client{User: "ann"}, connect, refresh("x"), 0, `{"id":2,"error":{"code":108,"message":"not available"}}`},
			"expired":          {Client{}, named, claims(jwt.MapClaims{"sub": "ann", "exp": past}), 3005, ""},
			"forged":           {Client{}, named, refresh("x"), 3500, ""},
			"of another user":  {Client{}, named, claims(jwt.MapClaims{"sub": "bob"}), 3500, ""},
			"of an empty user": {Client{}, named, claims(jwt.MapClaims{}), 3500, ""},
			"that never ends":  {Client{}, named, claims(jwt.MapClaims{"sub": "ann"}), 0, `{"id":2,"refresh":{"client":"*"}}`},
			"denied":           {Client{Identified: denies(errors.New("no"))}, named, claims(jwt.MapClaims{"sub": "ann"}), 3507, ""},
		} {
			second = 0
			n, d := openSession(t, s, c.client, c.first)
			err := n.receive([]byte(c.command))
			if end, _ := errors.AsType[*websocket.CloseError](err); c.code != 0 && (end == nil || end.Code != c.code) || c.code == 0 && (err != nil || !matchesPattern(d.last(), c.reply)) {
				t.Errorf("%s: %v, %s", name, err, d.last())
			}
		}
	})
}

// After a refresh, subscriptions that are no longer allowed end, except for those with their own token, and other clients see the
// info of the new token.
func TestRefreshRechecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		denied := map[string]bool{}
		allow := func(action, channel string) error {
			if action == hub.ActionSubscribe && denied[channel] {
				return errors.New("no")
			}
			return nil
		}
		ann := jwt.MapClaims{"sub": "ann", "info": map[string]int{"n": 1}}
		n, d := openSession(t, s, Client{Allow: allow}, quoted(`{"id":1,"connect":{"token":"TOKEN"}}`, token(t, "secret", ann)), subscribes("a", "b"),
			quoted(`{"id":2,"subscribe":{"channel":"$c","token":"TOKEN"}}`, token(t, "secret", jwt.MapClaims{"sub": "ann", "channel": "$c"})))
		denied["a"], denied["$c"] = true, true
		before := len(d.sent)
		ann["info"] = map[string]int{"n": 2}
		execute(t, n, quoted(`{"id":3,"refresh":{"token":"TOKEN"}}`, token(t, "secret", ann)))
		if got := d.sent[before:]; len(got) != 2 || !matchesPattern(got[0], `{"push":{"channel":"a","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}`) ||
			!matchesPattern(got[1], `{"id":3,"refresh":{"client":"*"}}`) {
			t.Errorf("%q", got)
		}
		if n.subscribed("a") || !n.subscribed("b") || !n.subscribed("$c") {
			t.Errorf("subscribed to a %v, b %v, $c %v", n.subscribed("a"), n.subscribed("b"), n.subscribed("$c"))
		}
		execute(t, n, `{"id":4,"publish":{"channel":"b","data":1}}`)
		if got := strings.Join(d.sent[before+2:], " "); !strings.Contains(got, `"conn_info":{"n":2}`) {
			t.Error(got)
		}
	})
}
