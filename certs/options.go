package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Options name the sources of a server's certificates, and the clients it admits. At least one of Files, ACME and Dev must be set;
// they may be combined. Every file is read again when it changes; see [Provider].
type Options struct {
	// Files are certificates in files. The first one is also the default, for clients that send no host name, or a host name without a
	// certificate.
	Files []Pair

	// ACME obtains certificates from a CA. nil means that ACME is not used. A certificate from ACME is used only for its host, and is never
	// the default.
	ACME *ACME

	// Dev is the development certificate, from [OpenDev]. nil means none. Without Files, the development certificate is the default.
	Dev *Dev

	// RefuseUnknown rejects clients that request a host without a certificate, and those that send no host name, with the alert
	// unrecognized_name (RFC 6066 §3). If false, such clients get the default certificate, which they will reject.
	RefuseUnknown bool

	// ClientAuth determines whether clients have to present a certificate. "" means ClientAuthOff.
	ClientAuth ClientAuth

	// ClientCAs are files with the certificates, in PEM, of the CAs that sign client certificates. They are read again when they
	// change. The system's CAs are never used. Required by ClientAuthOptional and ClientAuthRequired.
	ClientCAs []string

	// MinVersion is the minimum TLS version: tls.VersionTLS12 or tls.VersionTLS13. 0 means 1.2.
	MinVersion uint16

	// TicketFile is a file with secrets that nodes share, so that a client can resume a session of one node on another. [TicketKeys]
	// describes the format. The file is read again when it changes. "" means every TLS configuration makes keys of its own and replaces
	// them daily, and sessions end with the process.
	TicketFile string

	// OnEvent is called for every event after Open: for loaded content, and for content that could not be loaded. It is called from one
	// goroutine at a time, must return soon, and must not call Reload or Close. If nil, events are dropped.
	OnEvent func(Event)

	// Poll is the interval at which the files are checked in addition to being watched, because some file systems report no
	// changes. 0 means 1 minute.
	Poll time.Duration

	now       func() time.Time // nil means time.Now
	unwatched bool             // whether files are only polled, as on a file system without notifications
}

// Pair names the files of one certificate, in PEM. The names in the certificate determine its hosts: exact names, and
// "*.example.com", which covers one label and not example.com itself (RFC 9525 §6.3). Two pairs may be for the same host, with
// different types of keys: a client gets the first one that it supports.
type Pair struct {
	Cert string // the certificate, followed by its chain
	Key  string // the private key; "" means that the key is in the file Cert
}

// ClientAuth determines whether clients have to present a certificate.
type ClientAuth string

// The values of ClientAuth.
const (
	ClientAuthOff      ClientAuth = "off"      // no certificate is requested
	ClientAuthOptional ClientAuth = "optional" // a certificate is requested, and verified if the client sends one
	ClientAuthRequired ClientAuth = "required" // the handshake fails without a certificate signed by one of ClientCAs
)

// ACME configures obtaining certificates from a CA with ACME (RFC 8555). A key is created for each certificate (ECDSA P-256).
type ACME struct {
	// Hosts are the names to obtain certificates for, one certificate each. No other name is ever requested. Wildcards are not
	// possible, because they require a DNS challenge.
	Hosts []string

	// Cache is the directory for certificates and keys, with mode 0700; it is created if it does not exist. Nodes that use the same
	// directory share its certificates.
	Cache string

	// AgreeTerms means that you agree to the CA's terms of service. It must be true.
	AgreeTerms bool

	// Email is the contact address for the CA; "" means there is none.
	Email string

	// Directory is the directory URL of the CA. "" means Let's Encrypt.
	Directory string

	// RootFile is a PEM file with the CA certificates that verify the TLS certificate of Directory, for a CA inside a company. "" means the
	// system's CAs.
	RootFile string

	// EAB binds the account to an existing account elsewhere (RFC 8555 §7.3.4); nil if the CA does not require it.
	EAB *EAB
}

// EAB is an external account binding: both values are from the CA.
type EAB struct {
	KeyID string // identifies the account
	Key   string // the MAC key, base64url; a secret
}

// LetsEncrypt is the directory of the default CA.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

const defaultPoll = time.Minute

// check validates the options, and sets defaults.
func (o *Options) check() error {
	if len(o.Files) == 0 && o.ACME == nil && o.Dev == nil {
		return &Error{"TLS", errors.New("no certificate is configured"), "name files, ACME hosts or the development CA"}
	}
	switch o.ClientAuth {
	case "":
		o.ClientAuth = ClientAuthOff
	case ClientAuthOff, ClientAuthOptional, ClientAuthRequired:
	default:
		return &Error{"client certificates", fmt.Errorf("unknown choice %q", o.ClientAuth), "use off, optional or required"}
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
			"use 1.2 or 1.3: older versions are not safe"}
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
