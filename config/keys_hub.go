package config

import (
	"fmt"

	"github.com/handfast/handfast/config/internal/tree"
)

// Hub is the rules of channels, for all endpoints that have channels.
type Hub struct {
	// What connects the nodes, and keeps what channels keep. A word alone is an engine with its defaults: "engine: memory".
	// Empty: memory.
	Engine Engine `yaml:"engine"`

	// How many channels one connection may subscribe to.
	MaxSubscriptions int `yaml:"max_subscriptions" default:"128" min:"1"`

	// The rules of channels by the prefix of their names; the longest one that fits counts. Empty: the defaults, for all
	// channels.
	Namespaces []Namespace `yaml:"namespaces"`
}

// Namespace is the rules of the channels whose names begin with a prefix.
type Namespace struct {
	// What the names begin with, such as "chat:". Empty: all channels.
	Prefix string `yaml:"prefix" example:"\"chat:\""`

	// How many messages a channel keeps, for clients that come back. 0: none.
	History int `yaml:"history" default:"100" min:"0" max:"100000"`

	// How long it keeps them. 0: as long as the server runs.
	HistoryAge Duration `yaml:"history_age" default:"10m" min:"0s"`

	// Whether the channels have members: who is there.
	Presence bool `yaml:"presence" default:"false"`

	// The largest message: its data, event, key, ID and tags together.
	MaxData Bytes `yaml:"max_data" default:"64KiB" min:"1"`

	// How many subscribers one channel may have on this node. 0: no bound.
	MaxSubscribers int `yaml:"max_subscribers" default:"0" min:"0"`

	// How many messages a connection may publish in a second, on average. 0: no bound.
	Rate int `yaml:"rate" default:"0" min:"0"`

	// How many it may publish together. 0: as many as in a second.
	Burst int `yaml:"burst" default:"0" min:"0"`

	// What happens to a subscriber that reads too slowly. refill: it gets what it has missed from the history; drop: it misses
	// messages; latest: it gets the latest message of each key; close: its connection is closed.
	Slow string `yaml:"slow" enum:"refill|drop|latest|close" default:"refill"`

	// How long a key is kept after it was last set. 0: forever.
	KeyTTL Duration `yaml:"key_ttl" default:"0s" min:"0s"`

	// How long a message may be delivered. 0: no bound.
	Expiry Duration `yaml:"expiry" default:"0s" min:"0s"`

	// The share of the messages, from 0 to 1, that get a trace ID in addition to those whose HTTP request has one. It is logged
	// where a message is published and where it is delivered.
	Trace float64 `yaml:"trace" default:"0" min:"0" max:"1"`
}

// namespaces checks that no two namespaces are for the same channels, and that what they say fits together.
func (k *checker) namespaces(all []Namespace) {
	seen := map[string]int{}
	for i, n := range all {
		p := fmt.Sprintf("hub.namespaces[%d]", i)
		if first, ok := seen[n.Prefix]; ok {
			k.Wrong(p+".prefix", fmt.Sprintf("hub.namespaces[%d] has the prefix %s, too", first, tree.Quote(n.Prefix)), "a prefix of its own")
		}
		seen[n.Prefix] = i
		if n.Burst > 0 && n.Rate == 0 {
			k.Wrong(p+".burst", "there is no rate", "rate beside it")
		}
	}
}

// derive adds the rules of all channels if there are none, and the engine.
func (h *Hub) derive() {
	h.Engine.derive()
	if len(h.Namespaces) == 0 {
		var n Namespace
		tree.SetDefaults(&n)
		h.Namespaces = []Namespace{n}
	}
	for i := range h.Namespaces {
		if n := &h.Namespaces[i]; n.Burst == 0 {
			n.Burst = n.Rate
		}
	}
}
