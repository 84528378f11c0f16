package config

// Method is a way to authenticate clients. Exactly one of its keys must be given.
type Method struct {
	// A signed token (RFC 7519).
	JWT *JWT `yaml:"jwt" only:"one" example:"users"`

	// A long-lived key of a program.
	APIKey *APIKey `yaml:"apikey" example:"programs"`

	// User name and password (RFC 7617), from a file.
	Basic *Basic `yaml:"basic" example:"staff"`

	// A session cookie, only from pages of the listed origins.
	Cookie *Cookie `yaml:"cookie" example:"pages"`

	// A single-use ticket in the URL, for browsers, which cannot send an Authorization header with a WebSocket handshake.
	Ticket *Ticket `yaml:"ticket" example:"tickets"`

	// The certificate that the client presented in the TLS handshake. The listener requires client_cas.
	Certificate *Certificate `yaml:"certificate" example:"devices"`

	// The decision of another HTTP service.
	Forward *Forward `yaml:"forward" example:"portal"`
}

// JWT is a signed token. Its key is one of secret, public_key, public_key_file, jwks_url and oidc_issuer.
type JWT struct {
	// The accepted signature algorithms, of those that fit the key. Empty means HS256 with a secret, otherwise RS256, ES256 and
	// EdDSA.
	Algorithms []string `yaml:"algorithms" enum:"HS256|HS384|HS512|RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA"`

	// The secret that is shared with the issuer, for HS256, HS384 and HS512: at least as many bytes as the hash has, 32 for HS256.
	// Anyone who knows the secret can issue tokens.
	Secret Secret `yaml:"secret"`

	// Inline public keys: PEM, a JSON Web Key or a set of them.
	PublicKey string `yaml:"public_key"`

	// A file with public keys, in one of the forms of public_key. The file is read again when it changes.
	PublicKeyFile Path `yaml:"public_key_file" example:"issuer.pem"`

	// The URL of the issuer's keys, a JSON Web Key Set (RFC 7517).
	JWKSURL string `yaml:"jwks_url" example:"https://id.example.com/keys"`

	// The URL of an OpenID provider, which publishes the location of its keys. The issuer of the token must be the same.
	OIDCIssuer string `yaml:"oidc_issuer" example:"https://id.example.com"`

	// A PEM file with the certificate authority of the server at jwks_url or oidc_issuer, if that authority is not a public one.
	CA Path `yaml:"ca"`

	// Whether jwks_url or oidc_issuer may be http:// to another machine. An attacker in the network can then be any user.
	AllowHTTP bool `yaml:"allow_http" default:"false"`

	// The required iss of the token. Empty means the oidc_issuer if there is one, otherwise any issuer.
	Issuer string `yaml:"issuer"`

	// The names of this service, one of which must be in the token's aud. Empty means that a token with an aud is rejected, unless
	// any_audience is true.
	Audience []string `yaml:"audience" example:"[chat]"`

	// Whether a token with any audience is accepted. If true, any other service that receives a user's token can connect to this
	// server as that user.
	AnyAudience bool `yaml:"any_audience" default:"false"`

	// Whether a token without an expiry is accepted.
	AllowNoExpiry bool `yaml:"allow_no_expiry" default:"false"`

	// The tolerated difference between the clocks of the issuer and of this machine.
	Skew Duration `yaml:"skew" default:"30s" min:"0s" max:"10m"`

	// The claim that names the user.
	SubjectClaim string `yaml:"subject_claim" default:"sub"`

	// Where the token may be in a request; the places are tried in the order of this list. bearer: the Authorization header;
	// header:NAME: another header, set by a proxy; subprotocol or subprotocol:PREFIX: in the subprotocols that the client offers,
	// after that prefix, handfast.token. by default; kubernetes: in the subprotocols, in the form that Kubernetes uses; query:NAME: in
	// the URL, which every proxy may log. For a token in a cookie use the method cookie.
	From []TokenSource `yaml:"from" default:"[bearer]"`
}

// APIKey is a key that a program receives once. The server stores only its hash. A program sends the key in the header,
// or as "Authorization: ApiKey KEY".
type APIKey struct {
	// The header that contains the key.
	Header string `yaml:"header" default:"X-API-Key"`

	// Whether "Authorization: Bearer KEY" is also accepted. A token that is not an API key is left to the next method.
	Bearer bool `yaml:"bearer" default:"false"`

	// The parameter of the URL's query that contains the key. Every proxy may log the URL. Empty means none.
	Query string `yaml:"query" example:"api_key"`

	// The keys.
	Keys []Key `yaml:"keys"`

	// A file with more keys, one per line: the id, the hash, and optionally a JSON object with subject, claims, issued and expires. The
	// file is read again when it changes.
	File Path `yaml:"file" example:"api-keys" secret:"true"`
}

// Key is one API key, without the key itself.
type Key struct {
	// The name of the key, in logs and for revocations: the part of the key between the underscores.
	ID string `yaml:"id" id:"true" required:"true" example:"ci"`

	// The key's hash: sha256: and the SHA-256 of the whole key in hexadecimal digits.
	Hash string `yaml:"hash" required:"true" example:"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" secret:"true"`

	// The user of the key. Empty means the id of the key.
	User string `yaml:"user"`

	// The claims, for rules.
	Claims map[string]any `yaml:"claims"`

	// The date of issue, such as 2026-11-22. A revocation of all credentials that were issued before a certain time uses this date. Empty
	// means unknown.
	Issued Time `yaml:"issued"`

	// The expiry: 2027-01-31, or 2027-01-31T12:00:00Z. Empty means never.
	Expires Time `yaml:"expires"`
}

