package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
)

// A publication for a user, with either API, reaches that user's clients in each protocol once. No other client may subscribe to the
// user's channel or publish in it.
func TestPublishToUser(t *testing.T) {
	r := run(t, parse(t, threeProtocols, key))
	own := protocols["channels"].open(t, r, slowDialOptions())
	wantParts(t, sendCommand(t, own.Conn, `{"type":"subscribe","id":1,"channel":"#user:ann"}`), `"subscribed"`)
	cf := protocols["centrifugo"].open(t, r, slowDialOptions())
	wantParts(t, sendCommand(t, cf.Conn, `{"id":2,"subscribe":{"channel":"#user:ann"}}`), `"id":2,"subscribe"`)
	pu := protocols["pusher"].open(t, r, slowDialOptions())
	const user = `{"id":"ann"}`
	wantParts(t, sendCommand(t, pu.Conn, fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":"k:%s","user_data":%q}}`, hmacOf("s", pu.id+"::user::"+user), user)), "signin_success")
	wantParts(t, sendCommand(t, pu.Conn, `{"event":"pusher:subscribe","data":{"channel":"#server-to-user-ann"}}`), "subscription_succeeded")

	bob := r.open(t, "/channels", withToken(token("bob", time.Hour, nil)))
	readText(t, bob)
	wantParts(t, sendCommand(t, bob, `{"type":"subscribe","id":1,"channel":"#user:ann"}`), `"code":"denied"`)
	wantParts(t, sendCommand(t, bob, `{"type":"publish","id":2,"channel":"#user:ann","data":1}`), `"code":"denied"`)
	stranger := r.open(t, "/app/k?protocol=7", nil)
	readText(t, stranger)
	wantParts(t, sendCommand(t, stranger, `{"event":"pusher:subscribe","data":{"channel":"#server-to-user-ann"}}`), `"status":401`)
	carl := r.open(t, "/connection/websocket", nil)
	wantParts(t, sendCommand(t, carl, `{"id":1,"connect":{"token":"`+appToken("s", `{"sub":"carl"}`)+`"}}`), `"client":"`)
	wantParts(t, sendCommand(t, carl, `{"id":2,"subscribe":{"channel":"#user:ann"}}`), `"code":103`)

	if res := post(t, r.URLs()[0]+"/api/publish", "s", `{"channel":"#user:ann","data":"first"}`); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	status, text := trigger(t, r.URLs()[0], "/apps/main/events", "k", "s", `{"name":"e","channel":"#server-to-user-ann","data":"\"second\""}`)
	if status != http.StatusOK {
		t.Fatal(status, text)
	}
	for name, c := range map[string]*websocket.Conn{"channels": own.Conn, "centrifugo": cf.Conn, "pusher": pu.Conn} {
		for _, data := range []string{"first", "second"} {
			if got := readText(t, c); !strings.Contains(got, data) {
				t.Errorf("%s: %s, want %s", name, got, data)
			}
		}
	}
}
