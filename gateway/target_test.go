package gateway

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A panic in a target costs one client, which is closed with 1011, and is logged and counted.
func TestPanicInTarget(t *testing.T) {
	r := run(t, parse(t, "endpoints: [{name: open, path: /open, target: echo, auth: [anonymous], limits: {connections: 2}}]"))
	e := r.site.Load().endpoints[0]
	e.serve = func(ctx context.Context, c *websocket.Conn, entry *registry.Entry) error {
		m, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if string(m.Data) == "panic" {
			panic("the target is broken")
		}
		return c.Write(ctx, m)
	}
	other := r.open(t, "/open", nil)
	for range 3 { // more than there are places: each is given back
		var c *websocket.Conn
		bounded.Until(t, func() (open bool) {
			var err error
			c, err = websocket.Dial(bounded.Context(t), r.URLs()[0]+"/open", nil)
			return err == nil
		})
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("panic")}); err != nil {
			t.Fatal(err)
		}
		if e := ending(t, c); e.Code != websocket.CodeInternalError || e.Reason != "" {
			t.Errorf("closed with %v", e)
		}
	}
	echoed(t, other)
	has(t, &r.log, "level=ERROR", `msg="a target panicked"`, `panic="the target is broken"`, "endpoint=open", "target_test.go")
	has(t, &r.log, "msg=closed", "code=1011")
	w := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if want := `handfast_target_panics_total{endpoint="open"} 3`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("no %s", want)
	}
}
