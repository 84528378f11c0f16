package config

import (
	"fmt"
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// Balance distributes connections and other requests over several servers. The authentication and the limits of the endpoint apply
// first: a rejected client reaches no server. The server chooses the subprotocol. By default the balancer forwards bytes
// unchanged, so max_message, ping_interval and compression of the endpoint have no effect. If messages or hold is set, the
// balancer forwards messages, and these keys apply.
type Balance struct {
	// The servers. A single word is the url of a server.
	To []Backend `yaml:"to" example:"[ws://10.0.0.1:9000, ws://10.0.0.2:9000]"`

	// Servers from the DNS, in addition to those under to.
	DNS DNS `yaml:"dns"`

	// A file with additional servers, one url per line, optionally followed by a weight and a capacity, such as weight=2 capacity=1000. The
	// file is read again when it changes.
	File Path `yaml:"file"`

	// How a server is chosen. power_of_two: of two random servers, the one with fewer connections; least_connections: the one with the
	// fewest connections; hash: the same server for the same key, unless that server has too many connections; round_robin: each in
	// turn. If unset: hash if there is a key, otherwise power_of_two.
	Policy string `yaml:"policy" enum:"power_of_two|least_connections|hash|round_robin" default:"power_of_two"`

	// The key for the policy hash: clients with the same key are on one server.
	Key AffinityKey `yaml:"key" default:"path" example:"query:room"`

	// A signed cookie that returns a client to its server.
	Sticky Sticky `yaml:"sticky"`

	// How long a new or recovered server gets less than its share of connections. The share begins with a tenth, and grows to the full
	// share.
	SlowStart Duration `yaml:"slow_start" default:"30s" min:"0s" max:"1h"`

	// The health checks of servers.
	Health Health `yaml:"health"`

	// The ejection of servers that repeatedly fail clients' handshakes.
	Ejection Ejection `yaml:"ejection"`

	// How many other servers the balancer tries, if a server cannot be reached or answers 502, 503 or 504, before the client gets an
	// error.
	Retries int `yaml:"retries" default:"2" min:"0" max:"10"`

	// The priorities when more clients connect than the servers can accept.
	Storm Storm `yaml:"storm"`

	// The queue of clients while every server is full.
	Queue Queue `yaml:"queue"`

	// The time limits.
	Timeouts BalanceTimeouts `yaml:"timeouts"`

	// How requests reach the servers.
	Request Rewrite `yaml:"request"`

	// TLS to servers whose url begins with wss.
	TLS BackendTLS `yaml:"tls"`

	// How connections are moved off a draining server.
	Drain Moving `yaml:"drain"`

	// Whether connections are moved to a new server after its slow start, until all servers have their share.
	Rebalance Rebalance `yaml:"rebalance"`

	// Whether messages are forwarded instead of bytes, and the rules for messages. Forwarding messages takes more memory and time, and
	// messages are not compressed between the balancer and the servers.
	Messages Messages `yaml:"messages"`

	// Whether clients stay connected when their server fails or drains.
	Hold Hold `yaml:"hold"`
}

// Backend is one server.
type Backend struct {
	// The URL: ws://host:port or wss://host:port. The URL is also the name of the server in the operator's commands.
	URL BackendURL `yaml:"url" short:"true" required:"true" example:"ws://10.0.0.1:9000"`

	// The server's share of the connections, relative to the other servers.
	Weight int `yaml:"weight" default:"1" min:"1" max:"1000"`

	// The maximum number of the server's connections. 0 means no limit.
	Capacity int `yaml:"capacity" default:"0" min:"0"`
}

// DNS finds servers by name.
type DNS struct {
	// A host and a port, such as ws://chat.internal:9000; each address of the host is a server. Or the name of SRV records, without a port,
	// such as ws://_ws._tcp.chat.internal.
	URL BackendURL `yaml:"url" short:"true" example:"ws://chat.internal:9000"`

	// The interval of lookups. While they fail, the list of servers does not change.
	Every Duration `yaml:"every" default:"10s" min:"1s" max:"1h"`
}

// Sticky is a cookie that returns a client to its server.
type Sticky struct {
	// The name of the cookie. Empty means no cookie.
	Cookie string `yaml:"cookie" short:"true" example:"handfast_server"`

	// The secret that signs the cookie, the same on all balancers. Empty means a secret that this process generates; then no other process
	// accepts the cookie.
	Secret Secret `yaml:"secret"`
}

// Health is the health check of servers.
type Health struct {
	// The check. tcp: the port accepts a connection; http: a GET is answered with 200, while 503 means that the server accepts no new
	// clients; websocket: a handshake succeeds, and a ping and a close are answered; off: only failed handshakes of clients count.
	Check string `yaml:"check" short:"true" enum:"off|tcp|http|websocket" default:"tcp"`

	// The path that http and websocket request.
	Path string `yaml:"path" default:"/" example:"/readyz"`

	// The interval of checks. If a result differs from the previous one, the next check follows after a fifth of the interval.
	Every Duration `yaml:"every" default:"5s" min:"100ms" max:"1h"`

	// The time limit for an answer.
	Timeout Duration `yaml:"timeout" default:"2s" min:"10ms" max:"1m"`

	// How many failures in a row mark a server as down.
	Fall int `yaml:"fall" default:"3" min:"1" max:"100"`

	// How many successes in a row mark a server as available again.
	Rise int `yaml:"rise" default:"2" min:"1" max:"100"`
}

// Ejection excludes a server for some time after several clients' handshakes in a row have failed.
type Ejection struct {
	// How many failures in a row eject a server. 0 means that servers are never ejected.
	Failures int `yaml:"failures" default:"5" min:"0" max:"1000"`

	// How long the first ejection lasts. The duration doubles with each further ejection in a row, up to thirty times the first.
	For Duration `yaml:"for" default:"10s" min:"100ms" max:"1h"`

	// The maximum share of the servers that may be ejected, in percent.
	MaxPercent int `yaml:"max_percent" default:"50" min:"0" max:"100"`
}

// Storm is a period in which more clients connect than the servers can accept. The balancer then admits as many handshakes per second as
// the servers answer in time, at least 1000; the other clients get 503 with Retry-After. Clients that continue a session have priority over
// new ones.
type Storm struct {
	// The parts of a request that mark the continuation of a session. The sticky cookie and a resumed TLS session also mark it.
	Resuming Resuming `yaml:"resuming"`
}

// Resuming names parts of a request. A request with one of these parts, with any value, has priority, and no other advantage.
type Resuming struct {
	// A header field. Empty means none.
	Header string `yaml:"header" short:"true" example:"X-Resume"`

	// A parameter of the query. Empty means none.
	Query string `yaml:"query" example:"sid"`

	// A cookie. Empty means none.
	Cookie string `yaml:"cookie" example:"session"`
}

// Queue holds handshakes until a server has room.
type Queue struct {
	// The maximum number of waiting clients; further ones are answered with 503.
	Max int `yaml:"max" default:"0" min:"0" max:"1000000"`

	// The maximum wait of a client.
	Timeout Duration `yaml:"timeout" default:"2s" min:"10ms" max:"7s"`
}

// BalanceTimeouts are the time limits of a connection to a server. A handshake takes 8 s at most, including retries and
// waits.
type BalanceTimeouts struct {
	// The time limit for opening the connection.
	Connect Duration `yaml:"connect" default:"2s" min:"10ms" max:"7s"`

	// The time limit for the server's answer to the handshake.
	Handshake Duration `yaml:"handshake" default:"5s" min:"10ms" max:"7s"`

	// The interval of pings to a silent client or server; the connection is closed after twice this time without data. 0 means no pings if
	// bytes are forwarded, and ping_interval of the endpoint if messages are forwarded.
	Ping Duration `yaml:"ping" default:"0s" min:"0s" max:"1h" example:"25s"`

	// The maximum time without data; the pongs that the pings cause do not count as data. 0 means no limit.
	Idle Duration `yaml:"idle" default:"0s" min:"0s" max:"24h"`

	// The maximum lifetime of a connection, which is then closed with 1001. The lifetime of each connection is shorter by a random amount
	// of up to a tenth, so that clients that connected at the same time do not reconnect at the same time. 0 means no limit.
	Lifetime Duration `yaml:"lifetime" default:"0s" min:"0s" max:"8760h"`
}

// Rewrite changes requests for the servers. X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and Forwarded (RFC 7239) carry the
// client's address; fields of these names from the client are removed.
type Rewrite struct {
	// The Host header. client: the client's Host, so that a server recognizes pages of its own origin; server: the host in the server's
	// url.
	Host string `yaml:"host" enum:"client|server" default:"client"`

	// The prefix that is removed from the path. Empty means none.
	StripPrefix string `yaml:"strip_prefix" example:"/ws"`

	// The prefix that is added to the path after strip_prefix was removed.
	AddPrefix string `yaml:"add_prefix" example:"/app"`

	// The header field for the authenticated user. A field of this name from the client is removed.
	UserHeader string `yaml:"user_header" example:"X-User"`

	// A signed token that identifies the user. With the token, a server can verify that the request is from the balancer.
	Identity SignedIdentity `yaml:"identity"`

	// Header fields to set. Fields of these names from the client are removed. The values count as secrets: they may be passwords or keys.
	Header map[string]Secret `yaml:"header" secret:"true"`

	// The PROXY protocol in front of each connection to a server: off, v1 or v2.
	ProxyProtocol string `yaml:"proxy_protocol" enum:"off|v1|v2" default:"off"`
}

// SignedIdentity is a header field with the client's identity as a JSON Web Token: sub, method (the authentication method), aud, iat, exp,
// iss, and the listed claims. Requests of anonymous clients have no token. A field of this name from the client is removed.
type SignedIdentity struct {
	// The header field. In Authorization the token follows the word Bearer. Empty means no token.
	Header string `yaml:"header" example:"X-Handfast-Identity"`

	// The secret for HS256, 32 bytes or more. A server that has the secret can also issue such tokens.
	Secret Secret `yaml:"secret"`

	// Instead of a secret, a file with a private key in PEM: Ed25519, ECDSA with P-256, or RSA. The servers need only the public
	// key.
	KeyFile Path `yaml:"key_file" example:"balancer.pem" secret:"true"`

	// The lifetime of a token. A server checks the token only when the connection is opened.
	TTL Duration `yaml:"ttl" default:"30s" min:"1s" max:"1h"`

	// The audience, aud. Empty means the URL of the server that gets the token, such as ws://10.0.0.1:9000; then the token is not valid at
	// another server.
	Audience string `yaml:"audience" example:"chat"`

	// The issuer, iss. Empty means none.
	Issuer string `yaml:"issuer" example:"handfast"`

	// The claims of the client's credential to include, if present.
	Claims []string `yaml:"claims" example:"[roles]"`
}

// check checks the key of signed identities.
func (s *SignedIdentity) check(k *checker, path string) {
	switch given := !s.Secret.Empty() || s.KeyFile != ""; {
	case s.Header == "" && given:
		k.tree.Wrong(path+".header", "required", "the field for the token, such as X-Handfast-Identity")
	case s.Header == "":
	case !validHeader(s.Header):
		k.tree.Wrong(path+".header", tree.Quote(s.Header)+" cannot be a header field", "letters, digits and -")
	case !s.Secret.Empty() && s.KeyFile != "":
		k.tree.Wrong(path+".key_file", "secret is also given", "one of secret and key_file")
	case !given:
		k.tree.Wrong(path+".secret", "one of secret and key_file is required", "a secret of 32 bytes or more, or a file with a private key")
	case s.KeyFile == "" && len(s.Secret.Reveal()) < 32:
		k.tree.Wrong(path+".secret", fmt.Sprintf("the secret has %d bytes", len(s.Secret.Reveal())), "32 bytes or more for HS256 (RFC 7518 §3.2)")
	}
}

// BackendTLS is TLS to servers.
type BackendTLS struct {
	// The certificate authority, a PEM file. Empty means the system's authorities.
	CA Path `yaml:"ca"`

	// The expected name in the certificate. Empty means the host of the url.
	ServerName string `yaml:"server_name"`

	// A client certificate, a PEM file. Empty means none.
	Cert Path `yaml:"cert"`

	// The private key of cert, a PEM file.
	Key Path `yaml:"key" secret:"true"`
}

// Moving is the pace at which clients get a close frame, so that they reconnect to another server.
type Moving struct {
	// The number of connections per second.
	PerSecond float64 `yaml:"per_second" short:"true" default:"100" min:"0.1" max:"100000"`

	// The code of the close frame. 0 means 1012, or for the protocols of Pusher and Centrifugo the code that their clients expect.
	Code int `yaml:"code" default:"0" enum:"0|1000|1001|1012|1013"`
}

// Rebalance moves connections to servers that have fewer.
type Rebalance struct {
	// Whether connections are moved.
	Enabled bool `yaml:"enabled" short:"true" default:"false"`

	// The percentage by which a server may exceed its share.
	Spread int `yaml:"spread" default:"20" min:"1" max:"1000"`

	// The maximum share of a server's connections that are moved in one step, in percent.
	Percentage int `yaml:"percentage" default:"10" min:"1" max:"100"`

	// The number of connections per second.
	PerSecond float64 `yaml:"per_second" default:"20" min:"0.1" max:"100000"`

	// Which connections are moved first: newest or oldest.
	First string `yaml:"first" enum:"newest|oldest" default:"newest"`
}

// Messages are the rules for messages. If messages are forwarded, max_message, ping_interval, compression and the limits on messages of the
// endpoint also apply.
type Messages struct {
	// Whether messages are forwarded. Setting types implies this.
	Enabled bool `yaml:"enabled" short:"true" default:"false"`

	// The types that a client may send; another type closes the connection with 1003. Empty means both.
	Types []string `yaml:"types" enum:"text|binary"`

	// The maximum size of a message from a server. For messages from clients, max_message of the endpoint applies; a larger message closes
	// the connection with 1009.
	MaxFromServer Bytes `yaml:"max_from_server" default:"16MiB" min:"1" max:"1GiB"`
}

// Carried reports whether messages are forwarded.
func (m *Messages) Carried() bool { return m.Enabled || len(m.Types) > 0 }

// Hold keeps clients connected when their server fails or drains: a connection continues on another server, between two messages. Hold
// implies that messages are forwarded.
type Hold struct {
	// The clients that stay connected. off: none. resume: those of a protocol that the balancer can resume, handfast.v1.json and
	// Centrifugo. stateless: all others as well, for servers that keep no state for a connection; messages in transit to a server
	// that fails are lost.
	Mode string `yaml:"mode" short:"true" enum:"off|resume|stateless" default:"off"`

	// How long a client may be without a server; after that, the connection is closed with 1012. In the meantime nothing is read from the
	// client.
	Wait Duration `yaml:"wait" default:"10s" min:"100ms" max:"5m"`
}

// check checks the settings as a whole.
func (b *Balance) check(k *checker, _ *Endpoint, path string) {
	path += ".target.balance"
	if len(b.To) == 0 && b.DNS.URL == "" && b.File == "" && !k.tree.Failed(path+".to") {
		k.tree.Wrong(path+".to", "there is no server", "to, dns or file")
	}
	seen := map[BackendURL]bool{}
	for i, s := range b.To {
		if s.URL != "" && seen[s.URL] {
			k.tree.Wrong(fmt.Sprintf("%s.to[%d].url", path, i), "the server is already in the list", "each server once")
		}
		seen[s.URL] = true
	}
	for i, s := range b.To {
		if strings.Contains(string(s.URL), "://_") {
			k.tree.Wrong(fmt.Sprintf("%s.to[%d].url", path, i), "the host is a name of SRV records", "the setting dns, which looks up such names")
		}
	}
	if b.Policy != "hash" && k.c.source.Given(path+".key") && !k.tree.Failed(path+".key") {
		k.tree.Wrong(path+".key", fmt.Sprintf("the policy %s does not use a key", b.Policy), "policy: hash, or no key")
	}
	if c := b.Sticky.Cookie; c != "" && !validHeader(c) {
		k.tree.Wrong(path+".sticky.cookie", tree.Quote(c)+" cannot be the name of a cookie", "letters, digits, - and _")
	}
	if (b.TLS.Cert == "") != (b.TLS.Key == "") {
		k.tree.Wrong(path+".tls", "cert and key must be set together", "both; one file may contain the certificate and the key")
	}
	b.Request.check(k, path+".request")
}

// check checks the settings for changing requests.
func (r *Rewrite) check(k *checker, path string) {
	for key, prefix := range map[string]string{"strip_prefix": r.StripPrefix, "add_prefix": r.AddPrefix} {
		if prefix != "" && (prefix[0] != '/' || strings.ContainsAny(prefix, "?#% \t\r\n") || strings.Contains(prefix+"/", "/../")) {
			k.tree.Wrong(path+"."+key, tree.Quote(prefix)+" is not a path prefix", "a path such as /app")
		}
	}
	if r.UserHeader != "" && !validHeader(r.UserHeader) {
		k.tree.Wrong(path+".user_header", tree.Quote(r.UserHeader)+" cannot be a header field", "letters, digits and -")
	}
	if id := r.Identity.Header; id != "" && strings.EqualFold(id, r.UserHeader) {
		k.tree.Wrong(path+".identity.header", "user_header has the same name", "another name")
	}
	r.Identity.check(k, path+".identity")
	for name, value := range r.Header {
		if !validHeader(name) || strings.ContainsAny(value.Reveal(), "\r\n\x00") {
			k.tree.Wrong(path+".header", tree.Quote(name)+" cannot be a header field", "names of letters, digits and -, and values of one line")
		}
	}
}

func init() { registerTarget[Balance]("balance") }
