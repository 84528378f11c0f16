package observe

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Endpoint has the metrics of one endpoint. The metrics are exported as long as [Live.Endpoints] returns the Endpoint, so a removed
// endpoint leaves no series. An Endpoint may be used from any goroutine.
type Endpoint struct {
	Open   prometheus.Gauge     // open connections
	Opened prometheus.Counter   // connections since the start
	Lasted prometheus.Histogram // seconds that a connection was open
	Panics prometheus.Counter   // panics in the target, each of which ends one client's connection

	name    string
	codes   []int                  // close codes with a label of their own
	closed  *prometheus.CounterVec // by code
	refused *prometheus.CounterVec // handshakes, by stage and status
	limited *prometheus.CounterVec // connections, by the limit
}

// Traffic is the traffic of an endpoint's connections, including open ones, since the start.
type Traffic struct {
	Endpoint                                   *Endpoint // the endpoint with this traffic
	MessagesIn, MessagesOut, BytesIn, BytesOut int64
}

// NewEndpoint returns the metrics of an endpoint, all zero. The name "" is for everything that belongs to no endpoint. codes are
// close codes from 3000 on that the server sends: each has its own label.
func NewEndpoint(name string, codes ...int) *Endpoint {
	name = strings.ToValidUTF8(name, "\uFFFD") // a label must be valid UTF-8
	label := prometheus.Labels{"endpoint": name}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: label}
	}
	e := &Endpoint{
		name:    name,
		codes:   codes,
		Opened:  prometheus.NewCounter(counter("connections_opened_total", "Opened WebSockets.")),
		closed:  prometheus.NewCounterVec(counter("connections_closed_total", "WebSockets that have ended, by close code."), []string{"code"}),
		refused: prometheus.NewCounterVec(counter("handshakes_refused_total", "Rejected handshakes."), []string{"stage", "status"}),
		limited: prometheus.NewCounterVec(counter("connections_limited_total", "WebSockets that were closed because their client exceeded a limit of the endpoint, by setting."), []string{"limit"}),
		Panics:  prometheus.NewCounter(counter("target_panics_total", "Panics while an endpoint served a client.")),
		Lasted: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "connection_duration_seconds", Help: "Lifetimes of WebSocket connections.", ConstLabels: label,
			Buckets: []float64{.1, 1, 10, 60, 300, 1800, 7200, 43200},
		}),
	}
	open := opts("connections", "Open WebSockets.")
	open.ConstLabels = label
	e.Open = prometheus.NewGauge(open)
	if name == "" {
		e.Opened, e.Open, e.Lasted, e.Panics = nil, nil, nil, nil // without an endpoint there are no connections
	}
	return e
}

// Closed counts a connection that has ended with a close code.
func (e *Endpoint) Closed(code int) { e.closed.WithLabelValues(Code(code, e.codes...)).Inc() }

// Limited counts a connection that was closed because its client has exceeded a limit.
func (e *Endpoint) Limited(limit string) { e.limited.WithLabelValues(limit).Inc() }

// Refused counts a handshake that was rejected at a stage, with the status of the response, or 0 if no response was sent.
func (e *Endpoint) Refused(stage string, status int) {
	e.refused.WithLabelValues(stage, strconv.Itoa(status)).Inc()
}

// endpoints is a collector of the metrics of the current endpoints.
type endpoints struct {
	list            func() []Traffic
	messages, bytes *prometheus.Desc
}

func newEndpoints(list func() []Traffic) *endpoints {
	labels := []string{"endpoint", "direction"}
	return &endpoints{
		list:     list,
		messages: prometheus.NewDesc(namespace+"_messages_total", "WebSocket messages.", labels, nil),
		bytes:    prometheus.NewDesc(namespace+"_message_bytes_total", "Bytes in WebSocket messages.", labels, nil),
	}
}

// Describe implements [prometheus.Collector]. It describes nothing, because the series change.
func (c *endpoints) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *endpoints) Collect(ch chan<- prometheus.Metric) {
	for _, t := range c.list() {
		e := t.Endpoint
		e.closed.Collect(ch)
		e.refused.Collect(ch)
		e.limited.Collect(ch)
		if e.Open == nil {
			continue
		}
		ch <- e.Open
		ch <- e.Opened
		ch <- e.Lasted
		ch <- e.Panics
		for _, n := range []struct {
			desc      *prometheus.Desc
			direction string
			value     int64
		}{
			{c.messages, "in", t.MessagesIn}, {c.messages, "out", t.MessagesOut},
			{c.bytes, "in", t.BytesIn}, {c.bytes, "out", t.BytesOut},
		} {
			ch <- prometheus.MustNewConstMetric(n.desc, prometheus.CounterValue, float64(n.value), e.name, n.direction)
		}
	}
}
