package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// The admin listener shows channels with their positions, members and history.
func TestAdminChannels(t *testing.T) {
	r := run(t, parse(t, `
apps: [{id: main, secret: hunter2}, {id: other, secret: hunter2}]
endpoints: [{name: rooms, path: /rooms, target: channels, auth: [anonymous], rules: [{do: allow}]}]
hub: {namespaces: [{prefix: "chat:", presence: true}, {prefix: "large", history: 1000}, {prefix: ""}]}
`))
	c := r.open(t, "/rooms", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"type":"subscribe","id":1,"channel":"chat:a/b ?","join":true,"data":{"name":"Ann"}}`), `"subscribed"`)
	wantParts(t, sendCommand(t, c, `{"type":"subscribe","id":2,"channel":"news"}`), `"subscribed"`)
	wantParts(t, sendCommand(t, c, `{"type":"publish","id":3,"channel":"news","data":1}`), `"data":1`)
	readText(t, c) // the acknowledgement
	shown := func(path string, status int, parts ...string) {
		t.Helper()
		resp, body := requestPage(t, "GET", r.AdminURL()+path, nil)
		if resp.StatusCode != status || strings.Contains(body, "hunter2") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
		wantParts(t, body, parts...)
	}
	bounded.Until(t, func() bool { // the numbers of subscribers are reported to the engine periodically
		_, body := requestPage(t, "GET", r.AdminURL()+"/channels", nil)
		return strings.Contains(body, "chat:a/b ?") && strings.Contains(body, "news")
	})
	shown("/channels?prefix=chat:", 200, `"app": "main"`, `"subscribers": 1`)
	shown("/channels?limit=1", 200, `"after": "chat:a/b ?"`)
	shown("/channels/main?after=chat:z", 200, `"channel": "news"`)
	shown("/channels/other", 200, `"channels": []`)
	shown("/channels/none", 404)
	shown("/channels?limit=x", 400, "limit")
	shown("/channels/main/news", 200, `"offset": 1`, `"history": 1`, `"users": 0`, `"epoch"`)
	for i := range 80 {
		wantParts(t, sendCommand(t, c, fmt.Sprintf(`{"type":"publish","id":%d,"channel":"large","data":"%s"}`, i+4, strings.Repeat("x", 60_000))), `"published"`)
	}
	shown("/channels/main/large", 200, `"offset": 80`, `"history": 64`, `"history_more": true`) // 16 pages with four messages each
	shown("/channels/main/"+url.PathEscape("chat:a/b ?"), 200, `"users": 1`, `"channel": "chat:a/b ?"`, `"client"`, `"name": "Ann"`)
	shown("/channels/main/"+strings.Repeat("x", hub.MaxChannel+1), 400)
	shown("/info", 200, `"ready": true`, `"engine": "memory"`, `"main"`, `"other"`, `"subscriptions": 2`, `"channels": 2`, `"connections": 1`)
	shown("/metrics", 200, `handfast_channel_publications_total{namespace="*"} 1`, `handfast_channel_publications_total{namespace="chat:*"} 0`,
		`handfast_channel_members_total{change="join",namespace="chat:*"} 1`, "handfast_engine_ready 1", "handfast_channel_subscriptions 2")
}

// Member data that is not JSON, which clients of other protocols can send, is shown as a string.
func TestMemberData(t *testing.T) {
	for in, want := range map[string]string{"": `{"client":"c"}`, `{"a":1}`: `{"client":"c","data":{"a":1}}`, "{a": `{"client":"c","data":"{a"}`} {
		if got, err := json.Marshal(member{Client: "c", Data: dataJSON([]byte(in))}); err != nil || string(got) != want {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
}

// A server without channels responds with 404.
func TestAdminWithoutChannels(t *testing.T) {
	r := run(t, parse(t, "endpoints: [{path: /echo, target: echo, auth: [anonymous]}]\n"))
	if resp, body := requestPage(t, "GET", r.AdminURL()+"/channels", nil); resp.StatusCode != 404 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if _, body := requestPage(t, "GET", r.AdminURL()+"/metrics", nil); strings.Contains(body, "handfast_channel") {
		t.Error(body)
	}
	if resp, body := requestPage(t, "GET", r.AdminURL()+"/info", nil); resp.StatusCode != 200 || !strings.Contains(body, `"apps": []`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// failingProbeEngine is an engine whose probes fail.
type failingProbeEngine struct{ hub.Engine }

func (failingProbeEngine) Probe(context.Context) error {
	return errors.New("no route to redis.internal")
}

// A server whose engine does not respond starts but is not ready; only authorized requests see the reason.
func TestNotReadyWithoutEngine(t *testing.T) {
	r := run(t, parse(t, "apps: [{id: main, secret: s}]\nendpoints: [{path: /rooms, target: channels, auth: [anonymous]}]\n"))
	whole := r.hub.get()
	r.hub.mu.Lock()
	r.hub.hub = hub.New(hub.Options{Engine: failingProbeEngine{hub.NewMemory().Node()}})
	r.hub.mu.Unlock()
	defer whole.Close()
	resp, body := requestPage(t, "GET", r.AdminURL()+"/readyz", nil)
	if resp.StatusCode != 503 || !strings.Contains(body, "engine") || strings.Contains(body, "redis.internal") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	bounded.Until(t, func() bool {
		_, body := requestPage(t, "GET", r.AdminURL()+"/info", nil)
		return strings.Contains(body, `"ready": false`) && strings.Contains(body, "no route to redis.internal")
	})
	if _, body := requestPage(t, "GET", r.AdminURL()+"/metrics", nil); !strings.Contains(body, "handfast_engine_ready 0") {
		t.Error(body)
	}
	// The request names no application, so it is about the default one.
	if resp, body := requestPage(t, "GET", r.AdminURL()+"/channels", nil); resp.StatusCode != 501 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// failingReleaseEngine is an engine that does not release its node's lease.
type failingReleaseEngine struct {
	hub.Engine
	hub.Presence
}

func (failingReleaseEngine) Release(context.Context, string) error { return errors.New("no majority") }

// A server that stops while its engine does not respond, as on the last nodes of a cluster, logs what happens to its members and
// blames no target.
func TestEndWithoutEngine(t *testing.T) {
	r := run(t, parse(t, "apps: [{id: main, secret: s}]\nendpoints: [{path: /rooms, target: channels, auth: [anonymous]}]\n"))
	whole := r.hub.get()
	defer whole.Close()
	memory := hub.NewMemory().Node()
	r.hub.mu.Lock()
	r.hub.hub = hub.New(hub.Options{Engine: failingReleaseEngine{memory, memory.(hub.Presence)}})
	r.hub.mu.Unlock()
	r.Close()
	waitForLog(t, &r.log, "level=INFO", "the engine of channels did not answer during shutdown", "no majority", "leave when the lease of the node ends")
	if strings.Contains(r.log.String(), "did not close properly") {
		t.Error(r.log.String())
	}
}
