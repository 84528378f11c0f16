package gateway

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// openHTTPStream opens a connection over HTTP and returns the response, whose body may still be open.
func (r *running) openHTTPStream(t *testing.T, authorization string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(bounded.Context(t), http.MethodPost, r.URLs()[0]+"/connection/http_stream", strings.NewReader(`{"id":1,"connect":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// An open connection over HTTP counts as a connection: it is listed, can be closed, and is notified when the server stops.
func TestCentrifugoOverHTTP(t *testing.T) {
	r := run(t, parse(t, `
endpoints:
- {name: cf, path: /connection/websocket, target: {centrifugo: {anonymous: true}}, auth: [anonymous], rules: [{do: allow}], limits: {connections: 3}}
apps: [{id: main, key: k, secret: s}]
`))
	first, second, other := r.openHTTPStream(t, ""), r.openHTTPStream(t, ""), r.open(t, "/connection/websocket", nil)
	read := bufio.NewReader(first.Body)
	wantParts(t, line(t, read), `"session":"`)
	wantParts(t, line(t, bufio.NewReader(second.Body)), `"session":"`)
	if resp := r.openHTTPStream(t, ""); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more connection: %s", resp.Status)
	}
	if e := r.refuse(t, "/connection/websocket", nil); e.Status != 503 {
		t.Errorf("a WebSocket in addition: %d", e.Status)
	}
	other.CloseNow()
	second.Body.Close()
	bounded.Until(t, func() bool { return r.conns.Len() == 1 })
	third := r.openHTTPStream(t, "")
	readThird := bufio.NewReader(third.Body)
	wantParts(t, line(t, readThird), `"session":"`)
	_, body := requestPage(t, "GET", r.AdminURL()+"/connections?endpoint=cf", nil)
	wantParts(t, body, `"total": 2`)

	ws := r.open(t, "/connection/websocket", nil)
	wantParts(t, sendCommand(t, ws, `{"id":1,"connect":{}}`), `"client":"`)
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	for _, reader := range []*bufio.Reader{read, readThird} {
		wantParts(t, line(t, reader), `"disconnect":{"code":3001,"reason":"the server is stopping"}`)
	}
	if e := readCloseError(t, ws); e.Code != 3001 {
		t.Errorf("closed with %v", e)
	}
	if err := bounded.Receive(t, stopped); err != nil {
		t.Error(err)
	}
	waitForLog(t, &r.audited, `"disconnected"`, `"code":3001`)
}

// An operator closes a connection over HTTP with a chosen code.
func TestCentrifugoOverHTTPIsClosed(t *testing.T) {
	r := run(t, parse(t, `
endpoints:
- {name: cf, path: /connection/websocket, target: {centrifugo: {anonymous: true}}, auth: [anonymous], rules: [{do: allow}]}
apps: [{id: main, key: k, secret: s}]
`))
	read := bufio.NewReader(r.openHTTPStream(t, "").Body)
	wantParts(t, line(t, read), `"session":"`)
	if resp, body := requestPage(t, "DELETE", r.AdminURL()+"/connections?endpoint=cf&code=4500&reason=bye", nil); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	wantParts(t, line(t, read), `"disconnect":{"code":4500,"reason":"bye"}`)
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
}

// A connection over HTTP is closed when the credential of its request expires.
func TestCentrifugoOverHTTPExpires(t *testing.T) {
	r := run(t, parse(t, users+`
	- {name: cf, path: /connection/websocket, target: centrifugo, auth: [users], rules: [{do: allow}]}
apps: [{id: main, key: k, secret: s}]
`, key))
	if resp := r.openHTTPStream(t, ""); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("without a credential: %s", resp.Status)
	}
	resp, lasts := r.openHTTPStream(t, "Bearer "+token("alice", 2*time.Second, nil)), 2*time.Second
	for resp.StatusCode == 401 { // the token has expired already
		lasts *= 3
		resp = r.openHTTPStream(t, "Bearer "+token("alice", lasts, nil))
	}
	read := bufio.NewReader(resp.Body)
	wantParts(t, line(t, read), `"session":"`)
	wantParts(t, line(t, read), `"disconnect":{"code":4401,"reason":"token expired"}`)
}
