package config

// Method is a way to find out who a client is. Exactly one of its keys is given.
type Method struct {
	// A signed token (RFC 7519).
	JWT *JWT `yaml:"jwt" only:"one" example:"users"`

	// A key that a program is given once.
	APIKey *APIKey `yaml:"apikey" example:"programs"`

	// User name and password (RFC 7617), from a file.
	Basic *Basic `yaml:"basic" example:"staff"`

	// A session cookie, from pages of the origins that are named.
	Cookie *Cookie `yaml:"cookie" example:"pages"`

	// A ticket in the URL that is used once: for browsers, which cannot send an Authorization header with a WebSocket.
	Ticket *Ticket `yaml:"ticket" example:"tickets"`

	// The certificate that the client showed in the TLS handshake. The listener needs client_cas.
	Certificate *Certificate `yaml:"certificate" example:"devices"`

	// What another HTTP service says when it is asked.
	Forward *Forward `yaml:"forward" example:"portal"`
}

// JWT is a signed token. Its key is one of secret, public_key, public_key_file, jwks_url and oidc_issuer.
type JWT struct {
	// The signature algorithms that are accepted, of those that the key is for. Empty: HS256 with a secret, else RS256,
	// ES256 and EdDSA.
	Algorithms []string `yaml:"algorithms" enum:"HS256|HS384|HS512|RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA"`

	// The secret that is shared with the issuer, for HS256, HS384 and HS512: at least as many bytes as the hash has, 32
	// for HS256. Anyone who knows it can issue tokens.
	Secret Secret `yaml:"secret"`

	// Public keys in place: PEM, a JSON Web Key or a set of them.
	PublicKey string `yaml:"public_key"`

	// A file with public keys in one of these forms. It is read again when it changes.
	PublicKeyFile Path `yaml:"public_key_file" example:"issuer.pem"`

	// Where the issuer publishes its keys as a JSON Web Key Set (RFC 7517).
	JWKSURL string `yaml:"jwks_url" example:"https://id.example.com/keys"`

	// An OpenID provider, which says by itself where its keys are. The token's issuer has to be the same.
	OIDCIssuer string `yaml:"oidc_issuer" example:"https://id.example.com"`

	// The certificate authority of the https of jwks_url or oidc_issuer, when it is not a public one: a PEM file.
	CA Path `yaml:"ca"`

	// Whether jwks_url or oidc_issuer may be http:// to another machine. An attacker in the network can then be any user.
	AllowHTTP bool `yaml:"allow_http" default:"false"`

	// What the token has to have as iss. Empty: the oidc_issuer, if there is one, else anything.
	Issuer string `yaml:"issuer"`

	// The names of this service, of which the token has to have one as aud. Empty: a token that says whom it is for is
	// refused, unless any_audience is true.
	Audience []string `yaml:"audience" example:"[chat]"`

	// Whether a token is accepted whomever it is for. A service that is given a user's token, for whatever it does, can
	// then use it here as that user.
	AnyAudience bool `yaml:"any_audience" default:"false"`

	// Whether a token is accepted that never expires.
	AllowNoExpiry bool `yaml:"allow_no_expiry" default:"false"`

	// How far the clocks of the issuer and of this machine may be apart.
	Skew Duration `yaml:"skew" default:"30s" min:"0s" max:"10m"`

	// The claim that names the user.
	SubjectClaim string `yaml:"subject_claim" default:"sub"`

	// Where the token is looked for, in this order. bearer: the Authorization header; header:NAME:
	// another one, in which a proxy passes it on; subprotocol, or subprotocol:PREFIX:
	// behind that prefix, handfast.token. when there is none, among the subprotocols that the client offers; kubernetes:
	// the same in the form that Kubernetes uses; query:NAME: in the URL, where the logs of every proxy see it. A token in
	// a cookie is the method cookie.
	From []TokenSource `yaml:"from" default:"[bearer]"`
}

// APIKey is a key that a program is given once. The server knows its hash alone. A program sends the key in the header,
// or as "Authorization: ApiKey KEY".
type APIKey struct {
	// The header that it is looked for in.
	Header string `yaml:"header" default:"X-API-Key"`

	// Whether "Authorization: Bearer KEY" works, too. Tokens that are no API keys are left to the next method.
	Bearer bool `yaml:"bearer" default:"false"`

	// The parameter of the URL's query that it is looked for in, where the logs of every proxy see it. Empty: in none.
	Query string `yaml:"query" example:"api_key"`

	// The keys.
	Keys []Key `yaml:"keys"`

	// A file with more keys, one a line: the id, the hash, and perhaps a JSON object with subject, claims, issued and
	// expires. It is read again when it changes.
	File Path `yaml:"file" example:"api-keys"`
}

