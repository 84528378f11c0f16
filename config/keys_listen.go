package config

// Listen is one address.
type Listen struct {
	// The address, host:port. An empty host means every address of the machine, localhost means both loopback addresses, port 0
	// selects a free one.
	Address Address `yaml:"address" id:"true" required:"true" example:"localhost:8443"`

	// The host names and IP addresses, without a port, that a request may have in the header Host; other requests are answered with
	// 421, except from trusted proxies. any: all hosts. Empty means all hosts, except that a listener with a development certificate,
	// or without TLS on a loopback address, answers only for localhost, IP addresses, and the names in that certificate, in acme and
	// in the hosts of endpoints, unless there are trusted_proxies or proxy_protocol. The restriction prevents attacks by pages whose
	// own host name resolves to this server (DNS rebinding).
	Hosts Hosts `yaml:"hosts" example:"[ws.example.com]"`

	// TLS. A single word selects the mode: "tls: off".
	TLS TLS `yaml:"tls"`

	// The PROXY protocol, versions 1 and 2, by which a balancer in front sends the client's address.
	ProxyProtocol ProxyProtocol `yaml:"proxy_protocol"`

	// Whether requests for pages are answered with a redirect to https, on the port of the first listener that has TLS. Only without TLS;
	// if this key is set, TLS is off by default. A WebSocket handshake is not redirected, because clients do not follow redirects, but
	// rejected with the address to use.
	RedirectHTTPS bool `yaml:"redirect_https" default:"false"`

	// How long a browser must use only https for this host name and all its ports: Strict-Transport-Security on pages (RFC 6797).
	// Only with TLS. 0 means that the header is not sent.
	HSTS Duration `yaml:"hsts" default:"0s" min:"0s" example:"8760h"`
}

// TLSMode is the source of the server's certificate.
type TLSMode string

// The values of TLSMode.
const (
	TLSDev   TLSMode = "dev"
	TLSFiles TLSMode = "files"
	TLSACME  TLSMode = "acme"
	TLSOff   TLSMode = "off"
)

// TLS is the TLS of a listener.
type TLS struct {
	// The source of the certificate. dev: a development certificate authority of this user, created on first use; files: the certificates
	// under files; acme: a public authority; off: no TLS, so anyone on the network path can read and change all data. If unset: files if
	// the key files is set, acme if acme.hosts is set, off with redirect_https, otherwise dev.
	Mode TLSMode `yaml:"mode" short:"true" enum:"dev|files|acme|off" example:"dev"`

	// For mode files: certificates with their keys. The server name (SNI) that the client requests selects a certificate; the first
	// certificate is for clients whose server name matches none. The files are read again when they change.
	Files []KeyPair `yaml:"files"`

	// The settings for mode acme.
	ACME ACME `yaml:"acme"`

	// The settings for mode dev.
	Dev Dev `yaml:"dev"`

	// The certificate authorities that must have issued client certificates: PEM files, read again when they change.
	ClientCAs []Path `yaml:"client_cas" example:"[clients.pem]"`

	// Whether clients must present a certificate. optional: clients without a certificate are accepted; required: clients without a
	// certificate are rejected in the TLS handshake. If unset: optional if there are client_cas, otherwise off.
	ClientAuth string `yaml:"client_auth" enum:"off|optional|required" example:"off"`

	// The oldest accepted version of TLS.
	MinVersion string `yaml:"min_version" default:"1.2" enum:"1.2|1.3"`

	// Whether clients are rejected if no certificate matches the host name that they request, or if they request no host name. Otherwise
	// such clients get the first certificate, which they will reject.
	RefuseUnknown bool `yaml:"refuse_unknown" default:"false"`

	// A file with secrets from which the keys of session tickets are derived, so that a client can resume its session on another node with
	// the same file: lines of 32 random bytes in base64, as "openssl rand -base64 32" prints them. The first secret is for new tickets. The
	// file is read again when it changes. Empty means random keys, which are lost when the server exits.
	TicketFile Path `yaml:"ticket_file" example:"tickets" secret:"true"`
}

// The values of TLS.ClientAuth.
const (
	ClientAuthOff      = "off"
	ClientAuthOptional = "optional"
	ClientAuthRequired = "required"
)

// KeyPair is a certificate and its private key.
type KeyPair struct {
	// The certificate and its chain, the server's own first: a PEM file.
	Cert Path `yaml:"cert" required:"true" example:"fullchain.pem" secret:"without key"`

	// The private key of cert: a PEM file. Empty means that the key is in the file cert.
	Key Path `yaml:"key" example:"privkey.pem" secret:"true"`
}

// Dev is the development certificate of this user.
type Dev struct {
	// Additional names and addresses of this machine that the certificate must contain, so that other devices can connect. The certificate
	// authority may sign only for the names that it was created for: "handfast cert dev --new --host NAME" creates an authority for further
	// names.
	Hosts []string `yaml:"hosts" example:"[192.0.2.7, mypc.lan]"`
}

// ACME gets certificates from a public authority (RFC 8555), and renews them. The authority checks that the names resolve to
// this server: on port 443 (TLS-ALPN-01), or port 80 (HTTP-01) when there is a listener without TLS.
type ACME struct {
	// The host names to get certificates for; other names have no certificate.
	Hosts []string `yaml:"hosts" example:"[ws.example.com]"`

	// Contact address for the CA.
	Email string `yaml:"email" example:"ops@example.com"`

	// The authority's directory URL. Empty means Let's Encrypt.
	Directory string `yaml:"directory"`

	// The certificate authority of the directory's server, if it is not a public one: a PEM file.
	CARoot Path `yaml:"ca_root"`

	// The directory for the account and the certificates. Empty means a directory in this user's state directory.
	Cache Path `yaml:"cache" made:"true"`

	// The key ID of an existing account with the authority (RFC 8555 §7.3.4), for authorities that require an external account
	// binding.
	EABKeyID string `yaml:"eab_key_id"`

	// The key of the account that eab_key_id names, in base64url as the authority issued it.
	EABKey Secret `yaml:"eab_key"`

	// Whether you have read the authority's terms of service and accept them.
	AcceptTerms bool `yaml:"accept_terms" default:"false"`
}

// ProxyProtocol selects the balancers that speak the PROXY protocol.
type ProxyProtocol struct {
	// The balancers that send the PROXY header, as addresses or networks. A connection from these balancers must begin with the header,
	// which contains the client's address. Connections from other addresses are served without a header. Empty means none.
	From []Prefix `yaml:"from" example:"[10.0.0.0/8]"`
}
