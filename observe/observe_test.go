package observe

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCode(t *testing.T) {
	for code, want := range map[int]string{
		1000: "1000", 1006: "1006", 1015: "1015", 1016: "other", 999: "other", 0: "other", 5000: "other",
		3000: "3xxx", 3999: "3xxx", 4000: "4xxx", 4401: "4401", 4999: "4xxx",
	} {
		if got := Code(code); got != want {
			t.Errorf("%d: %s, want %s", code, got, want)
		}
	}
}

// Names and help texts are as Prometheus wants them, and nothing is said twice.
func TestMetrics(t *testing.T) {
	m := NewMetrics(Live{
		Pending: func() float64 { return 3 }, AuthCalls: func() float64 { return 4 },
		Certificates: func() map[string]float64 { return map[string]float64{"a.pem": 5} },
	})
	m.Opened.WithLabelValues("chat").Inc()
	m.Refused.WithLabelValues("chat", "check", "401").Inc()
	m.Auth.WithLabelValues("jwt", "known").Observe(1)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`handfast_connections_opened_total{endpoint="chat"} 1`, "handfast_handshakes_pending 3", "handfast_auth_calls 4",
		`handfast_certificate_expiry_timestamp_seconds{certificate="a.pem"} 5`, `handfast_build_info{go="go`, "go_goroutines",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
}
