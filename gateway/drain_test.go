package gateway

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// In a drain, the server first reports that it is not ready and keeps serving for a while; then it rejects new handshakes and
// closes the open connections one after the other.
func TestDrain(t *testing.T) {
	cfg := parse(t, `
drain: {delay: 5s, spread: 1s, timeout: 1m, code: 1012, retry_after: 7s}
endpoints: [{path: /open, target: echo, auth: [anonymous]}]
`)
	r := run(t, cfg)
	const n = 100
	conns := make([]*websocket.Conn, n)
	for i := range conns {
		conns[i] = r.open(t, "/open", nil)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == n })
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()

	bounded.Until(t, func() bool {
		resp, _ := requestPage(t, "GET", r.AdminURL()+"/readyz", nil)
		return resp.StatusCode == 503
	})
	late := r.open(t, "/open", nil) // as from a balancer that has not yet noticed the drain
	wantEcho(t, late)
	late.CloseNow()
	if resp, _ := requestPage(t, "GET", r.AdminURL()+"/livez", nil); resp.StatusCode != 200 {
		t.Errorf("livez: %d", resp.StatusCode)
	}
	bounded.Until(t, func() bool {
		c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/open", nil)
		if err == nil {
			c.CloseNow()
			return false
		}
		e, ok := err.(*websocket.HandshakeError) //nolint:errorlint // Dial returns a *HandshakeError unwrapped
		if !ok || e.Status != 503 || e.Header.Get("Retry-After") != "7" {
			t.Errorf("a new handshake: %v", err)
		}
		return true
	})
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() {
			if e := readCloseError(t, c); e.Code != websocket.CodeServiceRestart || !e.ByPeer {
				t.Errorf("closed with %v", e)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took < 5*time.Second+900*time.Millisecond {
		t.Errorf("all clients were notified within %v", took)
	}
	if err := bounded.Receive(t, stopped); err != nil {
		t.Error(err)
	}
	waitForLog(t, &r.log, "msg=stopped", "cut=0")
}

// The shutdown time is limited even if a handshake waits for an auth service.
func TestDrainCutsHandshakes(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	service := stallingService(t, asked, release)
	r := run(t, parse(t, `
auth: {service: {forward: {url: "%s", timeout: 30s}}}
drain: {spread: 0s, timeout: 50ms}
endpoints: [{path: /judged, target: echo, auth: [service]}]
`, service))
	defer close(release)
	refused := make(chan error, 1)
	go func() {
		_, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/judged", withToken(secret("stalled-while-draining")))
		refused <- err
	}()
	bounded.Receive(t, asked)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if err := bounded.Receive(t, refused); err == nil {
		t.Error("the client was admitted")
	}
}

// Close terminates open connections immediately.
func TestCloseIsImmediate(t *testing.T) {
	cfg := plainConfig("127.0.0.1:0")
	cfg.Drain.Delay, cfg.Drain.Timeout = config.Duration(time.Hour), config.Duration(time.Hour)
	r := run(t, cfg)
	c := r.open(t, "/echo", nil)
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	bounded.Until(t, func() bool { return !r.ready.Load() })
	r.Close()
	if err := bounded.Receive(t, stopped); err != nil {
		t.Error(err)
	}
	if e := readCloseError(t, c); e.Code != websocket.CodeAbnormal {
		t.Errorf("closed with %v", e)
	}
}

// Serve waits briefly for its targets to return.
func TestServeWaitsForTargets(t *testing.T) {
	began, cut, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r := runTargets(t, parse(t, oneEndpoint), sameTarget(&fakeTarget{open: func(context.Context, *Request) (*Opened, error) {
		return &Opened{Serve: func(ctx context.Context, c *websocket.Conn) error {
			defer close(ended)
			close(began)
			_, err := c.Read(ctx)
			close(cut)
			<-time.After(10 * time.Millisecond) // the target needs a moment, for example to save data
			return err
		}}, nil
	}}))
	r.open(t, "/open", nil)
	bounded.Receive(t, began) // a connection that is closed before the target's Serve begins is not served
	r.Close()
	bounded.Receive(t, cut)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("a target is still running")
	}
}
