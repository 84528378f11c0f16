package config

import (
	"fmt"

	"github.com/handfast/handfast/config/internal/tree"
)

// Hub contains the settings of channels, for all endpoints with channels.
type Hub struct {
	// The engine that connects the nodes and stores the state of channels. A single word selects an engine with its defaults: "engine:
	// memory". Empty means memory.
	Engine Engine `yaml:"engine"`

	// The maximum number of subscriptions of one connection.
	MaxSubscriptions int `yaml:"max_subscriptions" default:"128" min:"1"`

	// The settings of channels by the prefix of their names; the longest matching prefix applies. Empty means the defaults for all
	// channels.
	Namespaces []Namespace `yaml:"namespaces"`
}

// Namespace contains the settings of the channels whose names begin with a prefix.
type Namespace struct {
	// The prefix of the names, such as "chat:". Empty means all channels.
	Prefix string `yaml:"prefix" example:"\"chat:\""`

	// How many messages a channel keeps for clients that reconnect. 0 means none.
	History int `yaml:"history" default:"100" min:"0" max:"100000"`

	// How long a channel keeps messages. 0 means as long as the server runs.
	HistoryAge Duration `yaml:"history_age" default:"10m" min:"0s"`

	// Whether the channels have a list of members.
	Presence bool `yaml:"presence" default:"false"`

	// The maximum size of a message: the sum of its data, event, key, ID and tags.
	MaxData Bytes `yaml:"max_data" default:"64KiB" min:"1"`

	// The maximum number of subscribers of one channel on this node. 0 means no limit.
	MaxSubscribers int `yaml:"max_subscribers" default:"0" min:"0"`

	// How many messages a connection may publish per second on average. 0 means no limit.
	Rate int `yaml:"rate" default:"0" min:"0"`

	// How many messages a connection may publish in a burst. 0 means as many as per second.
	Burst int `yaml:"burst" default:"0" min:"0"`

	// The policy for a subscriber that reads too slowly. refill: missed messages are sent later, from the history; drop: messages are
	// dropped; latest: the latest message of each key is sent; close: the connection is closed.
	Slow string `yaml:"slow" enum:"refill|drop|latest|close" default:"refill"`

	// How long a key is kept after it was last set. 0 means forever.
	KeyTTL Duration `yaml:"key_ttl" default:"0s" min:"0s"`

	// How long after its publication a message may be delivered. 0 means no limit.
	Expiry Duration `yaml:"expiry" default:"0s" min:"0s"`

	// The share of the messages, from 0 to 1, that get a trace ID in addition to those whose HTTP request has one. The ID is
	// logged when a message is published and when it is delivered.
	Trace float64 `yaml:"trace" default:"0" min:"0" max:"1"`
}

// namespaces checks that no two namespaces have the same prefix, and that their settings are consistent.
func (k *checker) namespaces(all []Namespace) {
	seen := map[string]int{}
	for i, n := range all {
		p := fmt.Sprintf("hub.namespaces[%d]", i)
		if first, ok := seen[n.Prefix]; ok {
			k.tree.Wrong(p+".prefix", fmt.Sprintf("hub.namespaces[%d] has the same prefix, %s", first, tree.Quote(n.Prefix)), "a unique prefix")
		}
		seen[n.Prefix] = i
		if n.Burst > 0 && n.Rate == 0 {
			k.tree.Wrong(p+".burst", "a burst without a rate has no effect", "a value for rate as well")
		}
	}
}

// derive adds a namespace for all channels if there is none, and the default engine.
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
