package observe

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Admission is the current state of admitting clients to the servers of an endpoint.
type Admission struct {
	Endpoint string  // the label of the endpoint
	Limited  bool    // whether Rate applies
	Rate     float64 // the maximum number of admitted handshakes per second
	Underway int     // handshakes with a server in progress
	Waiting  int     // handshakes that wait for a server with free capacity

	// The numbers of handshakes since the start, separated by whether they resume a session.
	AdmittedNew, AdmittedResuming, RefusedNew, RefusedResuming uint64
}

// admissions is a collector of Admissions.
type admissions struct {
	get                                         func() []Admission // nil if there are no balancers
	limited, rate, underway, waiting, handshake *prometheus.Desc
}

func newAdmissions(get func() []Admission) *admissions {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_admission_"+name, help, append([]string{"endpoint"}, labels...), nil)
	}
	return &admissions{
		get:       get,
		limited:   desc("limited", "1 while the rate of handshakes with servers is limited because the servers cannot accept all clients."),
		rate:      desc("rate", "Handshakes admitted per second while the admission is limited."),
		underway:  desc("underway", "Handshakes in progress with a server."),
		waiting:   desc("waiting", "Handshakes waiting for a server with free capacity."),
		handshake: desc("handshakes_total", "Handshakes that were admitted, or rejected with Retry-After, by whether the client resumes a session.", "priority", "outcome"),
	}
}

// Describe implements [prometheus.Collector]. It describes nothing, because a server without balancers has no series.
func (c *admissions) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *admissions) Collect(ch chan<- prometheus.Metric) {
	if c.get == nil {
		return
	}
	for _, a := range c.get() {
		endpoint := strings.ToValidUTF8(a.Endpoint, "\uFFFD")
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, endpoint)
		}
		count := func(n uint64, priority, outcome string) {
			ch <- prometheus.MustNewConstMetric(c.handshake, prometheus.CounterValue, float64(n), endpoint, priority, outcome)
		}
		limited := 0.0
		if a.Limited {
			limited = 1
		}
		gauge(c.limited, limited)
		gauge(c.rate, a.Rate)
		gauge(c.underway, float64(a.Underway))
		gauge(c.waiting, float64(a.Waiting))
		count(a.AdmittedNew, "new", "admitted")
		count(a.AdmittedResuming, "resuming", "admitted")
		count(a.RefusedNew, "new", "refused")
		count(a.RefusedResuming, "resuming", "refused")
	}
}
