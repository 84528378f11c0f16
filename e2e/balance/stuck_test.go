//go:build e2e

package balance

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// volume is the number of bytes that one side sends while the other side never reads; part is the size of each message.
const (
	volume = 1 << 30
	part   = 64 << 10
)

// writeUntilBlocked sends until it has sent the volume or the connection ends, and counts the bytes in written.
func writeUntilBlocked(ctx context.Context, c *websocket.Conn, written *atomic.Int64) {
	m := websocket.Message{Type: websocket.Binary, Data: make([]byte, part)}
	for range volume / part {
		if c.Write(ctx, m) != nil {
			return
		}
		written.Add(part)
	}
}

// stuckServer sends the volume on paths that end with /pour; on other paths it neither reads nor writes.
type stuckServer struct {
	written atomic.Int64
	ctx     context.Context // the context of the test
	all     sync.WaitGroup
}

func (s *stuckServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.all.Add(1)
	defer s.all.Done()
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{AnyOrigin: true, Conn: websocket.ConnOptions{PingInterval: -1}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	if strings.HasSuffix(r.URL.Path, "/pour") {
		s.all.Go(func() { _, _ = c.Read(s.ctx) }) // answers pings
		writeUntilBlocked(s.ctx, c, &s.written)
	}
	<-s.ctx.Done()
}

// stuckCase is a test case: how the balancer forwards, the limit that ends a stuck connection, and the scheme of the server's URL.
type stuckCase struct{ mode, limit, scheme string }

func (x stuckCase) name() string { return x.mode + "-" + x.limit + "-" + x.scheme }

// endpoint returns the configuration of the case's endpoint.
func (x stuckCase) endpoint(server, ca string) string {
	settings := map[string]string{"ping": "timeouts: {ping: 1s}", "idle": "timeouts: {idle: 2s}"}[x.limit]
	if x.mode == "messages" {
		settings += ", messages: {types: [binary]}"
	}
	return fmt.Sprintf("  - name: %[1]s\n    path: /%[1]s/\n    auth: [anonymous]\n    ping_interval: 1h\n    target: {balance: {to: [%[2]q], tls: {ca: %[3]q}, request: {strip_prefix: /%[1]s}, %[4]s}}\n",
		x.name(), server, ca, settings)
}

// If one side never reads while the other side sends a gibibyte, the sender is blocked: the balancer buffers a bounded amount of data.
// Other clients are not affected. The configured limit ends the connection, with the reason in the audit log.
func TestNeverReads(t *testing.T) {
	f := size()
	ctx, stop := context.WithCancel(context.Background())
	h := &stuckServer{ctx: ctx}
	servers := map[string]*httptest.Server{"ws": httptest.NewServer(h), "wss": httptest.NewTLSServer(h)}
	t.Cleanup(func() {
		stop()
		h.all.Wait()
		for _, s := range servers {
			s.Close()
		}
	})
	u := harness.NewUser(t)
	ca := u.Write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: servers["wss"].Certificate().Raw})))
	audit := filepath.Join(u.Home, "audit.log")
	listen := map[string]string{"ws": "127.0.0.1:" + harness.FreePort(t), "wss": "127.0.0.1:" + harness.FreePort(t)}
	admin := "127.0.0.1:" + harness.FreePort(t)
	text := fmt.Sprintf("listen: [{address: %q, tls: off}, {address: %q, tls: dev}]\nadmin: {address: %q}\naudit: {to: file, file: %q}\nendpoints:\n"+
		"  - {name: echo, path: /echo, target: echo, auth: [anonymous]}\n", listen["ws"], listen["wss"], admin, audit)
	var cases []stuckCase
	for _, mode := range []string{"bytes", "messages"} {
		for _, limit := range []string{"ping", "idle"} {
			for scheme, s := range servers {
				x := stuckCase{mode, limit, scheme}
				cases = append(cases, x)
				text += x.endpoint(scheme+"://"+s.Listener.Addr().String(), ca)
			}
		}
	}
	fm := &farm{u: u, listen: listen["ws"], balancer: u.Serve("--config", u.Write("balance.yaml", text))}
	s := &stage{form: f, farm: fm, t: t}
	others := startCrowd(t, fm.url(), f.clients/4, f.pause)
	before := s.memory()
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	sent := &atomic.Int64{}
	n := 0
	for range max(1, f.floods/5) {
		for _, x := range cases {
			for _, path := range []string{"/pour", "/deaf"} {
				c, err := websocket.Dial(bounded.Context(t), x.scheme+"://"+listen[x.scheme]+"/"+x.name()+path, &websocket.DialOptions{
					TLS:  &tls.Config{InsecureSkipVerify: true},
					Conn: websocket.ConnOptions{PingInterval: -1},
				})
				if err != nil {
					t.Fatalf("%s%s: %v", x.name(), path, err)
				}
				n++
				all.Go(func() {
					defer c.CloseNow()
					if path == "/deaf" {
						all.Go(func() { _, _ = c.Read(ctx) }) // answers pings
						writeUntilBlocked(ctx, c, sent)
					}
					<-ctx.Done()
				})
			}
		}
	}
	most := 0
	var ended map[string][]disconnect
	harness.Until(t, "all of them are ended", func() bool {
		others.waitProgress()
		most = max(most, s.memoryGrowth(before))
		ended = disconnects(t, audit)
		got := 0
		for _, all := range ended {
			got += len(all)
		}
		return got == n
	})
	metrics := u.Must("curl -s http://" + admin + "/metrics")
	for _, x := range cases {
		counted := map[int]int{}
		for _, e := range ended[x.name()] {
			if want := x.ends(e.Path); e.Code != want.Code || !strings.HasPrefix(e.Reason, want.Reason) {
				t.Errorf("%s: got %d %q, want %d %q", e.Path, e.Code, e.Reason, want.Code, want.Reason)
			}
			counted[e.Code]++
		}
		for code, n := range counted {
			if line := fmt.Sprintf("handfast_connections_closed_total{code=%q,endpoint=%q} %d\n", fmt.Sprint(code), x.name(), n); !strings.Contains(metrics, line) {
				t.Errorf("metrics: got no line %s", line)
			}
		}
	}
	if all := int64(n) * volume / 4; sent.Load()+h.written.Load() > all {
		t.Errorf("got %d MiB sent, want a quarter of the volume at most", (sent.Load()+h.written.Load())>>20)
	}
	others.expect(bounds{})
	t.Logf("%d connections: clients sent %d MiB, servers %d MiB, the balancer needed %d MiB more", n, sent.Load()>>20, h.written.Load()>>20, most)
}

// disconnect is the audit log's entry for the end of a connection.
type disconnect struct {
	Msg, Endpoint, Path, Reason string
	Code                        int
}

// ends returns how a stuck connection is expected to end. If the balancer forwards messages rather than bytes, it pings client and
// server separately: an unresponsive client receives no close frame, and the client of an unresponsive server receives 1012.
func (x stuckCase) ends(path string) disconnect {
	switch {
	case x.limit == "idle":
		return disconnect{Code: 1001, Reason: "idle for too long"}
	case x.mode == "bytes":
		return disconnect{Code: 1001, Reason: "silent for too long"}
	case strings.HasSuffix(path, "/pour"):
		return disconnect{Code: 1006, Reason: "silent for too long"}
	}
	return disconnect{Code: 1012, Reason: "the server is gone; retry-after="}
}

// disconnects returns the disconnections in the audit log by endpoint, except for those of the echo endpoint.
func disconnects(t *testing.T, file string) map[string][]disconnect {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]disconnect{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e disconnect
		if err := json.Unmarshal(lines.Bytes(), &e); err == nil && e.Msg == "disconnected" && e.Endpoint != "echo" {
			all[e.Endpoint] = append(all[e.Endpoint], e)
		}
	}
	return all
}
