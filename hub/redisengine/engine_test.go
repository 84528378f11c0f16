//go:build e2e

package redisengine

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

func newEngine(t testing.TB, url string) *Engine {
	t.Helper()
	e, err := New(Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// cluster returns a cluster and its server. Each node is connected to the server by a line.
func cluster(t testing.TB, more string) (enginetest.Cluster, *redisServer) {
	s := startRedis(t, more)
	var mu sync.Mutex
	lines := map[hub.Engine]*proxy{}
	return enginetest.Cluster{
		Node: func(t testing.TB) hub.Engine {
			l := newProxy(t, s.Addr())
			e := newEngine(t, l.url())
			mu.Lock()
			defer mu.Unlock()
			lines[e] = l
			return e
		},
		Kill: func(e hub.Engine) {
			mu.Lock()
			defer mu.Unlock()
			lines[e].cut()
		},
	}, s
}

func (s *redisServer) restart(testing.TB) func() {
	s.Stop()
	return s.Restart
}

// do runs a command with redis-cli and returns its output.
func (s *redisServer) do(t testing.TB, command ...string) string {
	cmd := exec.Command("redis-cli", append([]string{"-p", s.Port(), "--no-auth-warning"}, command...)...)
	cmd.Env = append(cmd.Environ(), "REDISCLI_AUTH="+redistest.Password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("redis-cli: %v: %s", err, out)
	}
	return string(out)
}

func (s *redisServer) cut(t testing.TB) func() {
	s.do(t, "client", "kill", "type", "pubsub")
	s.do(t, "client", "kill", "type", "normal")
	return func() {}
}

// flood makes the server cut the connection of a node for which more than a few messages wait. lost reports whether it has cut one.
func (s *redisServer) flood(t testing.TB) (lost func() bool, end func()) {
	id := regexp.MustCompile(`(?m)^id=\d+`)
	connected := func() []string { return id.FindAllString(s.do(t, "client", "list", "type", "pubsub"), -1) }
	before := connected()
	s.do(t, "config", "set", "client-output-buffer-limit", "pubsub 32kb 0 0")
	lost = func() bool { return !slices.Equal(connected(), before) }
	return lost, func() { s.do(t, "config", "set", "client-output-buffer-limit", "pubsub 32mb 8mb 60") }
}

func (s *redisServer) pause(testing.TB) func() {
	s.Signal(syscall.SIGSTOP)
	return func() { s.Signal(syscall.SIGCONT) }
}

const withFile = "appendonly yes\nappendfsync always\n"

func TestEngine(t *testing.T) {
	enginetest.Run(t, enginetest.Options{Flow: 300}, func(t testing.TB) enginetest.Cluster {
		c, s := cluster(t, withFile)
		c.Flood = s.flood
		c.Faults = map[string]func(testing.TB) func(){"cut connections": s.cut, "a paused server": s.pause, "a restart": s.restart}
		return c
	})
}

// A server that restarts without its data begins new epochs.
func TestEngineThatLosesData(t *testing.T) {
	enginetest.Run(t, enginetest.Options{Flow: 300, FaultsOnly: true}, func(t testing.TB) enginetest.Cluster {
		c, s := cluster(t, "")
		c.Forgets = true
		c.Faults = map[string]func(testing.TB) func(){"a restart without data": s.restart}
		return c
	})
}

func TestOptions(t *testing.T) {
	for _, url := range []string{"", "http://localhost", "redis://:s3cret%zz@localhost", "redis://:s3cret@localhost/x",
		"redis://:s3cret@localhost?master=x", "redis://localhost?s3cret", "redis://localhost?master_set=", "redis://localhost?addr=s3cret"} {
		if _, err := New(Options{URL: url}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("New(%q): %v; want an error without the password", url, err)
		}
	}
	for _, url := range []string{"redis://localhost", "redis://localhost/1?master_set=m&addr=b:26379&addr=[::1]:26379", "redis://localhost?db=1&protocol=2"} {
		if _, err := New(Options{URL: url}); err != nil {
			t.Errorf("New(%q): %v", url, err)
		}
	}
	s := startRedis(t, "")
	e := newEngine(t, "redis://:wr0ng@"+s.Addr())
	err := e.Run(bounded.Context(t), nil)
	if err == nil || !strings.Contains(err.Error(), "credentials") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestEvictionIsReported(t *testing.T) {
	s := startRedis(t, "maxmemory 100mb\nmaxmemory-policy allkeys-lru\n")
	told := make(chan string, 10)
	e, err := New(Options{URL: s.URL(), Warn: func(text string) { told <- text }})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Options{Engine: e})
	defer h.Close()
	if text := bounded.Receive(t, told); !strings.Contains(text, "allkeys-lru") {
		t.Errorf("the warning is %q", text)
	}
}

// Members are restored after the server has lost its data, and calls return when their context is done while the server is silent.
func TestMembersAfterLoss(t *testing.T) {
	s := startRedis(t, "")
	ns := []hub.Namespace{{Presence: true}}
	var hubs []*hub.Hub
	for range 2 {
		h := hub.New(hub.Options{Engine: newEngine(t, s.URL()), Namespaces: ns})
		defer h.Close()
		hubs = append(hubs, h)
	}
	for i, h := range hubs {
		c := enginetest.NewClient(t, h, nil, hub.Client{ID: strconv.Itoa(i), User: "user " + strconv.Itoa(i)})
		c.Subscribe(t, "room", hub.SubscribeOptions{Member: true})
	}
	s.restart(t)()
	fresh := hub.New(hub.Options{Engine: newEngine(t, s.URL()), Namespaces: ns})
	defer fresh.Close()
	bounded.Until(t, func() bool {
		_, _, n, err := fresh.Members(bounded.Context(t), "app", "room", "", 10)
		return err == nil && n == 2
	})
	resume := s.pause(t)
	defer resume()
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(100*time.Millisecond, cancel).Stop()
	_, err := fresh.Publish(ctx, "app", "room", &hub.Publication{Data: []byte("x")}, nil)
	if !errors.Is(err, context.Canceled) { // not a timeout of the engine
		t.Errorf("a publication to a silent server: %v", err)
	}
}
