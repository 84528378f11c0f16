package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// targetFactory records the created targets in order, by the name of their endpoint.
type targetFactory struct {
	mu   sync.Mutex
	list map[string][]*fakeTarget
}

func (m *targetFactory) table() map[string]newTarget {
	m.list = map[string][]*fakeTarget{}
	return map[string]newTarget{"echo": func(cfg *config.Config, i int) (Target, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		d := &fakeTarget{}
		name := cfg.Endpoints[i].Name
		m.list[name] = append(m.list[name], d)
		return d, nil
	}}
}

// state returns how often each target of an endpoint was closed.
func (m *targetFactory) state(name string) (closed []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.list[name] {
		closed = append(closed, d.closed.Load())
	}
	return closed
}

func (m *targetFactory) expect(t *testing.T, when, name string, want ...int32) {
	t.Helper()
	got := m.state(name)
	if len(got) != len(want) {
		t.Errorf("%s: %s has had %d targets, want %d", when, name, len(got), len(want))
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: target %d of %s was closed %d times, want %d", when, i, name, got[i], want[i])
		}
	}
}

// A target survives reloads that do not change it. When the configuration no longer contains it, it is closed once, after its last
// client.
func TestTargetLifecycle(t *testing.T) {
	const first = `
endpoints:
	- {name: a, path: /a, target: echo, auth: [anonymous]}
	- {name: b, path: /b, target: echo, auth: [anonymous]}
`
	const limited = `
endpoints:
	- {name: b, path: /b, target: echo, auth: [anonymous], limits: {connections: 7}, rules: [{do: allow}]}
	- {name: a, path: /a, target: echo, auth: [anonymous], origins: any}
`
	const moved = `
drain: {code: 1012}
endpoints:
	- {name: a, path: /elsewhere, target: echo, auth: [anonymous]}
`
	var m targetFactory
	r := runTargets(t, parse(t, first), m.table())
	reload := func(text string) {
		t.Helper()
		if err := r.Reload(bounded.Context(t), r.with(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	a, b := r.open(t, "/a", nil), r.open(t, "/b", nil)
	reload(limited)
	m.expect(t, "another policy", "a", 0)
	m.expect(t, "another policy", "b", 0)
	if r.Reload(bounded.Context(t), r.with(t, limited+"\t- {path: /c, target: echo, auth: [anonymous], rules: [{when: 'user ==', do: allow}]}\n")) == nil {
		t.Error("an unusable configuration was accepted")
	}
	m.expect(t, "a failed reload", "a", 0)
	wantEcho(t, a)

	reload(moved)
	if e := readCloseError(t, b); e.Code != websocket.CodeServiceRestart {
		t.Errorf("the client of the removed endpoint: %v", e)
	}
	bounded.Until(t, func() bool { return m.state("b")[0] == 1 })
	m.expect(t, "another path", "a", 0, 0) // the first target still has a client
	wantEcho(t, a)
	wantEcho(t, r.open(t, "/elsewhere", nil))
	if err := a.Close(websocket.CodeNormal, ""); err != nil {
		t.Fatal(err)
	}
	bounded.Until(t, func() bool { return m.state("a")[0] == 1 })
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	m.expect(t, "the end", "a", 1, 1)
	m.expect(t, "the end", "b", 1)
	waitForLog(t, &r.log, "level=WARN", "a target did not close properly", "endpoint=a", "it closes badly")
}

// A handshake for a target that a reload has just closed is rejected with a time to retry.
func TestClosedTarget(t *testing.T) {
	d := &fakeTarget{panics: true}
	target := &liveTarget{Target: d, rec: newRecorder(nil, observeNothing), users: 1}
	if !target.acquire() {
		t.Error("a target that is in use cannot be held")
	}
	target.release()
	target.release() // Close panics, which is handled
	if target.acquire() || d.closed.Load() != 1 {
		t.Errorf("the target was held after it was closed %d times", d.closed.Load())
	}
	r := run(t, parse(t, oneEndpoint))
	e := r.site.Load().endpoints[0]
	e.target.release()
	defer func() { e.target.users++ }() // stopping the server releases the target again
	if e := r.refuse(t, "/open", nil); e.Status != 503 || e.Header.Get("Retry-After") == "" {
		t.Errorf("%d", e.Status)
	}
	if n := r.conns.Len(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// Changes that occur while a target decides about a client take effect: a revocation, and a reload that removes the endpoint.
func TestChangesDuringOpen(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	var abandoned atomic.Int32
	target := &fakeTarget{open: func(ctx context.Context, r *Request) (*Opened, error) {
		o, err := echo{}.Open(ctx, r)
		o.Abandon = func() { abandoned.Add(1) }
		asked <- struct{}{}
		<-answer
		return o, err
	}}
	r := runTargets(t, parse(t, users, key), sameTarget(target))
	alice := withToken(token("alice", time.Hour, nil))
	during := func(change func()) *websocket.HandshakeError {
		t.Helper()
		failed := make(chan error, 1)
		go func() {
			c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/chat", alice)
			if err == nil {
				c.CloseNow()
			}
			failed <- err
		}()
		bounded.Receive(t, asked)
		change()
		answer <- struct{}{}
		e, ok := errors.AsType[*websocket.HandshakeError](bounded.Receive(t, failed))
		if !ok {
			t.Fatal("the client was admitted")
		}
		return e
	}
	if e := during(func() {
		if err := r.Reload(bounded.Context(t), r.with(t, "endpoints: [{name: open, path: /open, target: echo, auth: [anonymous]}]")); err != nil {
			t.Error(err)
		}
	}); e.Status != 503 || e.Header.Get("Retry-After") == "" {
		t.Errorf("after the endpoint was removed: %d", e.Status)
	}
	if err := r.Reload(bounded.Context(t), r.with(t, users, key)); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-asked
		answer <- struct{}{}
	}()
	before := r.open(t, "/chat", alice)
	if e := during(func() {
		if err := r.store.Revoke(bounded.Context(t), auth.Revocation{Subject: "alice", At: time.Now().Add(time.Second)}); err != nil {
			t.Error(err)
		}
		if e := readCloseError(t, before); e.Code != auth.CodeExpired {
			t.Errorf("the earlier connection: %v", e)
		}
	}); e.Status != 401 {
		t.Errorf("after the credential was revoked: %d", e.Status)
	}
	if n := abandoned.Load(); n != 2 {
		t.Errorf("%d opened clients were abandoned", n)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
}
