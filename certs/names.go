package certs

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// nameIndex finds the certificates for a host, in the order in which they were added.
type nameIndex struct {
	first *tls.Certificate              // the default; nil if there is no certificate
	exact map[string][]*tls.Certificate // the certificates for each host name, or for each address in canonical form
	wild  map[string][]*tls.Certificate // the wildcard certificates: those for "*.example.com" have the key "example.com"
}

func (x *nameIndex) add(cert *tls.Certificate) {
	if x.first == nil {
		x.first = cert
		x.exact, x.wild = map[string][]*tls.Certificate{}, map[string][]*tls.Certificate{}
	}
	for _, name := range cert.Leaf.DNSNames {
		name = plainHost(name)
		if domain, ok := strings.CutPrefix(name, "*."); ok {
			x.wild[domain] = append(x.wild[domain], cert)
		} else {
			x.exact[name] = append(x.exact[name], cert)
		}
	}
	for _, ip := range cert.Leaf.IPAddresses {
		x.exact[ip.String()] = append(x.exact[ip.String()], cert)
	}
}

// exactMatches returns the certificates for exactly this name.
func (x *nameIndex) exactMatches(host string) []*tls.Certificate { return x.exact[host] }

// wildcardMatches returns the wildcard certificates for the name: a wildcard covers one label (RFC 9525 §6.3).
func (x *nameIndex) wildcardMatches(host string) []*tls.Certificate {
	label, domain, ok := strings.Cut(host, ".")
	if !ok || label == "" {
		return nil
	}
	return x.wild[domain]
}

// certificate returns the certificate for a handshake: an exact name has priority over a wildcard. For an exact name, files have priority
// over ACME, and ACME over the development CA.
//
// To refuse a client it returns neither a certificate nor an error: then crypto/tls sends unrecognized_name.
func (p *Provider) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s, dev := p.state.Load(), p.opts.Dev
	host := plainHost(hello.ServerName)
	if host == "" && hello.Conn != nil {
		// A client that connects to an address sends no host name (RFC 6066 §3). The server may have a certificate for the address.
		host = addressOf(hello.Conn.LocalAddr())
	}
	if pairs := s.names.exactMatches(host); pairs != nil {
		return usable(pairs, hello), nil
	}
	if p.acme != nil && p.acme.has(host) {
		return p.acme.certificate(hello.Context(), host)
	}
	if dev != nil && slices.Contains(dev.Names(), host) {
		return dev.GetCertificate(hello)
	}
	if pairs := s.names.wildcardMatches(host); pairs != nil {
		return usable(pairs, hello), nil
	}
	switch {
	case p.opts.RefuseUnknown:
		return nil, nil
	case s.names.first != nil:
		return s.names.first, nil
	case dev != nil:
		return dev.GetCertificate(hello)
	}
	return nil, nil // there are only certificates from ACME, which are used only for their own hosts
}

// addressOf returns the IP address in a, in canonical form, or "" if a contains no IP address.
func addressOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	addr, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return ""
	}
	return addr.Addr().Unmap().WithZone("").String()
}

// usable returns the first certificate that the client supports, or the first of all if the client supports none of them.
func usable(pairs []*tls.Certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(pairs) > 1 {
		for _, pair := range pairs {
			if hello.SupportsCertificate(pair) == nil {
				return pair
			}
		}
	}
	return pairs[0]
}

// plainHost normalizes a host name for comparisons.
func plainHost(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// hostError returns an error about a host in the options for ACME.
func hostError(host, format string, args ...any) *Error {
	return &Error{Path: host, Err: fmt.Errorf(format, args...)}
}
