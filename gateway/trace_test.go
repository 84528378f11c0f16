package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// The trace ID of an HTTP request is logged when the message is published and when it is delivered, and is included in webhooks,
// for each API. Other messages have no trace ID.
func TestTraceOfARequest(t *testing.T) {
	bodies := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		bodies <- string(text)
	}))
	defer hook.Close()
	r := run(t, parse(t, `
apps: [{id: shop, key: shop-key, secret: shop-secret}]
webhooks: [{url: '%s', events: [published]}]
endpoints:
	- {name: rooms, path: /rooms, target: channels, auth: [anonymous], rules: [{do: allow}]}
	- {name: pusher, path: "/app/{key}", target: pusher, auth: [anonymous], rules: [{do: allow}]}
	- {name: centrifugo, path: /connection/websocket, target: centrifugo, auth: [anonymous], rules: [{do: allow}]}
	- {name: streams, path: /streams/, target: streams, auth: [anonymous], rules: [{do: allow}]}
hub: {namespaces: [{prefix: "", history: 10}, {prefix: "all-", trace: 1}]}
`, hook.URL))
	base := r.URLs()[0]
	c := r.open(t, "/rooms", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"type":"subscribe","id":1,"channel":"news"}`), `"subscribed"`)
	header := func(n int) (id, value string) {
		id = fmt.Sprintf("%032x", n)
		return id, "00-" + id + "-00f067aa0ba902b7-01"
	}
	requests := []func(value string){
		func(value string) {
			const body = `{"name":"e","channel":"news","data":"1"}`
			if status, text := trigger(t, base, "/apps/shop/events", "shop-key", "shop-secret", body, "Traceparent", value); status != http.StatusOK {
				t.Fatal(status, text)
			}
		},
		func(value string) {
			if resp := stream(t, "POST", base+"/api/publish", `{"channel":"news","data":1}`, "X-API-Key", "shop-secret", "Traceparent", value); resp.StatusCode != http.StatusOK {
				t.Fatal(resp.Status)
			}
		},
		func(value string) {
			if resp := stream(t, "PUT", base+"/streams/news", `[1]`, "Content-Type", "application/json", "Traceparent", value); resp.StatusCode != http.StatusCreated {
				t.Fatal(resp.Status)
			}
		},
	}
	for i, request := range requests {
		id, value := header(i + 1)
		request(value)
		wantParts(t, readText(t, c), `"message"`)
		line := fmt.Sprintf("trace_id=%s app=shop channel=news epoch=", id)
		waitForLog(t, &r.log, "level=DEBUG msg=published "+line, fmt.Sprintf("offset=%d", i+1), `user="" client=""`)
		waitForLog(t, &r.log, "level=DEBUG msg=delivered "+line, fmt.Sprintf("offset=%d subscribers=1", i+1))
		if body := bounded.Receive(t, bodies); strings.Count(body, `"trace_id":"`+id+`"`) != 1 {
			t.Error(body)
		}
	}
	wantParts(t, sendCommand(t, c, `{"type":"publish","id":2,"channel":"news","data":1}`), `"data":1`)
	readText(t, c) // the acknowledgement
	if body := bounded.Receive(t, bodies); strings.Contains(body, "trace_id") {
		t.Error(body)
	}
	if n := strings.Count(r.log.String(), "msg=published "); n != 3 {
		t.Errorf("%d messages are in the log", n)
	}

	// A namespace may trace all messages, which are then logged at level info.
	wantParts(t, sendCommand(t, c, `{"type":"publish","id":3,"channel":"all-x","data":1}`), `"published"`)
	waitForLog(t, &r.log, "level=INFO msg=published trace_id=", "app=shop channel=all-x", "client=")
}
