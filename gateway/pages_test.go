package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/observe"
)

var observeNothing = observe.Live{Endpoints: func() []observe.Traffic { return nil }}

// The limits and origins of an endpoint apply to the pages of its target, and requests are audited.
func TestTargetPages(t *testing.T) {
	target := &fakeTarget{register: func(mux *http.ServeMux) {
		mux.HandleFunc("POST /apps/{id}/events", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, r.PathValue("id"))
		})
		mux.HandleFunc("GET /open", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a page at the endpoint's path")
		})
		mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) { t.Error("a page of the target hides the console") })
		mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("the page is broken") })
	}}
	r := runTargets(t, parse(t, `
console: true
endpoints:
	- {name: open, path: /open, target: echo, auth: [anonymous], origins: ["https://app.example.com"], limits: {handshakes_per_second: 0.01}}
`), sameTarget(target))
	url := r.URLs()[0]
	for _, tt := range []struct {
		method, path, origin string
		status               int
		body                 string
	}{
		{"POST", "/apps/7/events", "", 202, "7"},
		{"POST", "/apps/8/events", "https://app.example.com", 202, "8"},
		{"POST", "/apps/8/events", "https://evil.example", 403, "403 Forbidden\n\n"},
		{"GET", "/open", "", 200, "a page at the endpoint's path"},
		{"GET", "/", "", 200, "<title>handfast</title>"},
		{"GET", "/nowhere", "", 404, "404"},
	} {
		header := http.Header{}
		if tt.origin != "" {
			header.Set("Origin", tt.origin)
		}
		resp, body := requestPage(t, tt.method, url+tt.path, header)
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s %s: %d %q", tt.method, tt.path, resp.StatusCode, body)
		}
	}
	if got := r.rec.refused.List()[0]; got.Endpoint != "open" || got.Stage != "origin" || got.Status != 403 || got.Clause == "" {
		t.Errorf("remembered %+v", got)
	}
	if _, err := http.Get(url + "/panic"); err == nil { //nolint:bodyclose // the request fails, so there is no response body
		t.Error("a page that panics has responded")
	}
	waitForLog(t, &r.log, "level=ERROR", `panic="the page is broken"`, "endpoint=open")
	r.metric(t, `handfast_target_panics_total{endpoint="open"} 1`)
	waitForLog(t, &r.audited, `"page"`, `"endpoint":"open"`, `"path":"/apps/7/events"`, `"status":202`, `"addr":"127.0.0.1"`)
	waitForLog(t, &r.audited, `"page"`, `"path":"/panic"`, `"status":500`)
	waitForLog(t, &r.audited, `"refused"`, `"status":403`, "evil.example")
	resp, _ := requestPage(t, "POST", url+"/apps/7/events", nil) // the address has exceeded its rate limit
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the limit: %d", resp.StatusCode)
	}
}

// Pages that cannot be mounted are an error, not a panic.
func TestTargetPagesCollide(t *testing.T) {
	target := &fakeTarget{register: func(mux *http.ServeMux) {
		mux.HandleFunc("GET /twice", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("GET /twice", func(http.ResponseWriter, *http.Request) {})
	}}
	_, err := openWith(bounded.Context(t), Options{Config: parse(t, oneEndpoint)}, sameTarget(target))
	if err == nil || !strings.Contains(err.Error(), "the pages of the target cannot be served") {
		t.Errorf("got %v", err)
	}
	if n := target.closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
}
