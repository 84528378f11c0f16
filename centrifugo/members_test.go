package centrifugo

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// The members of a channel are a collection: connections by their IDs, or users.
func TestMembers(t *testing.T) {
	for _, loop := range []bool{false, true} {
		s := newServer(t)
		url := serve(t, s, Client{Anonymous: true}, loop)
		as := func(claims jwt.MapClaims, subscribe string) *peer {
			p := dial(t, url, asJSON)
			p.send(quoted(`{"id":1,"connect":{"token":"TOKEN"}}`, token(t, "secret", claims)) + "\n" + subscribe)
			p.want(`{"id":1,"connect":{"client":"*","ping":25,"pong":true}}`)
			return p
		}
		p := as(jwt.MapClaims{"sub": "eve"}, `{"id":2,"subscribe":{"channel":"$clients:a","type":2,"phase":2}}`+"\n"+
			`{"id":3,"subscribe":{"channel":"$users:a","type":3,"phase":2}}`)
		p.want(`{"id":2,"subscribe":{"type":1}}`)
		p.want(`{"id":3,"subscribe":{"type":1}}`)
		ann := as(jwt.MapClaims{"sub": "ann", "info": map[string]string{"name": "Ann"}}, `{"id":2,"subscribe":{"channel":"a"}}`)
		const client, user = `{"push":{"channel":"$clients:a","pub":{"key":"*","data":null,` +
			`"info":{"user":"ann","client":"*","conn_info":{"name":"Ann"}}}}}`, `{"push":{"channel":"$users:a","pub":{"key":"ann","data":null}}}`
		p.wantBoth(client, user)

		late := as(jwt.MapClaims{"sub": "eve"}, `{"id":2,"subscribe":{"channel":"$clients:a","type":2,"phase":2}}`+"\n"+
			`{"id":3,"subscribe":{"channel":"$users:a","type":3,"phase":2}}`)
		late.want(`{"id":2,"subscribe":{"type":1,"state":[{"key":"*","data":null,"info":{"user":"ann","client":"*","conn_info":{"name":"Ann"}}}]}}`)
		late.want(`{"id":3,"subscribe":{"type":1,"state":[{"key":"ann","data":null}]}}`)
		late.send(`{"id":4,"subscribe":{"channel":"$users:a","type":3,"phase":2}}` + "\n" + `{"id":5,"unsubscribe":{"channel":"$users:a"}}`)
		late.want(`{"id":4,"error":{"code":105,"message":"already subscribed"}}`)
		late.want(`{"id":5,"unsubscribe":{}}`)

		ann.conn.CloseNow()
		const gone = `{"push":{"channel":"$clients:a","pub":{"key":"*","data":null,"removed":true}}}`
		p.wantBoth(gone, `{"push":{"channel":"$users:a","pub":{"key":"ann","data":null,"removed":true}}}`)
		late.want(gone)
	}
}

// The application can end a subscription to members by the name of its channel, without ending others.
func TestMembersUnsubscribedByAPI(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	url := serve(t, newServer(t), Client{Anonymous: true}, true)
	p := dial(t, url, asJSON)
	p.send(quoted(`{"id":1,"connect":{"token":"TOKEN"}}`, token(t, "secret", jwt.MapClaims{"sub": "eve"})))
	p.read()
	for _, subscription := range []string{`"channel":"$clients:a","type":2,"phase":2`, `"channel":"$users:a","type":3,"phase":2`} {
		p.send(`{"id":2,"subscribe":{` + subscription + `}}`)
		p.want(`{"id":2,"subscribe":{"type":1}}`)
	}
	for _, channel := range []string{"a", "$users:a"} {
		if status, text := call(t, url, "unsubscribe", "secret", `{"user":"eve","channel":"`+channel+`"}`); status != http.StatusOK {
			t.Fatal(status, text)
		}
	}
	p.want(`{"push":{"channel":"$users:a","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}`)
	p.send(`{"id":3,"subscribe":{"channel":"$clients:a","type":2,"phase":2}}`)
	p.want(`{"id":3,"error":{"code":105,"message":"already subscribed"}}`)
	p.send(`{"id":4,"subscribe":{"channel":"$users:a","type":3,"phase":2}}`)
	p.want(`{"id":4,"subscribe":{"type":1}}`)
}

