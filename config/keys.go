package config

import "github.com/handfast/handfast/config/internal/tree"

// Config is everything that a server does. [Default] and [Load] make one; the zero value is none.
//
// It is not changed once it has been made. A reload makes another, and [Diff] says what is different.
type Config struct {
	// The addresses to listen on. Each has its own TLS; all of them serve the same endpoints.
	Listen []Listen `yaml:"listen"`

	// The proxies in front of this server, as addresses or networks: 10.0.0.0/8. The headers Forwarded (RFC 7239),
	// X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host count only in requests from them. Empty: there are none.
	TrustedProxies []Prefix `yaml:"trusted_proxies" example:"[10.0.0.0/8]"`

	// What a request may cost before it is understood.
	HTTP HTTP `yaml:"http"`

	// Whether / is a page to try the endpoints with. It shows their paths to everybody. It is on in a server without a file.
	Console bool `yaml:"console" default:"false"`

	// The listener for those who run the server: /livez, /readyz, /metrics, /info, /connections, /handshakes,
	// /channels.
	Admin Admin `yaml:"admin"`

	// Ways to find out who a client is, by a name of your choice. An endpoint lists the names that it accepts.
	Auth map[string]*Method `yaml:"auth"`

	// Where what several nodes must agree on is kept: tickets that were used, identities that were revoked.
	Store Store `yaml:"store"`

	// Where a client ends its own session: all connections of its user are closed.
	Logout Logout `yaml:"logout"`

	// What is served: each endpoint is a path, who may use it, and what it does. There has to be one; only a server
	// without a file has a default, an echo at /echo and channels at /channels, both for everybody.
	Endpoints []Endpoint `yaml:"endpoints"`

	// The applications whose channels are served. An endpoint with channels belongs to one of them, or to all. Only a server
	// without a file has a default: the application dev.
	Apps []App `yaml:"apps"`

	// Where the events of channels are posted to: who has connected and subscribed, what was published. Empty: nowhere.
	Webhooks []Webhook `yaml:"webhooks"`

	// The rules of channels, for endpoints that have them.
	Hub Hub `yaml:"hub"`

	// The bounds of the whole server. Those of an endpoint come on top.
	Limits Limits `yaml:"limits"`

	// The memory of handshakes that were refused, for /handshakes on the admin listener.
	Handshakes Handshakes `yaml:"handshakes"`

	// What happens, on standard error.
	Log Log `yaml:"log"`

	// Who connected, from where, what was decided by which rule, how it ended: one line each, in a stream of its own.
	Audit Audit `yaml:"audit"`

	// How the server ends.
	Drain Drain `yaml:"drain"`

	source *tree.Tree // where the values come from; nil: all are defaults
}

// HTTP bounds a request until it is understood. A WebSocket has the bounds of its endpoint from then on.
type HTTP struct {
	// How long the head of a request may take.
	HeadTimeout Duration `yaml:"head_timeout" default:"10s" min:"100ms" max:"5m"`

	// How large the head of a request may be.
	MaxHead Bytes `yaml:"max_head" default:"32KiB" min:"1KiB" max:"1MiB"`

	// How long a TLS handshake may take.
	TLSTimeout Duration `yaml:"tls_timeout" default:"10s" min:"100ms" max:"5m"`
}

// Admin is the listener for those who run the server.
type Admin struct {
	// Where to listen: host:port. Without a host it is 127.0.0.1; off: there is no such listener. An address that other
	// machines can reach needs a token.
	Address Address `yaml:"address" default:"off" example:"127.0.0.1:9090"`

	// What a request has to bring as "Authorization: Bearer TOKEN". /livez and /readyz need none. Empty: nothing is asked.
	Token Secret `yaml:"token"`

	// Whether the profiles of net/http/pprof are under /debug/pprof/.
	Pprof bool `yaml:"pprof" default:"false"`
}

// Store is where nodes keep what they must agree on. Exactly one of its keys is given.
type Store struct {
	// In this process: right for one node, forgotten when it ends.
	Memory *MemoryStore `yaml:"memory" only:"one"`

	// In Redis 6.2 or newer, or what speaks its protocol: all nodes with the same server and prefix are one.
	Redis *RedisStore `yaml:"redis"`
}

// MemoryStore has no settings.
type MemoryStore struct{}

