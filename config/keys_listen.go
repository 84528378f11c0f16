package config

// Listen is one address.
type Listen struct {
	// Where: host:port. An empty host means every address of the machine, localhost means both loopback addresses, port 0
	// picks a free one.
	Address Address `yaml:"address" id:"true" required:"true" example:"localhost:8443"`

	// TLS. A word alone is its mode: "tls: off".
	TLS TLS `yaml:"tls"`

	// The PROXY protocol, versions 1 and 2, with which a balancer in front sends the client's address.
	ProxyProtocol ProxyProtocol `yaml:"proxy_protocol"`

	// Whether requests for pages are answered with a redirect to https, on the port of the first listener that has TLS.
	// Only without TLS. A WebSocket is not redirected, since no client would follow, but refused with the address to use.
	RedirectHTTPS bool `yaml:"redirect_https" default:"false"`

	// How long a browser shall use nothing but https for this host name, all its ports included: Strict-Transport-Security
	// on pages (RFC 6797). Only with TLS. 0: the header is not sent.
	HSTS Duration `yaml:"hsts" default:"0s" min:"0s" example:"8760h"`
}

// TLSMode says where the server's certificate comes from.
type TLSMode string

// The modes.
const (
	TLSDev   TLSMode = "dev"
	TLSFiles TLSMode = "files"
	TLSACME  TLSMode = "acme"
	TLSOff   TLSMode = "off"
)

// TLS is how an address is secured.
type TLS struct {
	// Where the certificate comes from. dev: a certificate authority of this user, made on first use; files: from files;
	// acme: from a public authority; off: no TLS, so that the network can read and change everything. When it is
	// not given: files if there are some, acme if there are hosts for it, else dev.
	Mode TLSMode `yaml:"mode" short:"true" enum:"dev|files|acme|off" example:"dev"`

	// For mode files: certificates with their keys. The client's server name (SNI) chooses among them; the first one is
	// for clients that name none of theirs. They are read again when they change.
	Files []KeyPair `yaml:"files"`

	// For mode acme.
	ACME ACME `yaml:"acme"`

	// The certificate authorities that client certificates have to come from: PEM files, read again when they change.
	ClientCAs []Path `yaml:"client_cas" example:"[clients.pem]"`

	// Whether clients show a certificate. optional: those that have one; required: who shows none is turned away in the
	// handshake. When it is not given: optional if there are client_cas, else off.
	ClientAuth string `yaml:"client_auth" enum:"off|optional|required" example:"off"`

	// The oldest version of TLS that is spoken.
	MinVersion string `yaml:"min_version" default:"1.2" enum:"1.2|1.3"`

	// Whether clients that ask for a host name which no certificate is for, or for none, are turned away. Else they get the
	// first certificate, and complain about it themselves.
	RefuseUnknown bool `yaml:"refuse_unknown" default:"false"`

	// A file with what the keys of session tickets are made from, so that a client can resume its session on another node
	// with the same file: lines of 32 random bytes in base64, as "openssl rand -base64 32" prints them. The first one is
	// for new tickets. It is read again when it changes. Empty: random keys, forgotten when the server ends.
	TicketFile Path `yaml:"ticket_file" example:"tickets"`
}

// ClientAuth modes, as the text in TLS.ClientAuth.
const (
	ClientAuthOff      = "off"
	ClientAuthOptional = "optional"
	ClientAuthRequired = "required"
)

// KeyPair is a certificate and its private key.
type KeyPair struct {
	// The certificate and its chain, the server's own first: a PEM file.
	Cert Path `yaml:"cert" required:"true" example:"fullchain.pem"`

	// Its private key: a PEM file. Empty: it is in the same file.
	Key Path `yaml:"key" example:"privkey.pem"`
}

// ACME gets certificates from a public authority (RFC 8555), and renews them. The authority checks that the names lead
// here: on port 443 (TLS-ALPN-01), or port 80 (HTTP-01) when there is a listener without TLS.
type ACME struct {
	// The host names to get certificates for; for other names there is none.
	Hosts []string `yaml:"hosts" example:"[ws.example.com]"`

	// Whom the authority writes to when something is wrong.
	Email string `yaml:"email" example:"ops@example.com"`

	// The authority's directory URL. Empty: Let's Encrypt.
	Directory string `yaml:"directory"`

	// The certificate authority of the directory's own https, when it is not a public one: a PEM file.
	CARoot Path `yaml:"ca_root"`

	// The directory where the account and the certificates are kept. Empty: in this user's state directory.
	Cache Path `yaml:"cache" made:"true"`

	// The account with the authority to bind to (RFC 8555 §7.3.4), for those that ask for it: its key's id.
	EABKeyID string `yaml:"eab_key_id"`

	// The key itself, as the authority gave it: base64url.
	EABKey Secret `yaml:"eab_key"`

	// That you have read the authority's terms of service and accept them.
	AcceptTerms bool `yaml:"accept_terms" default:"false"`
}

// ProxyProtocol is who speaks the PROXY protocol.
type ProxyProtocol struct {
	// The balancers that do, as addresses or networks. A connection from them has to begin with the header, and its
	// address is the one that the header names; a connection from elsewhere is served as it is. Empty: there are none.
	From []Prefix `yaml:"from" example:"[10.0.0.0/8]"`
}
