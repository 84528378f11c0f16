package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A client that has received its 101 is listed immediately.
func TestCloseRightAfterOpening(t *testing.T) {
	r := run(t, parse(t, users, key))
	for range 50 {
		c := r.open(t, "/chat", withToken(token("alice", time.Hour, nil)))
		if n := r.conns.Close(registry.Filter{User: "alice"}, websocket.CodePolicy, "bye"); n != 1 {
			t.Fatalf("%d connections were closed", n)
		}
		if e := readCloseError(t, c); e.Code != websocket.CodePolicy || e.Reason != "bye" {
			t.Fatalf("closed with %v", e)
		}
		bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	}
}

// An open connection keeps no part of its request, which contains credentials.
func TestRequestIsDropped(t *testing.T) {
	r := run(t, parse(t, users, key))
	r.open(t, "/chat", withToken(token("alice", time.Hour, nil)))
	bounded.Until(t, func() bool { return r.conns.List(registry.Filter{})[0].Handle() != nil })
	h := r.conns.List(registry.Filter{})[0].Handle().(*websocket.Conn).Handshake()
	if len(h.Header) != 0 || h.URL.RawQuery != "" || h.URL.Path != "/chat" {
		t.Errorf("%v, %v", h.Header, h.URL)
	}
}

func metrics(t *testing.T, r *running) string {
	t.Helper()
	_, text := requestPage(t, "GET", r.AdminURL()+"/metrics", nil)
	return text
}

// Messages are counted while their connection is open, and removing an endpoint removes its series.
func TestMetricsOfEndpoints(t *testing.T) {
	r := run(t, parse(t, users, key))
	c := r.open(t, "/open", nil)
	wantEcho(t, c)
	for _, want := range []string{
		`handfast_messages_total{direction="in",endpoint="open"} 1`, `handfast_message_bytes_total{direction="out",endpoint="open"} 5`,
		`handfast_connections{endpoint="open"} 1`, `handfast_connections_opened_total{endpoint="chat"} 0`,
	} {
		if text := metrics(t, r); !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	only := parse(t, strings.Replace(users, "/chat", "/chat2", 1), key)
	only.Endpoints = only.Endpoints[:1]
	only.Listen = r.site.Load().cfg.Listen
	if err := r.Reload(t.Context(), only); err != nil {
		t.Fatal(err)
	}
	readCloseError(t, c)
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	if text := metrics(t, r); strings.Contains(text, `endpoint="open"`) || !strings.Contains(text, `handfast_connections{endpoint="chat"} 0`) {
		t.Errorf("after the reload:\n%s", text)
	}
}

// The number of series does not depend on what clients send.
func TestMetricsHaveNoNamesOfClients(t *testing.T) {
	r := run(t, parse(t, users, key))
	r.refuse(t, "/chat", withToken("x.y.z"))
	r.refuse(t, "/nowhere", nil)
	count := func() int { return strings.Count(metrics(t, r), "\nhandfast_") }
	metrics(t, r)
	before := count()
	for _, path := range []string{"/a", "/b\x01", "/chat/more", "/%00%0d%0aSet-Cookie:x"} {
		r.refuse(t, strings.ReplaceAll(path, "\x01", "%01"), withToken("a.b.c"))
	}
	for _, origin := range []string{"https://evil.example", "null", "x\x01y"} {
		opts := withToken("x.y.z")
		opts.Header.Set("Origin", origin)
		if c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/chat", opts); err == nil {
			c.CloseNow()
			t.Errorf("%q was admitted", origin)
		}
	}
	if after := count(); after > before+2 { // one new series for the rejected paths, and one for the rejected origins
		t.Errorf("%d series, %d before\n%s", after, before, metrics(t, r))
	}
}
