// Package certs is the TLS side of a server: where its certificates come from, and how they are kept.
//
// [OpenDev] gives a development certificate: a certificate authority made on first use, and a leaf for localhost and the
// machine's host name that it signs and renews. [LoadFiles] reads a certificate and a key that somebody else issued.
// [ServerConfig] turns either into a TLS configuration.
//
// # What a stolen development CA is worth
//
// People install the development CA where their browser looks, so whoever steals its key can pose as somebody else to
// that browser. Three things bound the damage. The key stays in a file that only its owner may read, in a directory
// that only its owner may enter, and nothing here sends it anywhere. Every machine makes a CA of its own. And the
// certificate carries critical name constraints (RFC 5280 §4.2.1.10): a verifier believes it about localhost, names
// below it, the host name of the machine, and loopback addresses, and about nothing else on the internet; it may sign
// server certificates only, and no further CA.
package certs
