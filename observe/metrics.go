package observe

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics has the metrics of a server, in addition to those of each [Endpoint]. Labels have few values: endpoints and methods come
// from the configuration, and Code groups close codes. It may be used from any goroutine.
type Metrics struct {
	registry *prometheus.Registry

	Cut       prometheus.Counter       // slow handshakes that were cut to make room
	Auth      *prometheus.HistogramVec // seconds of authenticating a client, by method and outcome
	Reloads   *prometheus.CounterVec   // by outcome
	TLS       *prometheus.CounterVec   // TLS handshakes of WebSockets, by session: new or resumed
	Revoked   prometheus.Counter       // connections that were closed because their credential was revoked
	Expired   prometheus.Counter       // connections whose credential expired
	Rechecks  *prometheus.CounterVec   // connections closed after a recheck of their session, by outcome: refused or unknown
	AuditLost prometheus.Counter       // lines of the audit log that could not be written
	Draining  prometheus.Gauge         // 1 while the server is shutting down

	servers *prometheus.HistogramVec // seconds of handshakes with the servers of balancers, by outcome
}

// Live has functions that are called when the metrics are read.
type Live struct {
	Pending      func() float64            // connections in their handshake
	AuthCalls    func() float64            // credentials that are being checked
	Certificates func() map[string]float64 // the Unix time at which each certificate expires, by name
	Endpoints    func() []Traffic          // the current endpoints, without duplicates
	Channels     func() *Channels          // nil, or returning nil, if there are no channels
	Upstreams    func() []Upstream         // the servers of each endpoint, without duplicates; nil if there are no balancers
	Admissions   func() []Admission        // each endpoint with a balancer, without duplicates; nil if there are no balancers
}

// NewMetrics returns metrics that are all zero.
func NewMetrics(live Live) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.Auth = histograms(m, "auth_duration_seconds", "Duration of authentications.",
		[]float64{.0001, .001, .01, .05, .1, .5, 1, 5}, "method", "outcome")
	m.Reloads = counters(m, "config_reloads_total", "Reloads of the configuration.", "outcome")
	m.TLS = counters(m, "tls_handshakes_total", "Handshakes of WebSockets over TLS, by whether the TLS session was new or resumed.", "session")
	m.servers = histograms(m, "server_handshake_duration_seconds", "Duration of handshakes with servers of the balancer.",
		[]float64{.001, .005, .025, .1, .5, 1, 5}, "endpoint", "server", "outcome")
	m.Cut = counter(m, "handshakes_cut_total", "Connections that were closed during their handshake to make room for other handshakes.")
	m.Revoked = counter(m, "connections_revoked_total", "WebSockets that were closed because their credential was revoked.")
	m.Expired = counter(m, "connections_expired_total", "WebSockets that were closed because their credential expired.")
	m.Rechecks = counters(m, "sessions_ended_total", "WebSockets that were closed after a recheck because their session was refused, or could not be verified for too long.", "outcome")
	m.AuditLost = counter(m, "audit_lines_lost_total", "Lines of the audit log that could not be written.")
	m.Draining = prometheus.NewGauge(opts("draining", "1 once the server is stopping."))
	m.registry.MustRegister(m.Draining, newLive(live), newEndpoints(live.Endpoints), newChannels(live.Channels), newUpstreams(live.Upstreams), newAdmissions(live.Admissions), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler returns a handler that serves the metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

const namespace = "handfast"

func opts(name, help string) prometheus.GaugeOpts {
	return prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}
}

func counters(m *Metrics, name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	m.registry.MustRegister(v)
	return v
}

func counter(m *Metrics, name, help string) prometheus.Counter {
	v := prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	m.registry.MustRegister(v)
	return v
}

func histograms(m *Metrics, name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
	}, labels)
	m.registry.MustRegister(v)
	return v
}

// Code returns the label for a close code. A peer can send any code from 3000 on: such codes are grouped in one label for each
// thousand, except for the server's own codes.
func Code(code int, own ...int) string {
	switch {
	case slices.Contains(own, code), code >= 1000 && code <= 1015:
		return strconv.Itoa(code)
	case code/1000 == 4:
		return "4xxx"
	case code/1000 == 3:
		return "3xxx"
	}
	return "other"
}

// live is a collector that calls the functions of Live.
type live struct {
	Live
	pending, auth, cert, build *prometheus.Desc
}

func newLive(l Live) *live {
	c := &live{
		Live:    l,
		pending: prometheus.NewDesc(namespace+"_handshakes_pending", "Connections in their handshake.", nil, nil),
		auth:    prometheus.NewDesc(namespace+"_auth_calls", "Credentials being checked.", nil, nil),
		cert: prometheus.NewDesc(namespace+"_certificate_expiry_timestamp_seconds", "Expiry of a certificate.",
			[]string{"certificate"}, nil),
		build: prometheus.NewDesc(namespace+"_build_info", "1, with the version of this program as labels.", []string{"version", "go"}, nil),
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c *live) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.pending, c.auth, c.cert, c.build} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *live) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.pending, c.Pending())
	gauge(c.auth, c.AuthCalls())
	for name, end := range c.Certificates() {
		gauge(c.cert, end, strings.ToValidUTF8(name, "\uFFFD")) // a path need not be valid UTF-8
	}
	gauge(c.build, 1, Version(), runtime.Version())
}

// Version returns the version of this program from its build information, or "unknown" without build information.
func Version() string { return version(debug.ReadBuildInfo()) }

func version(info *debug.BuildInfo, ok bool) string {
	if ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
