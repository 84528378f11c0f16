package pusher

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// twoNodes returns the URLs of two servers whose hubs share an engine.
func twoNodes(t *testing.T) [2]string {
	t.Helper()
	m := hub.NewMemory()
	var urls [2]string
	for i := range urls {
		h := hub.New(hub.Options{Engine: m.Node(), Namespaces: Namespaces(nil)})
		t.Cleanup(func() { h.Close() })
		urls[i] = drivers["loop"](t, &Server{Hub: h, Apps: testApps(), ClientEvents: true})
	}
	return urls
}

// connectNamed returns a connection, and its socket ID.
func connectNamed(t *testing.T, url string) (c *websocket.Conn, id string) {
	t.Helper()
	c = dial(t, url, defaultQuery)
	return c, strings.Split(read(t, c), `\"`)[3]
}

// join subscribes to a presence channel, and returns the reply.
func join(t *testing.T, c *websocket.Conn, id, channel, user string) string {
	t.Helper()
	data := jsonText(map[string]string{"user_id": user})
	auth := app.Key + ":" + app.sign(channelText(id, channel, data))
	send(t, c, jsonText(command{Event: "pusher:subscribe", Data: encode(request{Channel: channel, Auth: auth, ChannelData: data})}))
	return read(t, c)
}

func wantRead(t *testing.T, c *websocket.Conn, want string) {
	t.Helper()
	if got := read(t, c); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Members, events and counts cover all nodes.
func TestPresenceOnTwoNodes(t *testing.T) {
	urls := twoNodes(t)
	ann, annID := connectNamed(t, urls[0])
	bob, bobID := connectNamed(t, urls[1])
	tab, tabID := connectNamed(t, urls[1]) // another connection of ann
	join(t, ann, annID, "presence-x", "ann")
	if got, want := join(t, bob, bobID, "presence-x", "bob"), `{\"count\":2,\"ids\":[\"ann\",\"bob\"],\"hash\":{\"ann\":null,\"bob\":null}}`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
	wantRead(t, ann, `{"event":"pusher_internal:member_added","channel":"presence-x","data":"{\"user_id\":\"bob\",\"user_info\":null}"}`)
	if got := join(t, tab, tabID, "presence-x", "ann"); !strings.Contains(got, `{\"count\":2,`) {
		t.Error(got)
	}
	send(t, ann, `{"event":"client-x","channel":"presence-x","data":{"a":1}}`)
	for _, c := range []*websocket.Conn{bob, tab} {
		wantRead(t, c, `{"event":"client-x","channel":"presence-x","data":"{\"a\":1}","user_id":"ann"}`)
	}
	for _, url := range urls {
		for path, want := range map[string]string{
			"/channels/presence-x?info=subscription_count,user_count": `{"occupied":true,"user_count":2,"subscription_count":3}`,
			"/channels?filter_by_prefix=presence-&info=user_count":    `{"channels":{"presence-x":{"user_count":2}}}`,
			"/channels/presence-x/users":                              `{"users":[{"id":"ann"},{"id":"bob"}]}`,
			"/channels/presence-y?info=user_count":                    `{"occupied":false,"user_count":0}`,
		} {
			bounded.Until(t, func() bool {
				status, got := api(t, url, "GET", path, "")
				return status == 200 && got == want
			})
		}
	}
	// ann remains a member as long as one of her connections is open on any node.
	ann.CloseNow()
	bounded.Until(t, func() bool {
		_, got := api(t, urls[1], "GET", "/channels/presence-x?info=subscription_count", "")
		return got == `{"occupied":true,"subscription_count":2}`
	})
	if status, got := api(t, urls[0], "POST", "/events", `{"name":"e","channel":"presence-x","data":"1","socket_id":"`+tabID+`"}`); status != 200 {
		t.Error(got)
	}
	wantRead(t, bob, `{"event":"e","channel":"presence-x","data":"1"}`)
	tab.CloseNow()
	wantRead(t, bob, `{"event":"pusher_internal:member_removed","channel":"presence-x","data":"{\"user_id\":\"ann\"}"}`)
}

// The connections of a user are closed on all nodes, and events for a user reach all of these connections.
func TestUserOnTwoNodes(t *testing.T) {
	urls := twoNodes(t)
	signedIn := func(url, user string) *websocket.Conn {
		c, id := connectNamed(t, url)
		data := jsonText(map[string]string{"id": user})
		send(t, c, jsonText(command{Event: "pusher:signin", Data: encode(request{Auth: app.Key + ":" + app.sign(userText(id, data)), UserData: data})}))
		if got := read(t, c); !strings.Contains(got, "pusher:signin_success") {
			t.Fatal(got)
		}
		send(t, c, `{"event":"pusher:subscribe","data":{"channel":"#server-to-user-`+user+`"}}`)
		if got := read(t, c); !strings.Contains(got, "subscription_succeeded") {
			t.Fatal(got)
		}
		return c
	}
	anns := []*websocket.Conn{signedIn(urls[0], "ann"), signedIn(urls[1], "ann")}
	bob := signedIn(urls[1], "bob")
	if status, got := api(t, urls[0], "POST", "/events", `{"name":"e","channel":"#server-to-user-ann","data":"1"}`); status != 200 {
		t.Error(got)
	}
	for _, c := range anns {
		wantRead(t, c, `{"event":"e","channel":"#server-to-user-ann","data":"1"}`)
	}
	if status, got := api(t, urls[0], "POST", "/users/ann/terminate_connections", ""); status != 200 || got != "{}" {
		t.Error(status, got)
	}
	for _, c := range anns {
		if got := code(t, c); got != CodeUnauthorized {
			t.Errorf("closed with %v", got)
		}
	}
	send(t, bob, `{"event":"pusher:ping"}`)
	wantRead(t, bob, `{"event":"pusher:pong","data":{}}`)
}
