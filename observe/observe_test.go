package observe

import (
	"net/http/httptest"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

func TestCode(t *testing.T) {
	for code, want := range map[int]string{
		1000: "1000", 1006: "1006", 1015: "1015", 1016: "other", 999: "other", 0: "other", 5000: "other",
		3000: "3xxx", 3999: "3xxx", 4000: "4xxx", 4401: "4401", 4402: "4402", 4403: "4xxx", 4999: "4xxx",
	} {
		if got := Code(code, 4401, 4402); got != want {
			t.Errorf("%d: %s, want %s", code, got, want)
		}
	}
}

func TestBy(t *testing.T) {
	if By(true) != "remote" || By(false) != "local" {
		t.Errorf("by the peer: %s, by us: %s", By(true), By(false))
	}
}

func TestVersion(t *testing.T) {
	for _, tt := range []struct {
		info *debug.BuildInfo
		ok   bool
		want string
	}{
		{nil, false, "unknown"}, {&debug.BuildInfo{}, true, "unknown"}, {&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, true, "v1.2.3"},
	} {
		if got := version(tt.info, tt.ok); got != tt.want {
			t.Errorf("%+v: %s", tt.info, got)
		}
	}
}

// Names and help texts follow the conventions of Prometheus, and there are no duplicates.
func TestMetrics(t *testing.T) {
	chat, gone := NewEndpoint("chat"), NewEndpoint("a\xff")
	list := []Traffic{{NewEndpoint(""), 0, 0, 0, 0}, {chat, 7, 8, 9, 10}, {gone, 1, 1, 1, 1}}
	m := NewMetrics(Live{
		Endpoints: func() []Traffic { return list },
		Pending:   func() float64 { return 3 }, AuthCalls: func() float64 { return 4 },
		Certificates: func() map[string]float64 { return map[string]float64{"a.pem": 5, "\xff": 6} },
	})
	chat.Opened.Inc()
	chat.Lasted.Observe(1)
	chat.Closed(4711)
	chat.Refused("check", 401)
	list[0].Endpoint.Refused("tls", 0)
	m.Auth.WithLabelValues("jwt", "known").Observe(1)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	shown := func() string {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	for _, want := range []string{
		`handfast_connections_opened_total{endpoint="chat"} 1`, "handfast_handshakes_pending 3", "handfast_auth_calls 4",
		`handfast_certificate_expiry_timestamp_seconds{certificate="a.pem"} 5`, `handfast_build_info{go="go`, "go_goroutines",
		`handfast_messages_total{direction="in",endpoint="chat"} 7`, `handfast_messages_total{direction="out",endpoint="chat"} 8`,
		`handfast_message_bytes_total{direction="out",endpoint="chat"} 10`, `handfast_connections{endpoint="chat"} 0`,
		`handfast_connections_closed_total{code="4xxx",endpoint="chat"} 1`, `handfast_connections{endpoint="a�"} 0`,
		`handfast_handshakes_refused_total{endpoint="chat",stage="check",status="401"} 1`,
		`handfast_handshakes_refused_total{endpoint="",stage="tls",status="0"} 1`,
	} {
		if !strings.Contains(shown(), want) {
			t.Errorf("no %s in\n%s", want, shown())
		}
	}
	if _, info, _ := strings.Cut(shown(), "\nhandfast_build_info{"); !strings.HasSuffix(info[:strings.IndexByte(info, '\n')], `"} 1`) {
		t.Errorf("handfast_build_info{%s", info)
	}
	list = list[:2] // later counts for the last endpoint are not exported
	gone.Closed(1000)
	gone.Open.Dec()
	if strings.Contains(shown(), "a�") || strings.Contains(shown(), `connections{endpoint=""}`) {
		t.Errorf("the series still exists:\n%s", shown())
	}
}

// Dashboards and alerts depend on the names and on the buckets.
func TestNamesAndBuckets(t *testing.T) {
	chat := NewEndpoint("chat")
	zero := func() float64 { return 0 }
	m := NewMetrics(Live{Pending: zero, AuthCalls: zero, Certificates: func() map[string]float64 { return nil },
		Endpoints: func() []Traffic { return []Traffic{{Endpoint: chat}} }, Channels: func() *Channels {
			return &Channels{Namespaces: []Namespace{{"chat:*", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {Name: "*"}}, Clients: 13, Channels: 14,
				Subscriptions: 15, Ready: true, Lag: time.Second / 4, Webhooks: []Webhook{{"shop", "0", 16, 17, 18, 19}}}
		}})
	m.Auth.WithLabelValues("jwt", "known").Observe(1)
	m.Reloads.WithLabelValues("taken").Inc()
	m.Cut.Inc()
	m.Revoked.Add(2)
	m.Expired.Add(3)
	m.AuditLost.Add(4)
	m.Draining.Set(1)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	shown := w.Body.String()
	buckets := func(name string) string {
		var all []string
		for line := range strings.Lines(shown) {
			if _, rest, ok := strings.Cut(line, `le="`); ok && strings.HasPrefix(line, name) {
				bound, _, _ := strings.Cut(rest, `"`)
				all = append(all, bound)
			}
		}
		return strings.Join(all, " ")
	}
	if got := buckets("handfast_auth_duration_seconds_bucket"); got != "0.0001 0.001 0.01 0.05 0.1 0.5 1 5 +Inf" {
		t.Errorf("auth: %s", got)
	}
	if got := buckets("handfast_connection_duration_seconds_bucket"); got != "0.1 1 10 60 300 1800 7200 43200 +Inf" {
		t.Errorf("connections: %s", got)
	}
	for _, want := range []string{`handfast_config_reloads_total{outcome="taken"} 1`, "handfast_handshakes_cut_total 1",
		"handfast_connections_revoked_total 2", "handfast_connections_expired_total 3", "handfast_audit_lines_lost_total 4",
		"handfast_draining 1", `handfast_channel_publications_total{namespace="chat:*"} 1`, `handfast_channel_deliveries_total{namespace="chat:*"} 2`,
		`handfast_channel_publications_rejected_total{namespace="chat:*"} 3`, `handfast_channel_recoveries_total{namespace="chat:*",outcome="recovered"} 4`,
		`handfast_channel_recoveries_total{namespace="chat:*",outcome="failed"} 5`, `handfast_channel_slow_total{namespace="chat:*"} 6`,
		`handfast_channel_messages_dropped_total{namespace="chat:*"} 7`, `handfast_channel_messages_refilled_total{namespace="chat:*"} 8`,
		`handfast_channel_gaps_total{namespace="chat:*"} 9`, `handfast_channel_subscriptions_insufficient_total{namespace="chat:*"} 10`,
		`handfast_channel_members_total{change="join",namespace="chat:*"} 11`, `handfast_channel_members_total{change="leave",namespace="chat:*"} 12`,
		"handfast_channel_clients 13", "handfast_channels 14", "handfast_channel_subscriptions 15", "handfast_engine_ready 1",
		`handfast_webhook_events_total{app="shop",outcome="sent",webhook="0"} 16`, `handfast_webhook_events_total{app="shop",outcome="failed",webhook="0"} 17`,
		`handfast_webhook_events_total{app="shop",outcome="dropped",webhook="0"} 18`, `handfast_webhook_queue_events{app="shop",webhook="0"} 19`,
		"handfast_engine_lag_seconds 0.25", `handfast_channel_slow_total{namespace="*"} 0`, `handfast_target_panics_total{endpoint="chat"} 0`} {
		if !strings.Contains(shown, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// A server without channels has no series for them. A server whose engine does not answer exports the state of the engine.
func TestMetricsWithoutChannels(t *testing.T) {
	zero := func() float64 { return 0 }
	for _, tt := range []struct {
		get  func() *Channels
		want bool
	}{{nil, false}, {func() *Channels { return nil }, false}, {func() *Channels { return &Channels{Lag: time.Hour} }, true}} {
		m := NewMetrics(Live{Pending: zero, AuthCalls: zero, Certificates: func() map[string]float64 { return nil },
			Endpoints: func() []Traffic { return nil }, Channels: tt.get})
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		got := w.Body.String()
		if strings.Contains(got, "handfast_engine_ready 0\n") != tt.want || strings.Contains(got, "handfast_channel") != tt.want || w.Code != 200 {
			t.Errorf("%d\n%s", w.Code, got)
		}
	}
}
