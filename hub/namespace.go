package hub

import (
	"strings"
	"time"
)

// SlowPolicy determines what happens to a subscriber whose queue is full.
type SlowPolicy uint8

// The policies.
const (
	// SlowRefill drops publications, and sends them from the history when the queue is empty again. If that is not possible, the
	// subscription ends with EndInsufficient; if the protocol has no message for such an end, the connection is closed.
	SlowRefill SlowPolicy = iota

	// SlowDrop drops publications, and continues with new ones when the queue is empty again. It suits data that is soon out of date.
	SlowDrop

	// SlowLatest drops publications, and sends the latest one of each changed key when the queue is empty again. Publications
	// without a key are lost to that subscriber.
	SlowLatest

	// SlowClose closes the connection with EndSlow.
	SlowClose
)

// Namespace holds the settings of the channels whose name begins with a prefix. With the zero value, no publications are kept.
type Namespace struct {
	// Name is the name of the namespace in metrics. "" means Prefix.
	Name string

	// App is the application that the namespace belongs to. "" means all applications that have no matching namespace of their own.
	App string

	// Prefix is the beginning of the channels' names. The longest matching prefix applies. "" matches every channel.
	Prefix string

	// History is the number of publications that are kept. 0 means none: then no publications can be recovered.
	History int

	// HistoryAge is how long publications are kept. 0 means as long as the engine keeps any data.
	HistoryAge time.Duration

	// Presence enables rosters of the members of the channels.
	Presence bool

	// LargeRoom is the number of users at which a channel begins to send joins and leaves together, once a second. 0 means 100.
	LargeRoom int

	// MaxData is the maximum size of a publication in bytes: its data, ID, event, key and tags together. 0 means 64 KiB.
	MaxData int

	// MaxSubscribers is the maximum number of subscribers of one channel on a node. 0 means no limit.
	MaxSubscribers int

	// Rate is the number of publications that a session may make per second, in all channels together, and Burst is the number that
	// it may make at one time. 0 means no limit.
	Rate, Burst int

	// Slow is the policy for slow subscribers.
	Slow SlowPolicy

	// KeyTTL is how long a key is kept after it was last set, unless the publisher specifies it. 0 means forever.
	KeyTTL time.Duration

	// Expiry is how long a publication may be delivered, unless the publisher specifies it. 0 means no limit.
	Expiry time.Duration

	// Trace is the fraction of the publications without a trace ID that get one: from 0, none, to 1, all of them.
	Trace float64
}

// KeyDeltas reports whether subscribers of a keyed collection may receive deltas from the previous value of the same key. That
// requires that no value is ever dropped, since every subscriber must have the previous one.
func (n *Namespace) KeyDeltas() bool { return n.History > 0 && n.Slow != SlowDrop }

const (
	defaultMaxData   = 64 << 10
	defaultLargeRoom = 100
)

// namespace is a Namespace with its counters.
type namespace struct {
	Namespace
	counters counters
}

// namespaces holds all namespaces of a hub.
type namespaces []*namespace

// newNamespaces returns the namespaces with their defaults, and adds one that matches every channel.
func newNamespaces(of []Namespace) namespaces {
	var all namespaces
	catchAll := false
	for _, n := range of {
		catchAll = catchAll || n.Prefix == "" && n.App == ""
		all = append(all, &namespace{Namespace: n})
	}
	if !catchAll {
		all = append(all, new(namespace))
	}
	for _, n := range all {
		if n.Name == "" {
			n.Name = n.Prefix
		}
		if n.MaxData == 0 {
			n.MaxData = defaultMaxData
		}
		if n.LargeRoom == 0 {
			n.LargeRoom = defaultLargeRoom
		}
	}
	return all
}

// Namespace returns the settings of a channel, with their defaults.
func (h *Hub) Namespace(app, channel string) Namespace {
	return h.namespaces.of(app, channel).Namespace
}

// of returns the settings of a channel: an application's own namespaces take precedence, then the longest prefix.
func (all namespaces) of(app, name string) *namespace {
	var best *namespace
	for _, n := range all {
		if n.App != "" && n.App != app || !strings.HasPrefix(name, n.Prefix) {
			continue
		}
		if best == nil || best.App == "" && n.App != "" || (best.App == "") == (n.App == "") && len(n.Prefix) > len(best.Prefix) {
			best = n
		}
	}
	return best
}

// Namespace returns the settings of a channel.
func (s *Session) Namespace(channel string) Namespace {
	return s.hub.namespaces.of(s.client.App, channel).Namespace
}
