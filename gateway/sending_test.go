package gateway

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A client that exceeds the limits of its endpoint is closed with 1008 and a reason that names the limit, with any target and any
// connection driver. The client is counted, and the audit log contains the limit.
func TestSendingLimits(t *testing.T) {
	behind := newBackend(t, "a")
	for name, tt := range map[string]struct{ target, path, first, message string }{
		"echo":       {"echo", "/x", "", "x"},
		"channels":   {"channels", "/x", "", `{"type":"history","id":1,"channel":"x"}`},
		"pusher":     {"pusher", "/app/{key}", "", `{"event":"pusher:ping","data":{}}`},
		"centrifugo": {"{centrifugo: {anonymous: true}}", "/connection/websocket", `{"id":1,"connect":{}}`, `{"id":2,"history":{"channel":"x"}}`},
		"balance":    {"{balance: {to: ['" + behind.id() + "'], health: off, messages: true}}", "/x", "", "x"},
	} {
		for _, secure := range []string{"off", "dev"} {
			for setting, limits := range map[string]string{
				"messages_per_second": "messages_per_second: 0.01, burst: 5m", // three messages
				"bytes_per_second":    "bytes_per_second: 10, burst: 100s",    // 1000 bytes
			} {
				t.Run(fmt.Sprintf("%s, TLS %s, %s", name, secure, setting), func(t *testing.T) {
					r := run(t, parse(t, `listen: [{address: "127.0.0.1:0", hosts: any, tls: `+secure+`}]
apps: [{id: app, key: app, secret: 0123456789abcdef0123456789abcdef}]
endpoints:
	- {name: e, path: "`+tt.path+`", target: `+tt.target+`, auth: [anonymous], rules: [{do: allow}], max_message: 100, limits: {`+limits+`}}
`))
					o := &websocket.DialOptions{}
					if d := r.Dev(); d != nil {
						roots := x509.NewCertPool()
						roots.AddCert(d.CA())
						o.TLS = &tls.Config{RootCAs: roots}
					}
					c := r.open(t, strings.Replace(tt.path, "{key}", "app?protocol=7", 1), o)
					send := func(text string) error {
						return c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(text)})
					}
					done := make(chan struct{})
					go func() {
						defer close(done)
						text, n := tt.message, 3
						if setting == "bytes_per_second" {
							text, n = text+strings.Repeat(" ", 100-len(text)), 11
						}
						if tt.first != "" {
							_ = send(tt.first)
						}
						for range n + 1 { // one more than the limit, even if the bucket is refilled in the meantime
							_ = send(text) // the connection may be closed by then
						}
					}()
					e := readCloseError(t, c)
					bounded.Receive(t, done)
					want := map[string]string{"messages_per_second": "more than 0.01 messages per second", "bytes_per_second": "more than 10 per second"}[setting]
					if e.Code != websocket.CodePolicy || e.Reason != want {
						t.Fatalf("closed with %d %q, want 1008 %q", e.Code, e.Reason, want)
					}
					r.metric(t, `handfast_connections_limited_total{endpoint="e",limit="`+setting+`"} 1`)
					waitForLog(t, &r.audited, `"disconnected"`, `"limit":"`+setting+`"`, `"code":1008`, want)
				})
			}
		}
	}
}

// Commands in separate requests for a connection over HTTP count as messages.
func TestSendingLimitsOfEmulation(t *testing.T) {
	r := run(t, parse(t, `listen: [{address: "127.0.0.1:0", hosts: any, tls: off}]
apps: [{id: app, key: app, secret: 0123456789abcdef0123456789abcdef}]
endpoints:
	- {name: e, path: /x, target: {centrifugo: {anonymous: true}}, auth: [anonymous], limits: {messages_per_second: 0.01, burst: 5m}}
`))
	base := r.URLs()[0]
	stream := bufio.NewReader(post(t, base+"/connection/http_stream", "", `{"id":1,"connect":{}}`).Body)
	var connected struct {
		Connect struct{ Session, Node string }
	}
	if err := json.Unmarshal([]byte(line(t, stream)), &connected); err != nil {
		t.Fatal(err)
	}
	command, err := json.Marshal(map[string]string{
		"session": connected.Connect.Session, "node": connected.Connect.Node, "data": `{"id":2,"history":{"channel":"x"}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		post(t, base+"/emulation", "", string(command))
		wantParts(t, line(t, stream), `"id":2`)
	}
	post(t, base+"/emulation", "", string(command))
	wantParts(t, line(t, stream), `"code":1008`, "more than 0.01 messages per second")
	bounded.Until(t, func() bool { return strings.Contains(r.audited.String(), `"limit":"messages_per_second"`) })
	r.metric(t, `handfast_connections_limited_total{endpoint="e",limit="messages_per_second"} 1`)
}

// The configured rate and burst apply, and a message of max_message bytes is accepted after a pause, whatever the burst.
func TestSendingBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := &config.Endpoint{MaxMessage: 5000, Limits: config.EndpointLimits{MessagesPerSecond: 10, BytesPerSecond: 1000, Burst: config.Duration(2 * time.Second)}}
		s := &sending{sendingBounds: newSendingBounds(cfg)}
		accepted := func(bytes int64) (n int) {
			for s.take(bytes, time.Now()) == nil {
				n++
			}
			return n
		}
		if n := accepted(1); n != 20 {
			t.Errorf("%d messages together, want those of two seconds", n)
		}
		<-time.After(time.Second)
		if n := accepted(1); n != 10 {
			t.Errorf("%d messages after a second, want 10", n)
		}
		<-time.After(time.Hour)
		if over := s.take(5000, time.Now()); over != nil {
			t.Errorf("a message of max_message: %v", over)
		}
		if over := s.take(100, time.Now()); over != s.tooMuch {
			t.Errorf("the message after it: %v", over)
		}
		<-time.After(time.Hour)
		if n := accepted(1000); n != 5 {
			t.Errorf("%d messages of 1000 bytes together, want 5", n)
		}
	})
	if newSendingBounds(&config.Endpoint{}) != nil {
		t.Error("an endpoint without limits has bounds")
	}
	var none sending
	if over := none.take(1<<40, time.Now()); over != nil {
		t.Error(over)
	}
}
