package config

// Endpoint is a path, who may use it, and what it does.
type Endpoint struct {
	// What it is called in rules, logs and metrics. Empty: its path.
	Name string `yaml:"name" id:"true" example:"chat"`

	// The path: /chat is that path alone, /chat/{room} has one more part, /chat/ whatever follows. Where two endpoints fit,
	// the more specific one is taken.
	Path string `yaml:"path" required:"true" example:"/chat/{room}"`

	// The host names, without a port, in whose requests the path is this endpoint's. Empty: all. Where two endpoints fit, the
	// one that names the host is taken.
	Hosts []string `yaml:"hosts" example:"[chat.example.com]"`

	// What it does with connections. A word alone is a target without settings: "target: echo".
	Target Target `yaml:"target" required:"true" example:"echo"`

	// Who may connect: names from auth, or methods in place, asked in this order until one finds its kind of credential.
	// anonymous admits those without any; it is the last one, and never implied.
	Auth []AuthRef `yaml:"auth" required:"true" example:"[anonymous]"`

	// What those who may connect may do: the first rule that fits decides. When none fits, it is denied, except that
	// everybody may connect where there are no rules.
	Rules []Rule `yaml:"rules"`

	// The web origins whose pages may connect in addition to the server's own; any: those of all pages, so that any page that
	// a user opens can connect with this user's cookies and certificates. Clients other than browsers are not affected.
	Origins Origins `yaml:"origins" example:"[https://app.example.com]"`

	// The subprotocols that it speaks, the preferred one first.
	Subprotocols []string `yaml:"subprotocols"`

	// Compression of messages (RFC 7692). "compression: true" is enough.
	Compression Compression `yaml:"compression"`

	// The largest message that is accepted, after decompression.
	MaxMessage Bytes `yaml:"max_message" default:"1MiB" min:"1" max:"1GiB"`

	// How long a client may be silent: it is sent a ping before, and cut when it has been silent for twice as long. Many
	// networks forget a connection after 30 to 60 seconds of silence.
	PingInterval Duration `yaml:"ping_interval" default:"25s" min:"100ms" max:"1h"`

	// Its own bounds, on top of the server's.
	Limits EndpointLimits `yaml:"limits"`

	// What happens to a connection whose credential expires.
	Expiry Expiry `yaml:"expiry"`
}

// Patterns returns the patterns of the requests that are the endpoint's, as net/http's ServeMux takes them.
func (e *Endpoint) Patterns() []string {
	if len(e.Hosts) == 0 {
		return []string{e.Path}
	}
	list := make([]string, 0, len(e.Hosts))
	for _, host := range e.Hosts {
		list = append(list, host+e.Path)
	}
	return list
}

// Anonymous is the name in an endpoint's auth that admits clients without a credential.
const Anonymous = "anonymous"

// Rule allows or denies. The first one that fits decides.
type Rule struct {
	// The condition, an expression (https://expr-lang.org/docs/language-definition): '"admin" in claims.roles', 'channel
	// startsWith "team-" + user'. It sees user, method, claims, action, endpoint and channel. Empty: always.
	When string `yaml:"when" expression:"true" example:"'\"admin\" in claims.roles'"`

	// What it decides.
	Do string `yaml:"do" required:"true" enum:"allow|deny" example:"allow"`

	// What it is about. Empty: everything.
	Actions []string `yaml:"actions" enum:"connect|subscribe|publish|presence|history|delete"`

	// The channels that it is about, where * stands for anything: news-*. A rule with channels does not concern connect.
	// Empty: all of them.
	Channels []string `yaml:"channels"`
}

// Compression says whether and how messages are compressed. It costs time and memory on both sides; and who can choose a
// part of a message, and see its length, can guess the rest (the BREACH attack).
type Compression struct {
	// Whether it is offered to clients.
	Enabled bool `yaml:"enabled" short:"true" default:"false"`

	// Whether a message may refer to those before it: smaller messages for up to 36 KiB a connection.
	Takeover bool `yaml:"takeover" default:"false"`

	// Messages below this are sent as they are.
	Threshold Bytes `yaml:"threshold" default:"128" min:"0"`
}

// EndpointLimits are the bounds of one endpoint. 0 means no bound but the server's.
type EndpointLimits struct {
	// How many WebSockets may be open; further ones are answered with 503.
	Connections int `yaml:"connections" default:"0" min:"0"`

	// How many WebSockets one identity may have open; further ones are answered with 429. Anonymous clients are none.
	ConnectionsPerIdentity int `yaml:"connections_per_identity" default:"0" min:"0"`

	// How many WebSockets one address may have open; further ones are answered with 429. An IPv6 address counts as its /64.
	ConnectionsPerAddress int `yaml:"connections_per_address" default:"0" min:"0"`

	// How many handshakes one address may make in a second, on average; more are answered with 429.
	HandshakesPerSecond float64 `yaml:"handshakes_per_second" default:"0" min:"0"`
}

// Expiry is what happens to a connection whose credential ends, by its own time or because it was revoked.
type Expiry struct {
	// Whether it is closed, with code 4401, when the credential expires. A revoked one is closed in any case.
	Close bool `yaml:"close" default:"true"`

	// How long before that the client is sent a message about it, and at most half of the time that a renewed credential has
	// left. 0: no message.
	Warn Duration `yaml:"warn" default:"30s" min:"0s" max:"1h"`
}
