// Package certs manages the TLS settings of a server: its certificates, the clients it admits, and changes of both while it runs.
//
// [Open] combines what [Options] name: certificates in files, from a CA with ACME, and of the development CA; the CAs of clients;
// the secrets for session tickets. [Provider.TLSConfig] is the configuration for a server's listener. The files are watched: a
// change applies to the next handshake, and open connections are not affected.
//
//	p, err := certs.Open(certs.Options{
//		Files:   []certs.Pair{{Cert: "/etc/tls/tls.crt", Key: "/etc/tls/tls.key"}},
//		OnEvent: func(e certs.Event) { log.Print(e) },
//	})
//	...
//	server := &http.Server{TLSConfig: p.TLSConfig("h2", "http/1.1")}
//
// [OpenDev] provides a development CA, which is created on first use, and a certificate for localhost and the machine's host name, which
// the CA signs and renews. [LoadFiles] reads a certificate and a key once. [ServerConfig] returns the TLS settings that all of these
// functions share.
//
// The package does not log. Faults are returned as an [*Error] with the file and the next step, or reported as an [Event].
//
// # The risk of a stolen development CA
//
// Users install the development CA in the trust store of their browser, so a thief of the CA's key could impersonate any server to that
// browser. Three measures limit the damage. The key is in a file that only its owner may read, in a directory that only its owner may
// enter, and this package never sends it anywhere. Every machine has a CA of its own. The CA's certificate has critical name constraints
// (RFC 5280 §4.2.1.10): a verifier accepts the CA only for localhost, names below it, the host name of the machine, loopback addresses, and
// the names and addresses passed to [OpenDev] when the CA was created. The CA may sign only server certificates, and no further CA.
//
// The constraints contain single addresses rather than networks, although an address changes when a machine moves. With a network such as
// 192.168.0.0/16 in them, a thief could impersonate every server that the user's phone connects to in any home or office. The constraints
// are in the certificate that clients trust, so more names require another CA, which the clients have to trust again.
package certs