// If the data of a channel's connections exceeds the limit of a reply, the connections can be neither followed nor listed, but the
// users can still be followed.
func TestMembersTooLarge(t *testing.T) {
	s := newServer(t)
	const each = 60 << 10
	for i := range maxPresence/each + 1 {
		leave, err := s.Hub.Enter(bounded.Context(t), "dev", "a", hub.Member{User: fmt.Sprint(i % 2), Client: fmt.Sprint("c", i), Data: []byte(`"` + strings.Repeat("x", each) + `"`)})
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	p := dial(t, serve(t, s, Client{Anonymous: true}, true), asJSON)
	p.send(`{"id":1,"connect":{}}`)
	p.read()
	for command, want := range map[string]string{
		`"subscribe":{"channel":"$clients:a","type":2,"phase":2}`: `"error":{"code":106,"message":"limit exceeded"}`,
		`"presence":{"channel":"a"}`:                              `"error":{"code":106,"message":"limit exceeded"}`,
		`"subscribe":{"channel":"$users:a","type":3,"phase":2}`:   `"subscribe":{"type":1,"state":[{"key":"0","data":null},{"key":"1","data":null}]}`,
	} {
		p.send(`{"id":2,` + command + `}`)
		p.want(`{"id":2,` + want + `}`)
	}
}

// wantBoth reads two messages in either order.
func (p *peer) wantBoth(a, b string) {
	p.t.Helper()
	one, other := p.read(), p.read()
	if !(matchesPattern(one, a) && matchesPattern(other, b) || matchesPattern(one, b) && matchesPattern(other, a)) {
		p.t.Errorf("got\n%s\n%s\nwant\n%s\n%s", one, other, a, b)
	}
}

// Invalid subscriptions to members get an error of the protocol, and the number of followed channels is limited.
func TestMembersRejected(t *testing.T) {
	s := newServer(t)
	deny := func(action, channel string) error {
		if action == hub.ActionPresence && channel == "secret" {
			return errors.New("no")
		}
		return nil
	}
	p := dial(t, serve(t, s, Client{Anonymous: true, Allow: deny}, true), asJSON)
	p.send(`{"id":1,"connect":{}}`)
	p.read()
	for subscription, want := range map[string]string{
		`"channel":"a","type":2,"phase":2`:                                `"code":107,"message":"bad request"`,
		`"channel":"$clients:","type":2,"phase":2`:                        `"code":107,"message":"bad request"`,
		`"channel":"$clients:a","type":2,"phase":1`:                       `"code":112,"message":"unrecoverable position"`,
		`"channel":"$clients:a","type":2,"phase":2,"tf":{"cmp":"ex"}`:     `"code":108,"message":"not available"`,
		`"channel":"$clients:none:a","type":2,"phase":2`:                  `"code":108,"message":"not available"`,
		`"channel":"$users:secret","type":3,"phase":2`:                    `"code":103,"message":"permission denied"`,
		`"channel":"$users:#user:bob","type":3,"phase":2`:                 `"code":103,"message":"permission denied"`,
		`"channel":"$users:a","type":5,"phase":2`:                         `"code":108,"message":"not available"`,
		`"channel":"$clients:a","type":2,"phase":2,"token":"not a token"`: `"code":103,"message":"permission denied"`,
	} {
		p.send(`{"id":2,"subscribe":{` + subscription + `}}`)
		p.want(`{"id":2,"error":{` + want + `}}`)
	}
	for i := range maxMemberWatches + 1 {
		p.send(`{"id":2,"subscribe":{"channel":"` + string(rune('a'+i)) + `:a","type":3,"phase":2}}`)
		if i < maxMemberWatches {
			p.want(`{"id":2,"subscribe":{"type":1}}`)
		}
	}
	p.want(`{"id":2,"error":{"code":106,"message":"limit exceeded"}}`)
}

// A subscription token allows following members until the token expires. When the client renews its connection token, subscriptions without
// a token end if they are no longer allowed.
func TestMembersAllowed(t *testing.T) {
	s := newServer(t)
	allowed := true
	deny := func(action, _ string) error {
		if action == hub.ActionPresence && !allowed {
			return errors.New("no")
		}
		return nil
	}
	p := dial(t, serve(t, s, Client{Allow: deny}, false), asJSON)
	connect := token(t, "secret", jwt.MapClaims{"sub": "eve"})
	p.send(quoted(`{"id":1,"connect":{"token":"TOKEN"}}`, connect) + "\n" + `{"id":2,"subscribe":{"channel":"$users:a","type":3,"phase":2}}`)
	p.read()
	p.want(`{"id":2,"subscribe":{"type":1}}`)
	expires := time.Now().Add(time.Hour)
	p.send(quoted(`{"id":3,"subscribe":{"channel":"$users:b","type":3,"phase":2,"token":"TOKEN"}}`,
		token(t, "secret", jwt.MapClaims{"sub": "eve", "channel": "$users:b", "exp": expires.Unix()})))
	p.want(`{"id":3,"subscribe":{"type":1,"expires":true,"ttl":"*"}}`)
	allowed = false
	p.send(quoted(`{"id":4,"refresh":{"token":"TOKEN"}}`, connect))
	p.wantBoth(`{"push":{"channel":"$users:a","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}`, `{"id":4,"refresh":{"client":"*"}}`)
	leave, err := s.Hub.Enter(bounded.Context(t), "dev", "a", hub.Member{User: "ann", Client: "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	other, err := s.Hub.Enter(bounded.Context(t), "dev", "b", hub.Member{User: "ann", Client: "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer other()
	p.want(`{"push":{"channel":"$users:b","pub":{"key":"ann","data":null}}}`)
}
