package config

// Endpoint is a path with the clients that may use it and a target.
type Endpoint struct {
	// The name in rules, logs and metrics. Empty means the path of the endpoint.
	Name string `yaml:"name" id:"true" example:"chat"`

	// The path: /chat matches that path only, /chat/{room} any single segment after /chat/, and /chat/ any path that begins with it.
	// If two endpoints match, the more specific one is used.
	Path string `yaml:"path" required:"true" example:"/chat/{room}"`

	// The host names, without a port, of the requests that the endpoint matches. Empty means all. If two endpoints match, the endpoint that
	// names the host is used.
	Hosts []string `yaml:"hosts" example:"[chat.example.com]"`

	// The target of connections. A single word selects a target without settings: "target: echo".
	Target Target `yaml:"target" required:"true" example:"echo"`

	// The methods that authenticate clients: names from auth, or inline methods. They are tried in this order until one finds its kind of
	// credential. anonymous admits clients without a credential; it must be last, and is never implied.
	Auth []AuthRef `yaml:"auth" required:"true" example:"[anonymous]"`

	// The rules for authenticated clients: the first rule that matches decides. If none matches, the action is denied, except that
	// without rules every authenticated client may connect.
	Rules []Rule `yaml:"rules"`

	// The web origins whose pages may connect in addition to the server's own; any: all origins, so that every page that a user opens
	// can connect with the user's cookies and certificates. Clients other than browsers are not affected.
	Origins Origins `yaml:"origins" example:"[https://app.example.com]"`

	// The supported subprotocols, the preferred one first.
	Subprotocols []string `yaml:"subprotocols"`

	// Compression of messages (RFC 7692). "compression: true" is enough.
	Compression Compression `yaml:"compression"`

	// The largest accepted message, after decompression. If unset, the limit is not more than ten times limits.bytes_per_second.
	MaxMessage Bytes `yaml:"max_message" default:"1MiB" min:"1" max:"1GiB"`

	// The interval of pings to a silent client, whose connection is closed after twice this time without data. Many networks drop
	// a connection after 30 to 60 seconds of silence.
	PingInterval Duration `yaml:"ping_interval" default:"25s" min:"100ms" max:"1h"`

	// How long an open connection may go without a message in either direction; then it is closed with 1000. Pings do not count as
	// messages. 0 means no limit, which suits applications whose clients only listen, since pings detect lost clients.
	IdleTimeout Duration `yaml:"idle_timeout" default:"0s" min:"0s" max:"168h" example:"30m"`

	// The limits of the endpoint, in addition to the server's.
	Limits EndpointLimits `yaml:"limits"`

	// The handling of connections whose credential expires.
	Expiry Expiry `yaml:"expiry"`
}

// Patterns returns the patterns of the endpoint's requests, for ServeMux of net/http.
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

// Rule allows or denies an action. The first rule that matches decides.
type Rule struct {
	// The condition, an expression (https://expr-lang.org/docs/language-definition): '"admin" in claims.roles', 'channel
	// startsWith "team-" + user'. Its variables are user, method, claims, action, endpoint and channel. Empty means always.
	When string `yaml:"when" expression:"true" example:"'\"admin\" in claims.roles'"`

	// The decision.
	Do string `yaml:"do" required:"true" enum:"allow|deny" example:"allow"`

	// The actions that the rule matches. Empty means all.
	Actions []string `yaml:"actions" enum:"connect|subscribe|publish|presence|history|delete"`

	// The channels that the rule matches, in which * matches anything: news-*. A rule with channels does not apply to connect.
	// Empty means all.
	Channels []string `yaml:"channels"`
}

// Compression is the compression of messages. Compression costs time and memory on both sides, and an attacker who can choose a part of a
// message and see the compressed length can guess the rest (the BREACH attack).
type Compression struct {
	// Whether compression is negotiated with clients.
	Enabled bool `yaml:"enabled" short:"true" default:"false"`

	// Whether a message may refer to earlier messages. This makes messages smaller, and takes up to 8 KiB per connection, or 36 KiB with
	// some clients.
	Takeover bool `yaml:"takeover" default:"false"`

	// The minimum size of messages that are compressed.
	Threshold Bytes `yaml:"threshold" default:"128" min:"0"`
}

// EndpointLimits are the limits of one endpoint. 0 means that only the server's limit applies.
type EndpointLimits struct {
	// How many WebSockets may be open; further ones are answered with 503.
	Connections int `yaml:"connections" default:"0" min:"0"`

	// How many WebSockets one identity may have open; further ones are answered with 429. Anonymous clients have no identity.
	ConnectionsPerIdentity int `yaml:"connections_per_identity" default:"0" min:"0"`

	// How many WebSockets one address may have open; further ones are answered with 429. An IPv6 address counts as its /64.
	ConnectionsPerAddress int `yaml:"connections_per_address" default:"0" min:"0"`

	// How many handshakes one address may make per second on average; further handshakes are answered with 429.
	HandshakesPerSecond float64 `yaml:"handshakes_per_second" default:"0" min:"0"`

	// How many messages a client may send per second on average; a client that sends more is closed with 1008. 0 means no limit.
	MessagesPerSecond float64 `yaml:"messages_per_second" default:"0" min:"0" max:"1000000"`

	// How many bytes of messages, after decompression, a client may send per second on average; a client that sends more is closed
	// with 1008. At least a tenth of max_message. 0 means no limit.
	BytesPerSecond Bytes `yaml:"bytes_per_second" default:"0" min:"0" max:"1GiB" example:"64KiB"`

	// The maximum burst, as a duration: a client that has been silent for this long may send immediately what the two rates allow in that
	// time. A single message of max_message is always accepted after a pause.
	Burst Duration `yaml:"burst" default:"2s" min:"100ms" max:"10m"`
}

// Sending reports whether the messages of clients are limited.
func (l *EndpointLimits) Sending() bool { return l.MessagesPerSecond > 0 || l.BytesPerSecond > 0 }

// Expiry is the handling of connections whose credential expires or is revoked.
type Expiry struct {
	// Whether the connection is closed, with code 4401, when the credential expires. If the credential is revoked, the connection is always
	// closed.
	Close bool `yaml:"close" default:"true"`

	// How long before the expiry the client gets a warning. For a renewed credential, this time is at most half of the remaining lifetime.
	// 0 means no warning.
	Warn Duration `yaml:"warn" default:"30s" min:"0s" max:"1h"`
}
