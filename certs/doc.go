// Package certs is the TLS side of a server: where its certificates come from, which clients it admits, and how all of
// that changes while it runs.
//
// [Open] puts together what [Options] name: certificates in files, from a CA that speaks ACME, and of the development CA;
// the authorities of clients; the secrets behind session tickets. [Provider.TLSConfig] is what a server listens with. The
// files are watched: a change counts for the next handshake, and open connections do not notice.
//
//	p, err := certs.Open(certs.Options{
//		Files:   []certs.Pair{{Cert: "/etc/tls/tls.crt", Key: "/etc/tls/tls.key"}},
//		OnEvent: func(e certs.Event) { log.Print(e) },
//	})
//	...
//	server := &http.Server{TLSConfig: p.TLSConfig("h2", "http/1.1")}
//
// [OpenDev] gives a development certificate: a certificate authority made on first use, and a leaf for localhost and the
// machine's host name that it signs and renews. [LoadFiles] reads a certificate and a key once. [ServerConfig] has the
// settings of TLS that all of them share.
//
// Nothing in here logs. What goes wrong is an [*Error], which knows the file and the next step, or comes as an [Event].
//
// # What a stolen development CA is worth
//
// People install the development CA where their browser looks, so a thief of its key can pose as another server to
// that browser. Three things bound the damage. The key stays in a file that only its owner may read, in a directory
// that only its owner may enter, and nothing here sends it anywhere. Every machine makes a CA of its own. And the
// certificate carries critical name constraints (RFC 5280 §4.2.1.10): a verifier believes it about localhost, names
// below it, the host name of the machine, loopback addresses, and the names and addresses that [OpenDev] was asked for when
// the CA was made, and about nothing else on the internet; it may sign server certificates only, and no further CA.
//
// Those names are single addresses, not the networks around them, though an address changes when a machine moves: with a
// network such as 192.168.0.0/16 a thief could pose as every server that the phone meets in any home or office. What a CA
// may sign for is in the certificate that clients trust, so more names need another CA, which they have to trust anew.
package certs
