package config

import (
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// Pusher lets clients subscribe and publish with the Pusher-compatible protocol 7, in the channels of all applications. The path
// of the endpoint ends with /app/{key}; the HTTP API of the applications has the same path with /apps/ instead. Private
// and presence channels require the signature of their application, and the rules of the endpoint apply as well: "subscribe"
// for each channel, "presence" for presence channels, "publish" for client events.
type Pusher struct {
	// Whether clients may publish client-* events in private and presence channels, if the rules allow "publish".
	ClientEvents bool `yaml:"client_events" default:"false"`

	// Whether the subscribers of a channel without presence are notified of their number when it changes, at most once a second.
	SubscriptionCounts bool `yaml:"subscription_counts" default:"false"`

	// Whether clients that sign in are notified of the online users of their watchlist, up to 100. Users are online while they are signed
	// in.
	Watchlists bool `yaml:"watchlists" default:"false"`

	// The maximum number of members of a presence channel.
	MaxMembers int `yaml:"max_members" default:"100" min:"1" max:"10000"`

	// The maximum size of an event's data. The max_data of a namespace also applies.
	MaxData Bytes `yaml:"max_data" default:"10KiB" min:"1" max:"1MiB"`

	// The maximum number of connections of one application on this node; further ones are closed with 4004. 0 means no limit.
	MaxConnections int `yaml:"max_connections" default:"0" min:"0"`

	// How long a client may be silent before it gets a ping; a client that does not answer in 30 s is closed with 4201.
	ActivityTimeout Duration `yaml:"activity_timeout" default:"120s" min:"1s" max:"1h"`

	// How many messages a connection may send per second on average; further ones are answered with an error.
	MessagesPerSecond int `yaml:"messages_per_second" default:"1000" min:"1"`
}

func init() { registerTarget[Pusher]("pusher") }

// PusherPath is the required end of the path of an endpoint with the target pusher.
const PusherPath = "/app/{key}"

// check checks the path of an endpoint with the target pusher.
func (*Pusher) check(k *checker, e *Endpoint, path string) {
	if len(k.c.Apps) == 0 && !k.tree.Failed("apps") {
		k.tree.Wrong(path+".target", "there are no applications", "apps, with at least one")
	}
	if !strings.HasSuffix(e.Path, PusherPath) {
		k.tree.Wrong(path+".path", tree.Quote(e.Path)+" does not end with "+PusherPath, "a path that ends with "+PusherPath+", to which clients connect")
	}
}
