package observe

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Upstream is a server that clients are carried to, as it is at the moment.
type Upstream struct {
	Endpoint string // a label, as Server
	Server   string
	State    string // ready, draining, down, ...
	Live     int    // connections from here
	Load     int    // those of other balancers included

	// Of connections that have ended and are open, since the server is known. Those of messages are 0 where bytes are carried.
	MessagesIn, MessagesOut uint64         // from clients, and to them
	BytesIn, BytesOut       uint64         // likewise; where messages are carried, those of their payloads
	Resumed                 uint64         // connections that have gone on here after another server
	Closed                  map[int]uint64 // connections by close code
}

// upstreamStates are the values of the label state.
var upstreamStates = []string{"ready", "full", "ejected", "draining", "down", "removed"}

// upstreams is a collector of the servers that clients are carried to.
type upstreams struct {
	get               func() []Upstream // nil if there are none
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
		load:  desc("server_load", "Connections of a server, as reported by it."),
		state: desc("server_state", "1 for the current state of a server.", "state"),

		messages: desc("server_messages_total", "Messages forwarded to a server (in) and from it (out).", "direction"),
		bytes:    desc("server_bytes_total", "Bytes forwarded to a server (in) and from it (out).", "direction"),
		resumed:  desc("server_resumed_total", "Connections resumed on a server after another one, without a close."),
		closed:   desc("server_connections_closed_total", "Ended connections to a server, by close code.", "code"),
	}
}

// Describe implements [prometheus.Collector]. It says nothing: a server without balancers has no series.
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
		codes := map[string]uint64{} // several codes have one label
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

// Tried counts a handshake with a server that clients of an endpoint are carried to.
func (m *Metrics) Tried(endpoint, server, outcome string, took time.Duration) {
	m.servers.WithLabelValues(strings.ToValidUTF8(endpoint, "\uFFFD"), server, outcome).Observe(took.Seconds())
}
