package config

import "github.com/handfast/handfast/config/internal/tree"

// Config is the configuration of a server. [Default] and [Load] return one; the zero value is not valid.
//
// It must not be changed once it was created. A reload creates another one, and [Diff] returns the differences.
type Config struct {
	// The addresses to listen on. Each address has its own TLS settings; all addresses serve the same endpoints.
	Listen []Listen `yaml:"listen"`

	// The proxies in front of this server, as addresses or networks: 10.0.0.0/8. The headers Forwarded (RFC 7239), X-Forwarded-For,
	// X-Forwarded-Proto and X-Forwarded-Host count only in requests from these proxies. Empty means none.
	TrustedProxies []Prefix `yaml:"trusted_proxies" example:"[10.0.0.0/8]"`

	// Limits for a request before its endpoint is known.
	HTTP HTTP `yaml:"http"`

	// Whether the server has a page at / for trying out the endpoints. The page shows the paths of the endpoints to every visitor.
	// Without a configuration file the default is true, unless an endpoint has the path /.
	Console bool `yaml:"console" default:"false"`

	// The listener for operators: /livez, /readyz, /metrics, /info, /connections, /handshakes,
	// /channels.
	Admin Admin `yaml:"admin"`

	// Authentication methods, by names of your choice. An endpoint lists the names that it accepts.
	Auth map[string]*Method `yaml:"auth"`

	// The store for state that several nodes share: used tickets and revoked identities.
	Store Store `yaml:"store"`

	// The path at which clients end their own session: all connections of the user are closed.
	Logout Logout `yaml:"logout"`

	// The endpoints: each has a path, the clients that may use it, and a target. At least one endpoint is required. Without a
	// configuration file, the defaults are an echo at /echo and channels at /channels, both for all clients.
	Endpoints []Endpoint `yaml:"endpoints"`

	// The applications with channels. An endpoint with channels serves the channels of one application, or of all applications.
	// Without a configuration file, the default is one application named dev.
	Apps []App `yaml:"apps"`

	// Where the events of channels, such as connections, subscriptions and publications, are posted. Empty means nowhere.
	Webhooks []Webhook `yaml:"webhooks"`

	// The settings of channels, for endpoints that have them.
	Hub Hub `yaml:"hub"`

	// The limits of the whole server. The limits of an endpoint apply in addition to these limits.
	Limits Limits `yaml:"limits"`

	// The record of rejected handshakes, which the admin listener shows at /handshakes.
	Handshakes Handshakes `yaml:"handshakes"`

	// The log, on standard error.
	Log Log `yaml:"log"`

	// The audit log, a separate stream: who connected and from where, the decision and its rule, how each connection ended, and
	// administrative actions.
	Audit Audit `yaml:"audit"`

	// How the server shuts down.
	Drain Drain `yaml:"drain"`

	source *tree.Tree // the sources of the values; nil if all are defaults
}

// HTTP limits a request until its head is parsed. After that, the limits of the endpoint apply.
type HTTP struct {
	// How long a client may take to send the head of a request.
	HeadTimeout Duration `yaml:"head_timeout" default:"10s" min:"100ms" max:"5m"`

	// The maximum size of the head of a request.
	MaxHead Bytes `yaml:"max_head" default:"32KiB" min:"1KiB" max:"1MiB"`

	// How long a TLS handshake may take.
	TLSTimeout Duration `yaml:"tls_timeout" default:"10s" min:"100ms" max:"5m"`
}

// Admin is the listener for operators.
type Admin struct {
	// The address, host:port. The default host is 127.0.0.1; off means that there is no admin listener. An address that other
	// machines can reach requires a token.
	Address Address `yaml:"address" default:"off" example:"127.0.0.1:9090"`

	// The token that requests must have, as "Authorization: Bearer TOKEN". Requests for /livez and /readyz need no token. Empty means
	// that no request needs a token.
	Token Secret `yaml:"token"`

	// Whether the listener serves the profiles of net/http/pprof at /debug/pprof/.
	Pprof bool `yaml:"pprof" default:"false"`
}

// Store contains the state that nodes share. Exactly one of its keys must be given.
type Store struct {
	// The memory of this process. The state is not shared with other nodes, and is lost when the process exits.
	Memory *MemoryStore `yaml:"memory" only:"one"`

	// Redis 6.2 or newer, or a compatible server. All nodes with the same server and prefix share the store.
	Redis *RedisStore `yaml:"redis"`
}

// MemoryStore has no settings.
type MemoryStore struct{}

