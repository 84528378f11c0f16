package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Options say where a server's certificates come from, and which clients it admits. At least one of Files, ACME and Dev
// must be set; they may be combined. Every path is read again when what is there changes; see [Provider].
type Options struct {
	// Files are certificates in files. The first one is for clients that name no host, or one that no certificate is for.
	Files []Pair

	// ACME gets certificates from a CA; nil means no. Its certificates are for its hosts and never a default.
	ACME *ACME

	// Dev is the development certificate, from [OpenDev]; nil means none. It is the default where there are no Files.
	Dev *Dev

	// RefuseUnknown rejects clients that ask for a host without a certificate, and those that name no host, with the alert
	// unrecognized_name (RFC 6066 §3). If false, they get the default certificate, and reject it themselves.
	RefuseUnknown bool

	// ClientAuth says whether clients show a certificate. "" means ClientAuthOff.
	ClientAuth ClientAuth

	// ClientCAs are files with the certificates, in PEM, of the authorities that sign the clients'. They are read again
	// when they change. The system's authorities never count. Needed by ClientAuthOptional and ClientAuthRequired.
	ClientCAs []string

	// MinVersion is the oldest version of TLS that is spoken: tls.VersionTLS12 or tls.VersionTLS13. 0 means 1.2.
	MinVersion uint16

	// TicketFile holds what nodes share so that a client may resume on one of them a session that it began on another;
	// [TicketKeys] says what is in it. It is read again when it changes. "": every TLS configuration makes keys of its
	// own and replaces them daily, and sessions end with the process.
	TicketFile string

	// OnEvent is called for everything that happens after Open: what was loaded, and what could not be. It is called from
	// one goroutine at a time, must return soon, and must not call Reload or Close. If nil, events are dropped.
	OnEvent func(Event)

	// Poll is how often the files are looked at in addition to being watched, since some file systems report no changes.
	// 0 means 1 minute.
	Poll time.Duration

	now       func() time.Time // nil means time.Now
	unwatched bool             // no fsnotify: as on a file system that has none
}

// Pair names the files of one certificate, in PEM. Names in the certificate say which hosts it is for: exact ones, and
// "*.example.com", which is for one label and not for example.com itself (RFC 9525 §6.3). Two pairs may be for the same
// host, with keys of different kinds: a client gets the first one that it can use.
type Pair struct {
	Cert string // the certificate, followed by the chain above it
	Key  string // its private key; "" means that it is in the same file
}

// ClientAuth says whether clients show a certificate.
type ClientAuth string

// What a server asks of its clients.
const (
	ClientAuthOff      ClientAuth = "off"      // none is asked for
	ClientAuthOptional ClientAuth = "optional" // one is asked for; it is verified when it comes
	ClientAuthRequired ClientAuth = "required" // without one that an authority of ClientCAs signed there is no connection
)

// ACME says how to get certificates from a CA that speaks RFC 8555. A key is made for each certificate (ECDSA P-256).
type ACME struct {
	// Hosts are the names to get certificates for, one certificate each. No other name is ever asked for. A wildcard
	// cannot be had, because it takes a challenge in the DNS.
	Hosts []string

	// Cache is the directory for certificates and keys: 0700, made if it is not there. Nodes that share it share what is
	// in it.
	Cache string

	// AgreeTerms says that you agree to the CA's terms of service. Nothing is done without it.
	AgreeTerms bool

	// Email is where the CA may write to; "": nowhere.
	Email string

	// Directory is the URL of the CA. "" means Let's Encrypt.
	Directory string

	// RootFile holds the certificates, in PEM, of the authority that signed the directory's own certificate, for a CA inside of a
	// company. "" means the system's authorities.
	RootFile string

	// EAB binds the account to one that exists elsewhere (RFC 8555 §7.3.4); nil if not asked for by the CA.
	EAB *EAB
}

// EAB is an external account binding: both values come from the CA.
type EAB struct {
	KeyID string // which account
	Key   string // the MAC key, base64url; a secret
}

// LetsEncrypt is the directory of the CA that is asked when none is named.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

const defaultPoll = time.Minute

// check finds what makes no sense, and fills in what zero stands for.
func (o *Options) check() error {
	if len(o.Files) == 0 && o.ACME == nil && o.Dev == nil {
		return &Error{"TLS", errors.New("no certificate is configured"), "name files, ACME hosts or the development CA"}
	}
	switch o.ClientAuth {
	case "":
		o.ClientAuth = ClientAuthOff
	case ClientAuthOff, ClientAuthOptional, ClientAuthRequired:
	default:
		return &Error{"client certificates", fmt.Errorf("unknown choice %q", o.ClientAuth), "it is off, optional or required"}
	}
	switch {
	case o.ClientAuth == ClientAuthOff && len(o.ClientCAs) > 0:
		return &Error{"client certificates", errors.New("authorities are named, but clients are not asked for a certificate"),
			"choose optional or required, or name no authorities"}
	case o.ClientAuth != ClientAuthOff && len(o.ClientCAs) == 0:
		return &Error{"client certificates", errors.New("no authorities are named"),
			"name a file with the certificates of the authorities, in PEM"}
	}
	switch o.MinVersion {
	case 0:
		o.MinVersion = tls.VersionTLS12
	case tls.VersionTLS12, tls.VersionTLS13:
	default:
		return &Error{"TLS version", fmt.Errorf("the oldest version cannot be %s", tls.VersionName(o.MinVersion)),
			"it is 1.2 or 1.3: older versions are not safe"}
	}
	if o.Poll < 0 {
		return &Error{"poll interval", fmt.Errorf("%v is negative", o.Poll), "omit it for the default of one minute"}
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	if o.now == nil {
		o.now = time.Now
	}
	return nil
}
