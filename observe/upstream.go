package observe

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Upstream is the current state of a server of a balancer.
type Upstream struct {
	Endpoint string // a label, like Server
	Server   string
	State    string // ready, draining, down, ...
	Live     int    // connections of this balancer
	Load     int    // connections of all balancers

	// The counters of open and closed connections since the server was added. Messages are 0 if bytes are forwarded.
	MessagesIn, MessagesOut uint64         // from clients and to clients
	BytesIn, BytesOut       uint64         // from clients and to clients; only payloads if messages are forwarded
	Resumed                 uint64         // connections that were moved here from another server
	Closed                  map[int]uint64 // closed connections by close code
}

// upstreamStates are the values of the label state.
var upstreamStates = []string{"ready", "full", "ejected", "draining", "down", "removed"}

// upstreams is a collector of Upstreams.
type upstreams struct {
	get               func() []Upstream // nil if there are no balancers
	open, load, state *prometheus.Desc
	messages, bytes   *prometheus.Desc
	resumed, closed   *prometheus.Desc
}

func newUpstreams(get func() []Upstream) *upstreams {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, append([]string{"endpoint", "server"}, labels...), nil)
	}
	return &upstreams{
		get:   get,
		open:  desc("server_connections", "Connections forwarded to a server."),
		load:  desc("server_load", "Connections of a server, as the server reports them."),
		state: desc("server_state", "1 for the current state of a server.", "state"),

		messages: desc("server_messages_total", "Messages forwarded to a server (in) and from a server (out).", "direction"),
		bytes:    desc("server_bytes_total", "Bytes forwarded to a server (in) and from a server (out).", "direction"),
		resumed:  desc("server_resumed_total", "Connections of clients that were moved to this server from another server without being closed."),
		closed:   desc("server_connections_closed_total", "Ended connections to a server, by close code.", "code"),
	}
}

// Describe implements [prometheus.Collector]. It describes nothing, because a server without balancers has no series.
func (c *upstreams) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *upstreams) Collect(ch chan<- prometheus.Metric) {
	if c.get == nil {
		return
	}
	for _, u := range c.get() {
		endpoint, server := strings.ToValidUTF8(u.Endpoint, "\uFFFD"), u.Server
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{endpoint, server}, labels...)...)
		}
		count := func(d *prometheus.Desc, n uint64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{endpoint, server}, labels...)...)
		}
		count(c.messages, u.MessagesIn, "in")
		count(c.messages, u.MessagesOut, "out")
		count(c.bytes, u.BytesIn, "in")
		count(c.bytes, u.BytesOut, "out")
		count(c.resumed, u.Resumed)
		codes := map[string]uint64{} // several codes may have the same label
		for code, n := range u.Closed {
			codes[Code(code)] += n
		}
		for code, n := range codes {
			count(c.closed, n, code)
		}
		gauge(c.open, float64(u.Live))
		gauge(c.load, float64(u.Load))
		for _, state := range upstreamStates {
			v := 0.0
			if state == u.State {
				v = 1
			}
			gauge(c.state, v, state)
		}
	}
}

// Tried counts a handshake with a server for a client of an endpoint.
func (m *Metrics) Tried(endpoint, server, outcome string, took time.Duration) {
	m.servers.WithLabelValues(strings.ToValidUTF8(endpoint, "\uFFFD"), server, outcome).Observe(took.Seconds())
}
