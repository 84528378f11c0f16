package observe

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Each server has series for its connections and its load, and exactly one of its states is 1. Without balancers these series do
// not exist.
func TestUpstreams(t *testing.T) {
	list := []Upstream{
		{Endpoint: "chat", Server: "ws://a:1", State: "ready", Live: 3, Load: 5, MessagesIn: 7, MessagesOut: 8, BytesIn: 90, BytesOut: 91, Resumed: 2, Closed: map[int]uint64{1000: 1, 4001: 2, 4002: 3}},
		{Endpoint: "\xff", Server: "ws://a:1", State: "draining"},
	}
	none := func() float64 { return 0 }
	live := Live{Endpoints: func() []Traffic { return nil }, Pending: none, AuthCalls: none, Certificates: func() map[string]float64 { return nil }}
	live.Upstreams = func() []Upstream { return list }
	m := NewMetrics(live)
	m.Tried("chat", "ws://a:1", "ok", 20*time.Millisecond)
	m.Tried("\xff", "ws://a:1", "unreachable", time.Second)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", err, problems)
	}
	shown := func() (series []string) {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		for line := range strings.Lines(w.Body.String()) {
			if strings.HasPrefix(line, "handfast_server_") {
				series = append(series, strings.TrimSuffix(line, "\n"))
			}
		}
		return series
	}
	all := strings.Join(shown(), "\n") + "\n"
	for _, want := range []string{
		`handfast_server_connections{endpoint="chat",server="ws://a:1"} 3`, `handfast_server_load{endpoint="chat",server="ws://a:1"} 5`,
		`handfast_server_connections{endpoint="�",server="ws://a:1"} 0`,
		`handfast_server_messages_total{direction="in",endpoint="chat",server="ws://a:1"} 7`,
		`handfast_server_messages_total{direction="out",endpoint="chat",server="ws://a:1"} 8`,
		`handfast_server_bytes_total{direction="in",endpoint="chat",server="ws://a:1"} 90`,
		`handfast_server_bytes_total{direction="out",endpoint="chat",server="ws://a:1"} 91`,
		`handfast_server_resumed_total{endpoint="chat",server="ws://a:1"} 2`,
		`handfast_server_connections_closed_total{code="1000",endpoint="chat",server="ws://a:1"} 1`,
		`handfast_server_connections_closed_total{code="4xxx",endpoint="chat",server="ws://a:1"} 5`,
		`handfast_server_state{endpoint="chat",server="ws://a:1",state="ready"} 1`,
		`handfast_server_state{endpoint="chat",server="ws://a:1",state="draining"} 0`,
		`handfast_server_state{endpoint="�",server="ws://a:1",state="draining"} 1`,
		`handfast_server_handshake_duration_seconds_count{endpoint="chat",outcome="ok",server="ws://a:1"} 1`,
		`handfast_server_handshake_duration_seconds_sum{endpoint="�",outcome="unreachable",server="ws://a:1"} 1`,
	} {
		if !strings.Contains(all, want+"\n") {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
	for _, endpoint := range []string{"chat", "�"} {
		if n := strings.Count(all, `handfast_server_state{endpoint="`+endpoint+`"`); n != len(upstreamStates) {
			t.Errorf("%s: %d states", endpoint, n)
		}
	}
	list = nil // a removed server leaves no gauge
	if rest := strings.Join(shown(), "\n"); strings.Contains(rest, "handfast_server_state") || strings.Contains(rest, "handfast_server_connections") {
		t.Errorf("series that still exist:\n%s", rest)
	}
	live.Upstreams = nil
	m = NewMetrics(live)
	if all := shown(); len(all) != 0 {
		t.Errorf("without balancers: %q", all)
	}
}