// Key is one API key, without the key itself.
type Key struct {
	// What it is called in logs and when it is revoked: the part of the key between the underscores.
	ID string `yaml:"id" id:"true" required:"true" example:"ci"`

	// The key's hash: sha256: and the SHA-256 of the whole key in hexadecimal digits.
	Hash string `yaml:"hash" required:"true" example:"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`

	// Whom it stands for. Empty: its id.
	User string `yaml:"user"`

	// What rules see as claims.
	Claims map[string]any `yaml:"claims"`

	// When it was made, for revocations of what was issued until then: 2026-11-22. Empty: not said.
	Issued Time `yaml:"issued"`

	// When it ends: 2027-01-31, or 2027-01-31T12:00:00Z. Empty: never.
	Expires Time `yaml:"expires"`
}

// Basic is user name and password.
type Basic struct {
	// The password file: a user, a colon and a hash on each line, with bcrypt ("htpasswd -B") or argon2id, and perhaps a
	// space and the user's claims as a JSON object. It is read again when it changes.
	File Path `yaml:"file" required:"true" example:"passwords"`

	// What a browser shows when it asks for the password.
	Realm string `yaml:"realm" default:"handfast"`

	// How long a password that was right is remembered, since checking one is slow on purpose.
	Remember Duration `yaml:"remember" default:"1m" min:"1s" max:"1h"`
}

// Cookie is a session cookie. One of jwt and forward checks its value. It is good only with an Origin header
// that is listed: a browser sends a user's cookies for any page that opens a WebSocket.
type Cookie struct {
	// The cookie's name.
	Name string `yaml:"name" required:"true" example:"session"`

	// The origins whose pages may use it, exactly: https://app.example.com.
	Origins []Origin `yaml:"origins" required:"true" example:"[https://app.example.com]"`

	// The cookie is a signed token; from has no use here.
	JWT *JWT `yaml:"jwt"`

	// Another service knows what it means; the Cookie header is sent to it, with this cookie alone.
	Forward *Forward `yaml:"forward"`
}

// Ticket is a word in the URL that is used once. A page gets it with a POST to path, in the name of the user who is logged in
// there, and connects with it. With several nodes the store has to be one that they share.
type Ticket struct {
	// Where tickets are issued: a path for POST requests.
	Path string `yaml:"path" required:"true" example:"/ticket"`

	// Who may have one: as in an endpoint, without anonymous.
	Auth []AuthRef `yaml:"auth" required:"true" example:"[users]"`

	// The web origins whose pages may ask for one, in addition to the server's own; a ticket is good for the same origin alone.
	Origins Origins `yaml:"origins"`

	// How long one is good.
	TTL Duration `yaml:"ttl" default:"30s" min:"1s" max:"60s"`

	// The parameter of the URL's query that holds it.
	Query string `yaml:"query" default:"ticket"`

	// Whether a ticket is good only for the address that asked for it. Clients that change networks are then kept out.
	BindAddress bool `yaml:"bind_address" default:"false"`
}

// Certificate is a client certificate.
type Certificate struct {
	// What names the user: the first of these that the certificate has. uri, dns and email are its alternative names, cn is
	// its common name.
	Subject []string `yaml:"subject" default:"[uri, dns, email]" enum:"uri|dns|email|cn"`

	// Users for those names. When it is given, a name that is not in it is refused; else the name is the user.
	Map map[string]string `yaml:"map"`
}

// Forward asks another HTTP service. A 2xx answer lets the client in, 401 and 403 keep it out; when no answer comes the
// client is kept out, too, with 503.
type Forward struct {
	// Where to ask: a GET request.
	URL string `yaml:"url" required:"true" example:"http://127.0.0.1:8080/verify"`

	// The client's headers that are sent along. A request with none of them has no credential.
	Headers []string `yaml:"headers" default:"[Authorization, Cookie]"`

	// The header of the answer that names the user. An answer in JSON can do it with subject, and may also have claims, id,
	// issued and expires.
	UserHeader string `yaml:"user_header" default:"X-Auth-Request-User"`

	// The headers of the answer that become claims. Empty: those that common services send, as groups, email and name.
	Claims []ForwardClaim `yaml:"claims"`

	// How long an answer may take.
	Timeout Duration `yaml:"timeout" default:"2s" min:"10ms" max:"1m"`

	// How long an answer is good for the same headers. 0: every handshake asks, but those at the same time ask once.
	Cache Duration `yaml:"cache" default:"10s" min:"0s" max:"10m"`

	// How many requests may be under way concurrently; further ones wait, and are answered with 503.
	Concurrency int `yaml:"concurrency" default:"64" min:"1" max:"10000"`

	// The certificate authority of the service's https, when it is not a public one: a PEM file.
	CA Path `yaml:"ca"`
}

// ForwardClaim is a header of the answer that becomes a claim.
type ForwardClaim struct {
	// The header.
	Header string `yaml:"header" required:"true" example:"X-Groups"`

	// What rules see it as: claims.groups.
	Claim string `yaml:"claim" required:"true" example:"groups"`

	// Whether there are several values with commas between them, which become a list.
	List bool `yaml:"list" default:"false"`
}