// Basic is authentication by user name and password.
type Basic struct {
	// The password file: a user, a colon and a hash on each line, with bcrypt ("htpasswd -B") or argon2id, and optionally a space and the
	// user's claims as a JSON object. The file is read again when it changes.
	File Path `yaml:"file" required:"true" example:"passwords" secret:"true"`

	// The realm that a browser shows when it asks for the password.
	Realm string `yaml:"realm" default:"handfast"`

	// How long a correct password is cached, because checking a password is deliberately slow.
	Remember Duration `yaml:"remember" default:"1m" min:"1s" max:"1h"`
}

// Cookie is a session cookie. Either jwt or forward checks the value. The cookie is accepted only with a listed Origin, because a browser
// sends a user's cookies with every WebSocket handshake, whichever page opens it.
type Cookie struct {
	// The cookie's name.
	Name string `yaml:"name" required:"true" example:"session"`

	// The exact origins whose pages may use the cookie: https://app.example.com.
	Origins []Origin `yaml:"origins" required:"true" example:"[https://app.example.com]"`

	// Treats the cookie as a signed token; the key from has no effect here.
	JWT *JWT `yaml:"jwt"`

	// Asks another service, with a Cookie header that contains only this cookie.
	Forward *Forward `yaml:"forward"`
}

// Ticket is a single-use value in the URL. A page requests a ticket with a POST to path, on behalf of its user, and connects with the
// ticket. Several nodes must share a store.
type Ticket struct {
	// The path at which tickets are issued to POST requests.
	Path string `yaml:"path" required:"true" example:"/ticket"`

	// The methods that authenticate the request for a ticket, in the same form as for an endpoint. anonymous is not allowed.
	Auth []AuthRef `yaml:"auth" required:"true" example:"[users]"`

	// The web origins whose pages may request a ticket, in addition to the server's own; a ticket is valid only for the same origin.
	Origins Origins `yaml:"origins"`

	// The lifetime of a ticket.
	TTL Duration `yaml:"ttl" default:"30s" min:"1s" max:"60s"`

	// The parameter of the URL's query that contains the ticket.
	Query string `yaml:"query" default:"ticket"`

	// Whether a ticket is valid only for the address that requested it. If true, a client that changes networks between the request
	// and the handshake is rejected.
	BindAddress bool `yaml:"bind_address" default:"false"`
}

// Certificate is a client certificate.
type Certificate struct {
	// The kinds of names that identify the user: the first one that the certificate contains is used. uri, dns and email are alternative
	// names, cn is the common name.
	Subject []string `yaml:"subject" default:"[uri, dns, email]" enum:"uri|dns|email|cn"`

	// The user for each name in a certificate. If set, certificates with other names are rejected. If unset, the name itself is the
	// user.
	Map map[string]string `yaml:"map"`
}

// Forward asks another HTTP service. A 2xx answer admits the client; 401 and 403 reject it. If there is no answer, the client is
// rejected with 503.
type Forward struct {
	// The URL for the GET request.
	URL string `yaml:"url" required:"true" example:"http://127.0.0.1:8080/verify"`

	// The headers of the client that are forwarded. A request without any of them has no credential.
	Headers []string `yaml:"headers" default:"[Authorization, Cookie]"`

	// The header of the answer that names the user. An answer in JSON can name it in subject, and may also have claims, id, issued
	// and expires.
	UserHeader string `yaml:"user_header" default:"X-Auth-Request-User"`

	// The headers of the answer that become claims. Empty means the headers that common services use for groups, email and name.
	Claims []ForwardClaim `yaml:"claims"`

	// The time limit for an answer.
	Timeout Duration `yaml:"timeout" default:"2s" min:"10ms" max:"1m"`

	// How long an answer is reused for the same headers. 0 means that answers are not reused, except that concurrent handshakes share a
	// request.
	Cache Duration `yaml:"cache" default:"10s" min:"0s" max:"10m"`

	// The maximum number of concurrent requests; further clients wait, and are answered with 503 if the wait is too long.
	Concurrency int `yaml:"concurrency" default:"64" min:"1" max:"10000"`

	// A PEM file with the certificate authority of the service, if that authority is not a public one.
	CA Path `yaml:"ca"`

	// The interval at which the service is asked again about an open connection. Each check is at a random time in the second half of the
	// interval. If the service rejects the session, or names another user, the connection is closed with 4401. 0 means never.
	Recheck Duration `yaml:"recheck" default:"30m" min:"0s" max:"24h"`

	// How long a connection stays open while the service does not answer; after that, the connection is closed with 4401.
	RecheckGrace Duration `yaml:"recheck_grace" default:"1h" min:"0s" max:"24h"`
}

// Rechecks reports whether the sessions of a method are rechecked while connections are open.
func (c *Config) Rechecks(ref AuthRef) bool {
	m := ref.Method
	if m == nil {
		m = c.Auth[ref.Name]
	}
	if m == nil {
		return false
	}
	f := m.Forward
	if m.Cookie != nil {
		f = m.Cookie.Forward
	}
	return f != nil && f.Recheck > 0
}

// ForwardClaim is a header of the answer that becomes a claim.
type ForwardClaim struct {
	// The header.
	Header string `yaml:"header" required:"true" example:"X-Groups"`

	// The name of the claim: groups for claims.groups.
	Claim string `yaml:"claim" required:"true" example:"groups"`

	// Whether the header contains comma-separated values, which become a list.
	List bool `yaml:"list" default:"false"`
}
