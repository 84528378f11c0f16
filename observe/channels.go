package observe

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Channels is the current state of the channels of this node, with counters since the start.
type Channels struct {
	Namespaces    []Namespace   // without duplicates
	Clients       int           // clients with a session
	Channels      int           // channels that are open on this node
	Subscriptions int           // subscriptions of all clients
	Ready         bool          // the last probe of the engine succeeded
	Lag           time.Duration // how long the last probe took
	Webhooks      []Webhook     // in the order of the configuration
}

// Webhook has the counters of a webhook.
type Webhook struct {
	App     string // the label of the webhook's application
	Number  string // the index of the webhook in the configuration, a label
	Sent    uint64 // events that the receiver has accepted
	Failed  uint64 // events that the receiver has rejected, or that were discarded after repeated failures
	Dropped uint64 // events that did not fit into the queue
	Waiting int    // events in the queue
}

// Namespace has the counters of the channels of one namespace.
type Namespace struct {
	Name         string // the label of the namespace
	Publications uint64 // published from this node
	Deliveries   uint64 // publications times subscribers
	Rejected     uint64 // publications that exceeded a limit on size or rate
	Recovered    uint64 // subscriptions that received what they had missed
	Unrecovered  uint64 // subscriptions that did not receive what they had missed
	Slow         uint64 // how often the queue of a subscriber was full
	Dropped      uint64 // publications that were permanently lost
	Refilled     uint64 // publications read from the history
	Gaps         uint64 // losses of the engine that could not be recovered
	Insufficient uint64 // subscriptions that were ended by a loss
	Joins        uint64 // announced joins
	Leaves       uint64 // announced leaves
}

// channels is a collector of the counters of the hub.
type channels struct {
	get func() *Channels // nil, or returning nil, if there are no channels

	publications, deliveries, rejected, recoveries, slow, dropped, refilled, gaps, ended, members *prometheus.Desc

	clients, open, subscriptions, ready, lag, events, waiting *prometheus.Desc
}

func newChannels(get func() *Channels) *channels {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	of := func(name, help string, labels ...string) *prometheus.Desc {
		return desc(name, help, append([]string{"namespace"}, labels...)...)
	}
	return &channels{
		get:          get,
		publications: of("channel_publications_total", "Messages published on this node."),
		deliveries:   of("channel_deliveries_total", "Deliveries of messages to subscribers of this node."),
		rejected:     of("channel_publications_rejected_total", "Messages from clients that were rejected because of their size or rate."),
		recoveries:   of("channel_recoveries_total", "Subscriptions that asked for missed messages, by outcome.", "outcome"),
		slow:         of("channel_slow_total", "Times that the queue of a subscriber was full."),
		dropped:      of("channel_messages_dropped_total", "Messages permanently lost by a subscriber or the node."),
		refilled:     of("channel_messages_refilled_total", "Messages read from the history after the engine or a subscriber lost them."),
		gaps:         of("channel_gaps_total", "Times that the engine lost messages that could not be read again."),
		ended:        of("channel_subscriptions_insufficient_total", "Subscriptions that ended because of lost messages."),
		members:      of("channel_members_total", "Members whose join or leave was announced.", "change"),

		clients:       desc("channel_clients", "Clients of channels on this node."),
		open:          desc("channels", "Channels on this node."),
		subscriptions: desc("channel_subscriptions", "Subscriptions on this node."),
		ready:         desc("engine_ready", "1 if the last canary through the engine was received."),
		lag:           desc("engine_lag_seconds", "Latency of the last canary through the engine."),
		events: desc("webhook_events_total", "Events of a webhook that were sent, abandoned after retries (failed), or dropped because of a full queue.",
			"app", "webhook", "outcome"),
		waiting: desc("webhook_queue_events", "Events waiting to be sent.", "app", "webhook"),
	}
}

// Describe implements [prometheus.Collector]. It describes nothing, because a server without channels has no series.
func (c *channels) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *channels) Collect(ch chan<- prometheus.Metric) {
	if c.get == nil {
		return
	}
	now := c.get()
	if now == nil {
		return
	}
	for _, n := range now.Namespaces {
		name := strings.ToValidUTF8(n.Name, "\uFFFD")
		for _, v := range []struct {
			desc  *prometheus.Desc
			value uint64
			label []string
		}{
			{c.publications, n.Publications, nil}, {c.deliveries, n.Deliveries, nil}, {c.rejected, n.Rejected, nil},
			{c.recoveries, n.Recovered, []string{"recovered"}}, {c.recoveries, n.Unrecovered, []string{"failed"}},
			{c.slow, n.Slow, nil}, {c.dropped, n.Dropped, nil}, {c.refilled, n.Refilled, nil}, {c.gaps, n.Gaps, nil},
			{c.ended, n.Insufficient, nil}, {c.members, n.Joins, []string{"join"}}, {c.members, n.Leaves, []string{"leave"}},
		} {
			ch <- prometheus.MustNewConstMetric(v.desc, prometheus.CounterValue, float64(v.value), append([]string{name}, v.label...)...)
		}
	}
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(c.clients, float64(now.Clients))
	gauge(c.open, float64(now.Channels))
	gauge(c.subscriptions, float64(now.Subscriptions))
	ready := 0.0
	if now.Ready {
		ready = 1
	}
	gauge(c.ready, ready)
	gauge(c.lag, now.Lag.Seconds())
	for _, w := range now.Webhooks {
		for outcome, n := range map[string]uint64{"sent": w.Sent, "failed": w.Failed, "dropped": w.Dropped} {
			ch <- prometheus.MustNewConstMetric(c.events, prometheus.CounterValue, float64(n), w.App, w.Number, outcome)
		}
		ch <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(w.Waiting), w.App, w.Number)
	}
}
