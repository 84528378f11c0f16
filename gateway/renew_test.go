package gateway

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// If a renewed token allows less than the previous one, the subscriptions that the renewed token does not allow end.
func TestRenewalEndsSubscriptions(t *testing.T) {
	r := run(t, parse(t, users+`
	- {name: rooms, path: /rooms, target: channels, auth: [users],
	   rules: [{do: allow, actions: [connect]}, {do: allow, channels: [open]}, {do: allow, when: '"staff" in (claims.roles ?? [])'}]}
	- {name: centrifugo, path: /connection/websocket, target: centrifugo, auth: [anonymous],
	   rules: [{do: allow, actions: [connect]}, {do: allow, channels: [open]}, {do: allow, when: '"staff" in (claims.roles ?? [])'}]}
apps: [{id: main, secret: "%[1]s"}]
`, key))
	staff := map[string]any{"roles": []string{"staff"}}
	quoted := func(command, token string) string {
		text, err := json.Marshal(token)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(command, text)
	}

	c := r.open(t, "/rooms", withToken(token("ann", time.Hour, staff)))
	readText(t, c)
	for i, channel := range []string{"open", "secret"} {
		wantParts(t, sendCommand(t, c, fmt.Sprintf(`{"type":"subscribe","id":%d,"channel":"%s"}`, i+1, channel)), `"subscribed"`)
	}
	wantParts(t, sendCommand(t, c, quoted(`{"type":"refresh","id":3,"token":%s}`, token("ann", time.Hour, staff))), `"done"`)
	wantParts(t, sendCommand(t, c, quoted(`{"type":"refresh","id":4,"token":%s}`, token("ann", time.Hour, nil))), `"done"`)
	wantParts(t, readText(t, c), `"type":"unsubscribed","channel":"secret","code":"denied"`)
	wantParts(t, sendCommand(t, c, `{"type":"unsubscribe","id":5,"channel":"open"}`), `"id":5`, `"done"`)

	sign := func(claims map[string]any) string { return token("ann", time.Hour, claims) }
	p := r.open(t, "/connection/websocket", nil)
	wantParts(t, sendCommand(t, p, quoted(`{"id":1,"connect":{"token":%s}}`, sign(staff))), `"client"`)
	wantParts(t, sendCommand(t, p, `{"id":2,"subscribe":{"channel":"open"}}`), `"subscribe":{`)
	wantParts(t, sendCommand(t, p, `{"id":3,"subscribe":{"channel":"secret"}}`), `"subscribe":{`)
	own := sign(map[string]any{"channel": "$own"})
	wantParts(t, sendCommand(t, p, quoted(`{"id":4,"subscribe":{"channel":"$own","token":%s}}`, own)), `"subscribe":{`)
	wantParts(t, sendCommand(t, p, quoted(`{"id":5,"refresh":{"token":%s}}`, sign(nil))), `"channel":"secret","unsubscribe":{"code":2000`)
	wantParts(t, readText(t, p), `"id":5,"refresh":{`)
	wantParts(t, sendCommand(t, p, `{"id":6,"unsubscribe":{"channel":"$own"}}`), `"id":6,"unsubscribe"`)
}
