package hub

import (
	"strings"
	"time"
)

// SlowPolicy says what happens to a subscriber whose queue is full.
type SlowPolicy uint8

// The policies.
const (
	// SlowRefill drops, and sends what was dropped from the history when the queue is empty again. If that is not possible, the
	// subscription ends with EndInsufficient; of a protocol without a message for that, the connection is closed.
	SlowRefill SlowPolicy = iota

	// SlowDrop drops, and goes on with what is published when the queue is empty again: for what is soon outdated anyway.
	SlowDrop

	// SlowLatest drops, and sends the latest of each key that has changed when the queue is empty again. Publications without
	// a key are lost to that subscriber.
	SlowLatest

	// SlowClose closes the connection with EndSlow.
	SlowClose
)

// Namespace is the rules of the channels whose name begins with a prefix. The zero value keeps nothing.
type Namespace struct {
	// Name is what metrics call the namespace. "" means Prefix.
	Name string

	// App is the application that the rules are for. "" means all that have no such rules of their own.
	App string

	// Prefix begins the names of the channels. The longest that fits counts. "" fits every channel.
	Prefix string

	// History is how many publications are kept. 0 means none: then nothing can be recovered.
	History int

	// HistoryAge is how long they are kept. 0 means as long as the engine keeps anything.
	HistoryAge time.Duration

	// Presence has the channels keep who is there.
	Presence bool

	// LargeRoom is the number of users from which on joins and leaves are sent together, once a second. 0 means 100.
	LargeRoom int

	// MaxData is the most bytes of a publication: of its data, ID, event, key and tags together. 0 means 64 KiB.
	MaxData int

	// MaxSubscribers is the most subscribers of one channel on a node. 0 means no limit.
	MaxSubscribers int

	// Rate is how many publications a session may make in a second, in all channels together, and Burst is how many it may make
	// together. 0 means no limit.
	Rate, Burst int

	// Slow is what happens to a slow subscriber.
	Slow SlowPolicy

	// KeyTTL is how long a key is kept after it was last set, unless the publisher says otherwise. 0 means forever.
	KeyTTL time.Duration

	// Expiry is how long a publication may be delivered, unless the publisher says otherwise. 0 means no limit.
	Expiry time.Duration

	// Trace is the share of the publications that get a trace ID if they have none: from 0, none, to 1, all of them.
	Trace float64
}

// KeyDeltas reports whether subscribers of a keyed collection may have differences to the value before, by key: every one of them
// has got that value only if nothing is dropped for good.
func (n *Namespace) KeyDeltas() bool { return n.History > 0 && n.Slow != SlowDrop }

const (
	defaultMaxData   = 64 << 10
	defaultLargeRoom = 100
)

// namespace is a Namespace in use.
type namespace struct {
	Namespace
	counters
}

// newNamespaces returns the namespaces with their defaults, one that fits everything included.
func newNamespaces(of []Namespace) []*namespace {
	var all []*namespace
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

// Namespace returns the rules of a channel, with their defaults.
func (h *Hub) Namespace(app, channel string) Namespace { return h.namespaceOf(app, channel).Namespace }

// namespaceOf returns the rules of a channel: an application's own before those of all, then the longest prefix.
func (h *Hub) namespaceOf(app, name string) *namespace {
	var best *namespace
	for _, n := range h.namespaces {
		if n.App != "" && n.App != app || !strings.HasPrefix(name, n.Prefix) {
			continue
		}
		if best == nil || best.App == "" && n.App != "" || (best.App == "") == (n.App == "") && len(n.Prefix) > len(best.Prefix) {
			best = n
		}
	}
	return best
}

// Namespace returns the rules of a channel.
func (s *Session) Namespace(channel string) Namespace {
	return s.hub.namespaceOf(s.client.App, channel).Namespace
}
