package config

import (
	"fmt"
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// Balance carries connections to one of several servers, and other requests as well. What a client has to show, and the limits, are
// those of the endpoint: no server is asked for a client that is refused. The subprotocol is the server's choice. Bytes pass as they are, so
// that max_message, ping_interval and compression of the endpoint apply only where messages are carried, by messages or hold: otherwise the
// server answers for them.
type Balance struct {
	// The servers. A word alone is the url of one.
	To []Backend `yaml:"to" example:"[ws://10.0.0.1:9000, ws://10.0.0.2:9000]"`

	// Servers that are found by their name, in addition to those under to.
	DNS DNS `yaml:"dns"`

	// A file with further servers, one url a line, with weight=2 and capacity=1000 behind it where they differ from the default.
	// It is read again when it changes.
	File Path `yaml:"file"`

	// How a server is chosen. power_of_two: of two at random the one with fewer connections; least_connections: the one with
	// the fewest of all; hash: always the same one for the same key, unless it has too many; round_robin: each in turn.
	Policy string `yaml:"policy" enum:"power_of_two|least_connections|hash|round_robin" default:"power_of_two"`

	// What the policy hash goes by, so that clients that belong together are on one server.
	Key AffinityKey `yaml:"key" default:"path" example:"query:room"`

	// A client comes back to the server that it was on, by a signed cookie.
	Sticky Sticky `yaml:"sticky"`

	// How long a server that is new, or has recovered, gets less than its share, which grows from a tenth.
	SlowStart Duration `yaml:"slow_start" default:"30s" min:"0s" max:"1h"`

	// How it is checked which servers work.
	Health Health `yaml:"health"`

	// What happens to a server that fails clients.
	Ejection Ejection `yaml:"ejection"`

	// How many other servers are tried when one cannot be reached, or answers 502, 503 or 504, before the client sees anything.
	Retries int `yaml:"retries" default:"2" min:"0" max:"10"`

	// Who goes first when more clients connect than the servers can take.
	Storm Storm `yaml:"storm"`

	// Clients that wait while every server is full.
	Queue Queue `yaml:"queue"`

	// The bounds of time.
	Timeouts BalanceTimeouts `yaml:"timeouts"`

	// How requests reach the servers.
	Request Rewrite `yaml:"request"`

	// TLS to servers whose url begins with wss.
	TLS BackendTLS `yaml:"tls"`

	// How connections are moved off a server that is to be empty.
	Drain Moving `yaml:"drain"`

	// Whether connections are moved to a server that is new, once its slow start is over, until all have their share.
	Rebalance Rebalance `yaml:"rebalance"`

	// Whether it carries messages instead of bytes, and the rules for them. It costs more memory and time, and servers do not compress.
	Messages Messages `yaml:"messages"`

	// Whether a client stays connected when its server goes away.
	Hold Hold `yaml:"hold"`
}

// Backend is one server.
type Backend struct {
	// Where it is: ws://host:port or wss://host:port. What the operator's commands call it.
	URL BackendURL `yaml:"url" short:"true" required:"true" example:"ws://10.0.0.1:9000"`

	// Its share of the connections, relative to the others.
	Weight int `yaml:"weight" default:"1" min:"1" max:"1000"`

	// How many connections it may have. 0: no bound.
	Capacity int `yaml:"capacity" default:"0" min:"0"`
}

// DNS finds servers by a name.
type DNS struct {
	// A host and a port, each of whose addresses is a server: ws://chat.internal:9000. Or the name of SRV records, without a
	// port: ws://_ws._tcp.chat.internal.
	URL BackendURL `yaml:"url" short:"true" example:"ws://chat.internal:9000"`

	// How often it is asked. While it does not answer, the servers stay those that there were.
	Every Duration `yaml:"every" default:"10s" min:"1s" max:"1h"`
}

// Sticky is a cookie that leads a client back to its server.
type Sticky struct {
	// Its name. Empty: there is none.
	Cookie string `yaml:"cookie" short:"true" example:"handfast_server"`

	// What it is signed with, the same on all balancers. Empty: one that this process makes, so that it means nothing to another one.
	Secret Secret `yaml:"secret"`
}

// Health is how servers are checked.
type Health struct {
	// tcp: the port is open; http: a GET is answered with 200, and with 503 the server wants no new clients; websocket: a
	// handshake succeeds, a ping is answered and the close, too; off: only what happens to clients counts.
	Check string `yaml:"check" short:"true" enum:"off|tcp|http|websocket" default:"tcp"`

	// The path that http and websocket ask for.
	Path string `yaml:"path" default:"/" example:"/readyz"`

	// How often. When a result is not the one before, the next check comes after a fifth of this.
	Every Duration `yaml:"every" default:"5s" min:"100ms" max:"1h"`

	// How long an answer may take.
	Timeout Duration `yaml:"timeout" default:"2s" min:"10ms" max:"1m"`

	// How many failures in a row make a server down.
	Fall int `yaml:"fall" default:"3" min:"1" max:"100"`

	// How many successes in a row make it available again.
	Rise int `yaml:"rise" default:"2" min:"1" max:"100"`
}

// Ejection takes a server out of the choice after failures of clients' handshakes in a row.
type Ejection struct {
	// How many. 0: servers are not ejected.
	Failures int `yaml:"failures" default:"5" min:"0" max:"1000"`

	// How long the first time; twice as long each further time in a row, up to thirty times.
	For Duration `yaml:"for" default:"10s" min:"100ms" max:"1h"`

	// The largest part of the servers that may be ejected, in percent.
	MaxPercent int `yaml:"max_percent" default:"50" min:"0" max:"100"`
}

// Storm is a time in which more clients connect than the servers can take. The balancer admits as many handshakes a second as the servers
// answer in time, and 1000 at least; the others get 503 with Retry-After. Those that continue a session go before new ones.
type Storm struct {
	// What of a request shows that it continues a session. The sticky cookie and a resumed TLS session show it, too.
	Resuming Resuming `yaml:"resuming"`
}

// Resuming names parts of a request. One of them with any value is enough: a client gets nothing else for it than to go first.
type Resuming struct {
	// A header field. Empty: none.
	Header string `yaml:"header" short:"true" example:"X-Resume"`

	// A parameter of the query. Empty: none.
	Query string `yaml:"query" example:"sid"`

	// A cookie. Empty: none.
	Cookie string `yaml:"cookie" example:"session"`
}

// Queue is where handshakes wait for a server with room.
type Queue struct {
	// How many may wait; further ones are answered with 503.
	Max int `yaml:"max" default:"0" min:"0" max:"1000000"`

	// How long one may wait.
	Timeout Duration `yaml:"timeout" default:"2s" min:"10ms" max:"7s"`
}

// BalanceTimeouts are the bounds of time of a connection to a server. A handshake takes 8 s at most, with all that is tried and waited for.
type BalanceTimeouts struct {
	// Until it is open.
	Connect Duration `yaml:"connect" default:"2s" min:"10ms" max:"7s"`

	// Until the server has answered the handshake.
	Handshake Duration `yaml:"handshake" default:"5s" min:"10ms" max:"7s"`

	// How long the client or the server of a connection may be silent: then it is sent a ping, and the connection is closed when it has been silent
	// for twice as long. 0: no pings where bytes are carried, and ping_interval of the endpoint where messages are.
	Ping Duration `yaml:"ping" default:"0s" min:"0s" max:"1h" example:"25s"`

	// How long a connection may carry nothing at all, where with ping the pongs do not count. 0: forever.
	Idle Duration `yaml:"idle" default:"0s" min:"0s" max:"24h"`

	// How long a connection may last; then it is closed with 1001. Each gets up to a tenth less, at random, so that clients which
	// have come together do not come back together. 0: forever.
	Lifetime Duration `yaml:"lifetime" default:"0s" min:"0s" max:"8760h"`
}

// Rewrite is what the servers see of a request. X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and Forwarded (RFC 7239) say where the
// client is; what it has sent under these names is removed.
type Rewrite struct {
	// The Host: client, what the client has sent, so that a server knows pages of its own origin; or server, that of its url.
	Host string `yaml:"host" enum:"client|server" default:"client"`

	// What is taken off the beginning of the path. Empty: nothing.
	StripPrefix string `yaml:"strip_prefix" example:"/ws"`

	// What is put at the beginning of the path, after that.
	AddPrefix string `yaml:"add_prefix" example:"/app"`

	// The field with the user that the endpoint's auth has found. What a client sends under this name is removed.
	UserHeader string `yaml:"user_header" example:"X-User"`

	// The same in a token with a signature, which shows a server that the balancer has sent it.
	Identity SignedIdentity `yaml:"identity"`

	// Fields to set. What a client sends under these names is removed.
	Header map[string]string `yaml:"header"`

	// The PROXY protocol in front of each connection to a server: off, v1 or v2.
	ProxyProtocol string `yaml:"proxy_protocol" enum:"off|v1|v2" default:"off"`
}

// SignedIdentity is a field with who the client is, as a JSON Web Token: sub, method (how the endpoint's auth has found it out), aud, iat, exp,
// iss, and the claims that are named. Anonymous clients have none. What a client sends under this name is removed.
type SignedIdentity struct {
	// The field. Authorization: the token is behind the word Bearer. Empty: there is none.
	Header string `yaml:"header" example:"X-Handfast-Identity"`

	// The secret that it is signed with by HS256, 32 bytes or more. A server that has it can issue such tokens, too.
	Secret Secret `yaml:"secret"`

	// Instead of a secret, a file with a private key in PEM: Ed25519, ECDSA with P-256, or RSA. The servers need the public key only.
	KeyFile Path `yaml:"key_file" example:"balancer.pem"`

	// How long a token is valid: the server looks at it when the connection is opened.
	TTL Duration `yaml:"ttl" default:"30s" min:"1s" max:"1h"`

	// The audience, aud. Empty: the server that gets it, as in ws://10.0.0.1:9000, so that it is of no use at another one.
	Audience string `yaml:"audience" example:"chat"`

	// The issuer, iss. Empty: there is none.
	Issuer string `yaml:"issuer" example:"handfast"`

	// Which claims of the client's credential it has, where they are there.
	Claims []string `yaml:"claims" example:"[roles]"`
}

// check checks how an identity is signed.
func (s *SignedIdentity) check(k *checker, path string) {
	switch given := !s.Secret.Empty() || s.KeyFile != ""; {
	case s.Header == "" && given:
		k.Wrong(path+".header", "required", "the field that has the token, such as X-Handfast-Identity")
	case s.Header == "":
	case !validHeader(s.Header):
		k.Wrong(path+".header", tree.Quote(s.Header)+" cannot be a header field", "letters, digits and -")
	case !s.Secret.Empty() && s.KeyFile != "":
		k.Wrong(path+".key_file", "there is a secret, too", "one of secret and key_file")
	case !given:
		k.Wrong(path+".secret", "one of secret and key_file is needed", "a secret of 32 bytes or more, or a file with a private key")
	case s.KeyFile == "" && len(s.Secret.Reveal()) < 32:
		k.Wrong(path+".secret", fmt.Sprintf("it has %d bytes", len(s.Secret.Reveal())), "32 bytes or more for HS256 (RFC 7518 §3.2)")
	}
}

// BackendTLS is TLS to servers.
type BackendTLS struct {
	// The certificate authority, a PEM file. Empty: those that the system has.
	CA Path `yaml:"ca"`

	// The name that the certificate has. Empty: the host of the url.
	ServerName string `yaml:"server_name"`

	// A certificate to show, a PEM file. Empty: none.
	Cert Path `yaml:"cert"`

	// Its private key, a PEM file.
	Key Path `yaml:"key"`
}

// Moving is the pace at which clients get a close frame, so that they come back elsewhere.
type Moving struct {
	// How many in a second.
	PerSecond float64 `yaml:"per_second" short:"true" default:"100" min:"0.1" max:"100000"`

	// The code of the close frame. 0: 1012, or what a client of the protocols of Pusher or Centrifugo expects.
	Code int `yaml:"code" default:"0" enum:"0|1000|1001|1012|1013"`
}

// Rebalance moves connections to servers that have fewer.
type Rebalance struct {
	// Whether it does.
	Enabled bool `yaml:"enabled" short:"true" default:"false"`

	// How much more than its share a server may have, in percent.
	Spread int `yaml:"spread" default:"20" min:"1" max:"1000"`

	// How much of a server's connections may be moved in one go, in percent.
	Percentage int `yaml:"percentage" default:"10" min:"1" max:"100"`

	// How many in a second.
	PerSecond float64 `yaml:"per_second" default:"20" min:"0.1" max:"100000"`

	// Which first: newest or oldest.
	First string `yaml:"first" enum:"newest|oldest" default:"newest"`
}

// Messages are rules for messages. max_message, ping_interval and compression of the endpoint apply, too, where messages are carried.
type Messages struct {
	// Whether messages are carried. With per_second or types they are in any case.
	Enabled bool `yaml:"enabled" short:"true" default:"false"`

	// How many a client may send in a second on average; one that sends more is closed with 1008. 0: no bound.
	PerSecond float64 `yaml:"per_second" default:"0" min:"0" max:"1000000"`

	// How many it may send at a time. 0: as many as in a second.
	Burst int `yaml:"burst" default:"0" min:"0" max:"1000000"`

	// Which a client may send; another one closes it with 1003. Empty: both.
	Types []string `yaml:"types" enum:"text|binary"`

	// The largest message of a server. A client's is bounded by max_message of the endpoint, which closes it with 1009.
	MaxFromServer Bytes `yaml:"max_from_server" default:"16MiB" min:"1" max:"1GiB"`
}

// Carried reports whether the rules ask for messages to be carried.
func (m *Messages) Carried() bool { return m.Enabled || m.PerSecond > 0 || len(m.Types) > 0 }

// Hold keeps clients connected while servers come and go: a connection goes on at another server, between two messages. It has messages
// carried.
type Hold struct {
	// Which clients. off: none. resume: those of a protocol that the balancer can resume: handfast.v1.json and Centrifugo. stateless: all
	// others as well, since the servers keep nothing of a connection; what is on its way to a server that dies is lost.
	Mode string `yaml:"mode" short:"true" enum:"off|resume|stateless" default:"off"`

	// How long a client may be without a server; then it is closed with 1012. Nothing is read from it meanwhile.
	Wait Duration `yaml:"wait" default:"10s" min:"100ms" max:"5m"`
}

// check checks the settings as a whole.
func (b *Balance) check(k *checker, _ *Endpoint, path string) {
	path += ".target.balance"
	if len(b.To) == 0 && b.DNS.URL == "" && b.File == "" && !k.Failed(path+".to") {
		k.Wrong(path+".to", "there is no server", "to, dns or file")
	}
	seen := map[BackendURL]bool{}
	for i, s := range b.To {
		if s.URL != "" && seen[s.URL] {
			k.Wrong(fmt.Sprintf("%s.to[%d].url", path, i), "it is in the list already", "another server, or a larger weight")
		}
		seen[s.URL] = true
	}
	for i, s := range b.To {
		if strings.Contains(string(s.URL), "://_") {
			k.Wrong(fmt.Sprintf("%s.to[%d].url", path, i), "a name of SRV records", "dns, which asks for them")
		}
	}
	if b.Policy != "hash" && k.c.source.Given(path+".key") && !k.Failed(path+".key") {
		k.Wrong(path+".key", fmt.Sprintf("policy %s has no use for it", b.Policy), "policy: hash, or no key")
	}
	if c := b.Sticky.Cookie; c != "" && !validHeader(c) {
		k.Wrong(path+".sticky.cookie", tree.Quote(c)+" cannot be the name of a cookie", "letters, digits, - and _")
	}
	if (b.TLS.Cert == "") != (b.TLS.Key == "") {
		k.Wrong(path+".tls", "cert and key belong together", "both; one file may serve as both")
	}
	b.Request.check(k, path+".request")
}

// check checks what servers see.
func (r *Rewrite) check(k *checker, path string) {
	for key, prefix := range map[string]string{"strip_prefix": r.StripPrefix, "add_prefix": r.AddPrefix} {
		if prefix != "" && (prefix[0] != '/' || strings.ContainsAny(prefix, "?#% \t\r\n") || strings.Contains(prefix+"/", "/../")) {
			k.Wrong(path+"."+key, tree.Quote(prefix)+" is not the beginning of a path", "such as /app")
		}
	}
	if r.UserHeader != "" && !validHeader(r.UserHeader) {
		k.Wrong(path+".user_header", tree.Quote(r.UserHeader)+" cannot be a header field", "letters, digits and -")
	}
	if id := r.Identity.Header; id != "" && strings.EqualFold(id, r.UserHeader) {
		k.Wrong(path+".identity.header", "user_header has the same name", "another name")
	}
	r.Identity.check(k, path+".identity")
	for name, value := range r.Header {
		if !validHeader(name) || strings.ContainsAny(value, "\r\n\x00") {
			k.Wrong(path+".header", tree.Quote(name)+" cannot be a header field", "names of letters, digits and -, and values of one line")
		}
	}
}

func init() { registerTarget[Balance]("balance") }
