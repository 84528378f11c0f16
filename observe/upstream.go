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
}

// upstreamStates are the values of the label state.
var upstreamStates = []string{"ready", "full", "ejected", "draining", "down", "removed"}

// upstreams is a collector of the servers that clients are carried to.
type upstreams struct {
	get               func() []Upstream // nil: there are none
	open, load, state *prometheus.Desc
}

func newUpstreams(get func() []Upstream) *upstreams {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, append([]string{"endpoint", "server"}, labels...), nil)
	}
	return &upstreams{
		get:   get,
		open:  desc("server_connections", "Connections that are carried to a server."),
		load:  desc("server_load", "Connections of a server, as far as it has said how many it has."),
		state: desc("server_state", "1 for the state that a server is in.", "state"),
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