// RedisStore is a Redis server.
type RedisStore struct {
	// Where it is: redis://user:password@host:6379/0, or rediss:// for TLS.
	URL Secret `yaml:"url" required:"true" example:"redis://127.0.0.1:6379/0"`

	// What every key and channel begins with.
	Prefix string `yaml:"prefix" default:"handfast:"`

	// How long one request to it may take. What cannot be asked is refused with 503.
	Timeout Duration `yaml:"timeout" default:"2s" min:"10ms" max:"1m"`
}

// Logout is an HTTP endpoint that closes all connections of the user who asks.
type Logout struct {
	// Where: a POST to this path. Empty: there is none.
	Path string `yaml:"path" example:"/logout"`

	// Who may ask: as in an endpoint, without anonymous.
	Auth []AuthRef `yaml:"auth" example:"[users]"`

	// The web origins whose pages may ask, in addition to the server's own.
	Origins Origins `yaml:"origins"`
}

// Limits are the bounds of the whole server. 0 means no bound.
type Limits struct {
	// How many WebSockets may be open; further ones are answered with 503. The first time is logged.
	Connections int `yaml:"connections" default:"10000" min:"0"`

	// How many WebSockets one address may have open; further ones are answered with 429. An IPv6 address counts as its /64.
	ConnectionsPerAddress int `yaml:"connections_per_address" default:"0" min:"0"`

	// How many handshakes one address may make in a second, on average; more are answered with 429.
	HandshakesPerSecond float64 `yaml:"handshakes_per_second" default:"0" min:"0"`

	// How many connections may wait for a complete request: in the TLS handshake, in the head or the body of a request,
	// or idle after one that was for a page. When there are more, one is cut: the oldest one of the address that has the
	// most of them.
	PendingHandshakes int `yaml:"pending_handshakes" default:"4096" min:"0"`

	// How many credentials one method that has to wait (for a service, an issuer's keys, a password's hash) may check
	// concurrently, for each endpoint; further clients with a credential of that kind wait for a moment and are answered
	// with 503. Clients that use other methods are not affected.
	AuthCalls int `yaml:"auth_calls" default:"256" min:"0"`
}

// Handshakes is the memory of what was refused.
type Handshakes struct {
	// How many of the last refused handshakes are kept, without credentials. 0: none.
	Keep int `yaml:"keep" default:"100" min:"0" max:"10000"`
}

// Log is the log of the server, on standard error.
type Log struct {
	// The form of a line.
	Format string `yaml:"format" default:"text" enum:"text|json"`

	// What is worth a line.
	Level string `yaml:"level" default:"info" enum:"debug|info|warn|error"`
}

// Audit is the log of who did what. It never holds a credential.
type Audit struct {
	// Where it goes; file: the one that is named below, which is the default when there is one.
	To string `yaml:"to" short:"true" default:"off" enum:"off|stdout|stderr|file"`

	// The file, which is made for its owner alone and appended to; on SIGHUP it is opened anew by its
	// path, so that it can be rotated; another path takes effect with the next start.
	File Path `yaml:"file" example:"audit.log" made:"true"`

	// The form of a line.
	Format string `yaml:"format" default:"json" enum:"json|text"`
}

// Drain is how the server ends: on SIGTERM it says that it is not ready, waits, refuses new handshakes, and closes the
// connections. A second signal ends it immediately.
type Drain struct {
	// How long it goes on as before while /readyz answers 503 already, so that a balancer can take notice. Where another
	// process has the listening socket, too, clients stay for that time, and new ones go there.
	Delay Duration `yaml:"delay" default:"0s" min:"0s" max:"24h"`

	// The time over which connections are closed, in random order, so that clients do not all reconnect together. A few
	// take less: there are no more than 10 ms between one and the next. Without this key it is at most half of the timeout.
	Spread Duration `yaml:"spread" default:"5s" min:"0s" max:"1h"`

	// How long it all may take, delay excluded; what is left then is cut. Without this key it is longer than the spread.
	Timeout Duration `yaml:"timeout" default:"10s" min:"0s" max:"1h"`

	// The close code: 1001, going away, or 1012, service restart, after which some clients reconnect.
	Code int `yaml:"code" default:"1001" enum:"1001|1012"`

	// The Retry-After of refused handshakes.
	RetryAfter Duration `yaml:"retry_after" default:"5s" min:"0s" max:"1h"`
}
