package observe

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Each endpoint has metrics of its admission: the rate, whether the rate is enforced, the handshakes in progress and waiting, and the
// admitted and rejected handshakes by priority.
func TestAdmissions(t *testing.T) {
	none := func() float64 { return 0 }
	m := NewMetrics(Live{
		Endpoints: func() []Traffic { return nil }, Pending: none, AuthCalls: none, Certificates: func() map[string]float64 { return nil },
		Admissions: func() []Admission {
			return []Admission{
				{Endpoint: "chat", Limited: true, Rate: 1200.5, Underway: 7, Waiting: 3, AdmittedNew: 1, AdmittedResuming: 2, RefusedNew: 4, RefusedResuming: 5},
				{Endpoint: "\xff", Rate: 1000},
			}
		},
	})
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", err, problems)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`handfast_admission_limited{endpoint="chat"} 1`, `handfast_admission_limited{endpoint="�"} 0`,
		`handfast_admission_rate{endpoint="chat"} 1200.5`, `handfast_admission_rate{endpoint="�"} 1000`,
		`handfast_admission_underway{endpoint="chat"} 7`, `handfast_admission_waiting{endpoint="chat"} 3`,
		`handfast_admission_handshakes_total{endpoint="chat",outcome="admitted",priority="new"} 1`,
		`handfast_admission_handshakes_total{endpoint="chat",outcome="admitted",priority="resuming"} 2`,
		`handfast_admission_handshakes_total{endpoint="chat",outcome="refused",priority="new"} 4`,
		`handfast_admission_handshakes_total{endpoint="chat",outcome="refused",priority="resuming"} 5`,
		`handfast_admission_handshakes_total{endpoint="�",outcome="refused",priority="new"} 0`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
}
