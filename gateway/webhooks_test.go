package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/webhook"
)

// hookReceiver is a webhook receiver that fails on request.
type hookReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	fail   int
	events []string
	bad    []string // signatures
}

func receiveHooks(t *testing.T, secret string) *hookReceiver {
	t.Helper()
	h := &hookReceiver{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		text, _ := io.ReadAll(r.Body)
		if h.fail > 0 {
			h.fail--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get(webhook.HeaderPusherKey) == "" && !webhook.Verify([]byte(secret), r.Header, text, time.Now()) {
			h.bad = append(h.bad, r.Header.Get(webhook.HeaderSignature))
		}
		var body struct {
			Events []struct{ Type, Name, App, Channel, User, Reason string }
		}
		if err := json.Unmarshal(text, &body); err != nil {
			h.bad = append(h.bad, err.Error())
		}
		for _, e := range body.Events {
			h.events = append(h.events, strings.Join(strings.Fields(fmt.Sprint(e.App, " ", e.Type, e.Name, " ", e.Channel, " ", e.User, " ", e.Reason)), " "))
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hookReceiver) got() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

// Events in the channels of an application are posted to its webhooks, signed, also after a failure; other applications are not
// affected.
func TestWebhooks(t *testing.T) {
	all, some := receiveHooks(t, "main-secret"), receiveHooks(t, "own-secret")
	all.fail = 1
	r := run(t, parse(t, `
apps: [{id: main, secret: main-secret}, {id: other, secret: other-secret}]
webhooks:
  - {url: '%s/hook?token=hunter2'}
  - {url: '%s', secret: own-secret, events: [published, disconnected]}
  - {url: '%s', app: other}
endpoints:
  - {name: rooms, path: /rooms, target: channels, auth: [anonymous], rules: [{do: allow}]}
  - {name: others, path: /others, target: {channels: {app: other}}, auth: [anonymous], rules: [{do: allow}]}
`, all.URL, some.URL, all.URL+"/other"))
	c := r.open(t, "/rooms", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"type":"subscribe","id":1,"channel":"chat"}`), `"subscribed"`)
	wantParts(t, sendCommand(t, c, `{"type":"publish","id":2,"channel":"chat","data":1}`), `"data":1`)
	c.CloseNow()
	want := []string{"main connected", "main subscribed chat", "main occupied chat", "main published chat", "main disconnected client"}
	bounded.Until(t, func() bool {
		got := all.got()
		return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(got, w) })
	})
	bounded.Until(t, func() bool { return len(some.got()) == 2 })
	if got := some.got(); !slices.Equal(got, []string{"main published chat", "main disconnected client"}) {
		t.Errorf("%q", got)
	}
	if len(all.bad)+len(some.bad) > 0 {
		t.Errorf("bad requests: %q, %q", all.bad, some.bad)
	}
	bounded.Until(t, func() bool {
		_, body := requestPage(t, "GET", r.AdminURL()+"/metrics", nil)
		return strings.Contains(body, `handfast_webhook_events_total{app="main",outcome="sent",webhook="1"} 2`) &&
			strings.Contains(body, `handfast_webhook_events_total{app="other",outcome="sent",webhook="2"} 0`) &&
			strings.Contains(body, `handfast_webhook_queue_events{app="main",webhook="0"} `)
	})
	waitForLog(t, &r.log, "a webhook failed", "503")
	if strings.Contains(r.log.String(), "hunter2") {
		t.Error("the query of the URL is in the log")
	}
}

// The format pusher has only its own events, and the Done of a disconnect is called when all webhooks have finished.
func TestPusherWebhooks(t *testing.T) {
	h := receiveHooks(t, "")
	r := run(t, parse(t, `
apps: [{id: main, secret: main-secret}]
webhooks: [{url: '%s', format: pusher}]
endpoints: [{name: rooms, path: /rooms, target: channels, auth: [anonymous], rules: [{do: allow}]}]
`, h.URL))
	c := r.open(t, "/rooms", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"type":"subscribe","id":1,"channel":"chat"}`), `"subscribed"`)
	bounded.Until(t, func() bool { return len(h.got()) == 1 })
	c.CloseNow()
	bounded.Until(t, func() bool { return len(h.got()) == 2 })
	if got := h.got(); !slices.Equal(got, []string{"channel_occupied chat", "channel_vacated chat"}) || len(h.bad) > 0 {
		t.Errorf("%q, bad: %q", got, h.bad)
	}
}

// The target pusher reports cache misses and, if enabled, the numbers of subscriptions.
func TestWebhooksOfPusher(t *testing.T) {
	h := receiveHooks(t, "")
	r := run(t, parse(t, `
apps: [{id: main, key: k, secret: main-secret}]
webhooks: [{url: '%s', format: pusher, events: [cache_miss, subscription_count]}]
endpoints: [{path: "/app/{key}", target: {pusher: {subscription_counts: true}}, auth: [anonymous], rules: [{do: allow}]}]
`, h.URL))
	c := r.open(t, "/app/k?protocol=7", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"event":"pusher:subscribe","data":{"channel":"cache-news"}}`), "subscription_succeeded")
	bounded.Until(t, func() bool { return len(h.got()) == 2 })
	if got := slices.Sorted(slices.Values(h.got())); !slices.Equal(got, []string{"cache_miss cache-news", "subscription_count cache-news"}) || len(h.bad) > 0 {
		t.Errorf("%q, bad: %q", got, h.bad)
	}
}

// When it stops, a server waits until the disconnect events are sent.
func TestWebhooksAtTheEnd(t *testing.T) {
	h := receiveHooks(t, "s")
	r := run(t, parse(t, `
apps: [{id: main, secret: s}]
webhooks: [{url: '%s', events: [disconnected]}]
endpoints: [{name: rooms, path: /rooms, target: channels, auth: [anonymous], rules: [{do: allow}]}]
`, h.URL))
	readText(t, r.open(t, "/rooms", nil))
	r.Close()
	bounded.Until(t, func() bool { return len(h.got()) == 1 })
	if got := h.got(); !strings.HasPrefix(got[0], "main disconnected") || len(h.bad) > 0 {
		t.Errorf("%q, bad: %q", got, h.bad)
	}
}

// Changed webhooks take effect at the next start, which is logged. A server without webhooks reports no events.
func TestWebhooksReload(t *testing.T) {
	const text = `
apps: [{id: main, secret: s}]
endpoints: [{name: rooms, path: /rooms, target: channels, auth: [anonymous], rules: [{do: allow}]}]
`
	cfg := parse(t, text)
	if hooks, err := openWebhooks(cfg, nil); err != nil || hooks != nil {
		t.Errorf("%v, %v", hooks, err)
	}
	r := run(t, cfg)
	if err := r.Reload(bounded.Context(t), parse(t, text+"webhooks: [{url: 'http://127.0.0.1:9/'}]\n")); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, &r.log, "takes effect after the next start", "setting=webhooks")
}

// The Done of an event is called immediately for an application without webhooks, and after both webhooks have finished for an
// application with two.
func TestWebhooksDone(t *testing.T) {
	h := receiveHooks(t, "s")
	hooks, err := openWebhooks(parse(t, `
apps: [{id: main, secret: s}, {id: none, secret: s}]
webhooks: [{url: '%s'}, {url: '%s', events: [published]}]
endpoints: [{path: /rooms, target: channels, auth: [anonymous]}]
`, h.URL, h.URL), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer hooks.close(time.Minute)
	for _, app := range []string{"none", "main"} {
		done := make(chan string, 3)
		hooks.event(hub.Event{Kind: hub.EventDisconnected, App: app, Client: "c", Done: func() { done <- app }})
		bounded.Receive(t, done)
		if len(done) > 0 {
			t.Errorf("%s: Done was called twice", app)
		}
	}
	if got := h.got(); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