// RedisStore is a Redis server.
type RedisStore struct {
	// The URL: redis://user:password@host:6379/0, or rediss:// for TLS.
	URL Secret `yaml:"url" required:"true" example:"redis://127.0.0.1:6379/0" secret:"userinfo"`

	// The prefix of every key and channel.
	Prefix string `yaml:"prefix" default:"handfast:"`

	// The time limit for one request. Clients whose state cannot be checked are rejected with 503.
	Timeout Duration `yaml:"timeout" default:"2s" min:"10ms" max:"1m"`
}

// Logout is an HTTP endpoint that closes all connections of the user who sends the request.
type Logout struct {
	// The path, for POST requests. Empty means that there is no logout.
	Path string `yaml:"path" example:"/logout"`

	// The methods that authenticate the request, in the same form as for an endpoint. anonymous is not allowed.
	Auth []AuthRef `yaml:"auth" example:"[users]"`

	// The web origins whose pages may send the request, in addition to the server's own.
	Origins Origins `yaml:"origins"`
}

// Limits are the bounds of the whole server. 0 means no limit.
type Limits struct {
	// How many WebSockets may be open; further ones are answered with 503. The first rejection is logged.
	Connections int `yaml:"connections" default:"10000" min:"0"`

	// How many WebSockets one address may have open; further ones are answered with 429. An IPv6 address counts as its /64. A client behind
	// trusted proxies counts by its own address; the proxies themselves have no limit. Loopback addresses are limited only if this key is
	// set.
	ConnectionsPerAddress int `yaml:"connections_per_address" default:"1000" min:"0"`

	// How many handshakes one address may make per second on average; further handshakes are answered with 429.
	HandshakesPerSecond float64 `yaml:"handshakes_per_second" default:"0" min:"0"`

	// How many connections may wait for a complete request: in the TLS handshake, in the head or the body of a request, or idle after a
	// request for a page. If there are more, the oldest such connection of the address with the most such connections is cut.
	PendingHandshakes int `yaml:"pending_handshakes" default:"4096" min:"0"`

	// How many credentials a method that has to wait for a service, for an issuer's keys or for a password's hash may check concurrently.
	// The limit applies to each such method of each endpoint. Further clients with a credential for the method wait briefly, and are
	// answered with 503 if the method is still busy. Clients that use other methods are not affected.
	AuthCalls int `yaml:"auth_calls" default:"256" min:"0"`
}

// CountsLoopback reports whether limits.connections_per_address was given. If so, the limit also applies to programs on this machine.
func (c *Config) CountsLoopback() bool { return c.tree().Given("limits.connections_per_address") }

// Handshakes is the record of rejected handshakes.
type Handshakes struct {
	// How many of the last rejected handshakes are kept, without credentials. 0 means none.
	Keep int `yaml:"keep" default:"100" min:"0" max:"10000"`
}

// Log is the log of the server, on standard error.
type Log struct {
	// The format of a line.
	Format string `yaml:"format" default:"text" enum:"text|json"`

	// The lowest logged level.
	Level string `yaml:"level" default:"info" enum:"debug|info|warn|error"`
}

// Audit is the log of connections and of administrative actions. The log never contains a credential.
type Audit struct {
	// The destination. file: the file that the key file names. If unset: file if the key file is set, otherwise off.
	To string `yaml:"to" short:"true" default:"off" enum:"off|stdout|stderr|file"`

	// The file to which lines are appended. If it does not exist, it is created, readable by its owner only. On SIGHUP it is reopened by
	// its path, so that it can be rotated. A change of the path takes effect at the next start.
	File Path `yaml:"file" example:"audit.log" made:"true"`

	// The format of a line.
	Format string `yaml:"format" default:"json" enum:"json|text"`
}

// Drain is how the server shuts down: on SIGTERM it reports that it is not ready, waits, rejects new handshakes, and closes the
// connections. A second signal ends it immediately.
type Drain struct {
	// How long the server continues to serve while /readyz already answers 503, so that a balancer can notice. If another process listens
	// on the same socket, connected clients stay for that time, and new clients connect to the other process.
	Delay Duration `yaml:"delay" default:"0s" min:"0s" max:"24h"`

	// The time over which connections are closed, in random order, so that clients do not all reconnect at the same time. A small number of
	// connections is closed faster, with at most 10 ms for each. If unset, the time is at most half of the timeout.
	Spread Duration `yaml:"spread" default:"5s" min:"0s" max:"1h"`

	// The time limit for the shutdown, excluding the delay; remaining connections are then cut. If unset, the limit is longer than the
	// spread.
	Timeout Duration `yaml:"timeout" default:"10s" min:"0s" max:"1h"`

	// The close code: 1001, going away, or 1012, service restart, after which some clients reconnect.
	Code int `yaml:"code" default:"1001" enum:"1001|1012"`

	// The Retry-After of rejected handshakes.
	RetryAfter Duration `yaml:"retry_after" default:"5s" min:"0s" max:"1h"`
}
