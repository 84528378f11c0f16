package faults

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/explain"
)

// withTLS is a site with the given TLS configuration and no other fault. Its client trusts the authority trusted.
func (l *lab) withTLS(config *tls.Config, trusted *authority) (*Site, error) {
	s, err := l.healthyTLS(config)
	if err != nil {
		return nil, err
	}
	s.Options.TLS = &tls.Config{RootCAs: trusted.pool()}
	return s, nil
}

// wrongLeaf serves an invalid certificate that root has signed.
func wrongLeaf(wrong leaf) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		root := newRoot("Public")
		return l.withTLS(&tls.Config{Certificates: []tls.Certificate{root.issue(wrong)}}, root)
	}
}

var (
	expired     = wrongLeaf(leaf{notBefore: -72 * time.Hour, notAfter: -24 * time.Hour})
	notYetValid = wrongLeaf(leaf{notBefore: 24 * time.Hour, notAfter: 72 * time.Hour})
	wrongName   = wrongLeaf(leaf{names: []string{"other.example"}})
)

// unknownIssuer serves a chain that ends below, or with, a root that the client does not trust.
func unknownIssuer(withRoot bool) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		root := newRoot("Private")
		between := root.intermediate()
		chain := []*authority{between}
		if withRoot {
			chain = append(chain, root)
		}
		return l.withTLS(&tls.Config{Certificates: []tls.Certificate{between.issue(leaf{}, chain...)}}, newRoot("Public"))
	}
}

// selfIssued serves a self-signed certificate.
func selfIssued(l *lab) (*Site, error) {
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{selfSigned()}}, newRoot("Public"))
}

// noIntermediate serves a leaf without the certificate between it and a root that the client trusts. The issuer's organization in the leaf
// identifies the missing certificate.
func noIntermediate(l *lab) (*Site, error) {
	root := newRoot("Public")
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{root.intermediate().issue(leaf{})}}, root)
}

// rootInsteadOfIntermediate is noIntermediate, but the server sends the root, which clients have anyway.
func rootInsteadOfIntermediate(l *lab) (*Site, error) {
	root := newRoot("Public")
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{root.intermediate().issue(leaf{}, root)}}, root)
}

// expiredUnderNewer serves a certificate that had expired before the certificate of its authority, which has been reissued, became valid.
func expiredUnderNewer(l *lab) (*Site, error) {
	root := newRoot("Public")
	own := root.issue(leaf{notBefore: -96 * time.Hour, notAfter: -72 * time.Hour})
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{own}}, root)
}

// issuerWithoutRight serves a certificate signed with a server's certificate.
func issuerWithoutRight(l *lab) (*Site, error) {
	root := newRoot("Public")
	between := root.withoutRight()
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{between.issue(leaf{}, between)}}, root)
}

// trustedWithoutRight serves a certificate signed with a server's certificate, which the client trusts.
func trustedWithoutRight(l *lab) (*Site, error) {
	between := newRoot("Public").withoutRight()
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{between.issue(leaf{})}}, between)
}

// fetchIntermediate is noIntermediate, but the leaf contains the URL of the missing certificate (RFC 5280 §4.2.2.1).
func fetchIntermediate(l *lab) (*Site, error) {
	root := newRoot("Public")
	between := root.intermediate()
	addr, err := l.serve(requests(func(v *exchange) {
		v.answer("200 OK", "Content-Type: application/pkix-cert\n", string(between.cert.Raw))
	}))
	if err != nil {
		return nil, err
	}
	own := between.issue(leaf{issuerURL: "http://" + addr + "/intermediate.crt"})
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{own}}, root)
}

// sameName serves a certificate from a CA that has the same name as the CA that the client trusts. The certificate contains the URL of its
// CA's certificate.
func sameName(l *lab) (*Site, error) {
	root := newRoot("Public")
	addr, err := l.serve(requests(func(v *exchange) {
		v.answer("200 OK", "Content-Type: application/pkix-cert\n", string(root.cert.Raw))
	}))
	if err != nil {
		return nil, err
	}
	own := root.issue(leaf{issuerURL: "http://" + addr + "/root.crt"})
	return l.withTLS(&tls.Config{Certificates: []tls.Certificate{own}}, newRoot("Public"))
}

// clientCertificate requires a client certificate. With TLS 1.3 the refusal arrives only after the client's part of the handshake.
func clientCertificate(version uint16) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		root := newRoot("Public")
		return l.withTLS(&tls.Config{
			Certificates: []tls.Certificate{root.issue(leaf{})}, MaxVersion: version,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: root.pool(),
		}, root)
	}
}

// oldTLS supports nothing newer than TLS 1.1.
func oldTLS(l *lab) (*Site, error) {
	root := newRoot("Public")
	return l.withTLS(&tls.Config{
		Certificates: []tls.Certificate{root.issue(leaf{})},
		MinVersion:   tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	}, root)
}

// noHTTP1 supports only the given protocol, which is not HTTP/1.1. It rejects clients that do not offer that protocol via ALPN.
func noHTTP1(protocol string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		root := newRoot("Public")
		return l.withTLS(&tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			// crypto/tls accepts HTTP/1.1 even if only h2 is configured. For a client that does not offer the protocol, the list therefore
			// contains only a protocol that no client offers.
			c := &tls.Config{Certificates: []tls.Certificate{root.issue(leaf{})}, NextProtos: []string{protocol}}
			if !slices.Contains(hello.SupportedProtos, protocol) {
				c.NextProtos = []string{"nothing"}
			}
			return c, nil
		}}, root)
	}
}

// noCipher offers only cipher suites that no current client offers.
func noCipher(l *lab) (*Site, error) {
	root := newRoot("Public")
	return l.withTLS(&tls.Config{
		Certificates: []tls.Certificate{root.issue(leaf{})}, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}, // this obsolete cipher suite is the fault of this server
	}, root)
}

// unknownName has no certificate for the name that the client requests.
func unknownName(l *lab) (*Site, error) {
	return l.withTLS(&tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }, // nil means that the server has no certificate for the name
	}, newRoot("Public"))
}

// tlsCrash fails during the TLS handshake, and sends an alert.
func tlsCrash(l *lab) (*Site, error) {
	return l.withTLS(&tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("broken") },
	}, newRoot("Public"))
}

// named makes the client use the name chat.test for a site.
func named(start func(*lab) (*Site, error)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err != nil {
			return nil, err
		}
		s.Options.Resolver, err = l.resolver(zone{name: "chat.test", addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
		s.URL = strings.Replace(s.URL, "127.0.0.1", "chat.test", 1)
		return s, err
	}
}

// foreignClientCertificate makes the client send a certificate that the server does not trust.
func foreignClientCertificate(version uint16) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := clientCertificate(version)(l)
		if err == nil {
			s.Options.TLS.Certificates = []tls.Certificate{newRoot("Private").issue(leaf{client: true})}
		}
		return s, err
	}
}

// prior expects HTTP/2 from the first byte, like a gRPC server.
func prior(l *lab) (*Site, error) {
	addr, err := l.serve(func(c net.Conn) {
		// An empty SETTINGS frame, and a GOAWAY with PROTOCOL_ERROR (RFC 9113 §6.5, §6.8).
		io.WriteString(c, "\x00\x00\x00\x04\x00\x00\x00\x00\x00"+ //nolint:errcheck // the write fails only if the client has disconnected
			"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")
		linger(c, c)
	})
	return &Site{URL: "ws://" + addr + "/"}, err
}

// priorUnresponsive is prior as in net/http and HAProxy: it sends nothing to a client that does not begin with the HTTP/2 preface.
func priorUnresponsive(l *lab) (*Site, error) {
	addr, err := l.serve(func(c net.Conn) {
		preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
		if _, err := io.ReadFull(c, preface); err != nil || !bytes.HasPrefix(preface, []byte("PRI ")) {
			return
		}
		io.WriteString(c, "\x00\x00\x00\x04\x00\x00\x00\x00\x00") //nolint:errcheck // the write fails only if the client has disconnected
		linger(c, c)
	})
	return &Site{URL: "ws://" + addr + "/"}, err
}

// closesOnUpgrade speaks HTTP/1.1 and HTTP/2 without TLS, and closes the connection on an upgrade request, as an HAProxy rule can.
func closesOnUpgrade(l *lab) (*Site, error) {
	ln, err := l.listen()
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{
		Protocols: protocols, ReadHeaderTimeout: serverTimeout, ErrorLog: discard,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				panic(http.ErrAbortHandler)
			}
			http.NotFound(w, r)
		}),
	}
	l.keep(s)
	l.wg.Go(func() { s.Serve(ln) }) //nolint:errcheck // Serve returns an error when the lab is closed
	return &Site{URL: "ws://" + ln.Addr().String() + "/"}, nil
}

// onlyHTTP2 is a net/http server that supports only HTTP/2 over TLS. It admits a client that only offers http/1.1, but then closes
// the connection.
func onlyHTTP2(l *lab) (*Site, error) {
	a := newRoot("Public")
	ln, err := l.listen()
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	s := &http.Server{
		Protocols: protocols, ReadHeaderTimeout: serverTimeout, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{a.issue(leaf{})}, MinVersion: tls.VersionTLS12},
	}
	l.keep(s)
	l.wg.Go(func() { s.ServeTLS(ln, "", "") }) //nolint:errcheck // ServeTLS returns an error when the lab is closed
	return &Site{URL: "wss://" + ln.Addr().String() + "/", Options: explain.Options{TLS: &tls.Config{RootCAs: a.pool()}}}, nil
}

var tlsFaults = []Fault{
	{ID: explain.FaultTLSToPlain, Name: "wss to a port for plain HTTP", start: plainForTLS},
	{ID: explain.FaultTLSToPlain, Name: "wss to an SSH server",
		start: withTLSURL(banner("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"))},
	{ID: explain.FaultPlainToTLS, Name: "ws to a port for TLS of net/http", start: tlsForPlain},
	{ID: explain.FaultPlainToTLS, Name: "ws to a port for TLS of nginx", start: nginxTLSForPlain},
	{ID: explain.FaultPlainToTLS, Name: "ws to a port that answers with an alert", start: alertForPlain},
	{ID: explain.FaultTLSTimeout, Name: "silence instead of a TLS handshake", start: withShortTimeout(withTLSURL(silent))},
	{ID: explain.FaultTLSVersion, Name: "TLS 1.1 at most", start: oldTLS},
	{ID: explain.FaultTLSCipher, Name: "old ciphers only", start: noCipher},
	{ID: explain.FaultTLSName, Name: "no certificate for the name", start: unknownName},
	{ID: explain.FaultTLS, Name: "a TLS handshake that fails with an internal error", start: tlsCrash},
	{ID: explain.FaultTLS, Name: "a TLS handshake for a name that fails with an internal error", start: named(tlsCrash)},
	{ID: explain.FaultALPN, Name: "ALPN for something else", start: noHTTP1("acme-tls/1")},
	{ID: explain.FaultHTTP2Only, Name: "ALPN for HTTP/2 only", start: noHTTP1("h2")},
	{ID: explain.FaultHTTP2Only, Name: "HTTP/2 without TLS only", start: prior},
	{ID: explain.FaultHTTP2Only, Name: "HTTP/2 without TLS only, silent", start: priorUnresponsive},
	{ID: explain.FaultHTTP2Only, Name: "net/http with HTTP/2 only", start: onlyHTTP2},
	{ID: explain.FaultCertExpired, Name: "an expired certificate", start: expired},
	{ID: explain.FaultCertNotYet, Name: "a certificate that is not valid yet", start: notYetValid},
	{ID: explain.FaultCertName, Name: "a certificate for another name", start: wrongName},
	{ID: explain.FaultCertUnknown, Name: "a private CA", start: unknownIssuer(false)},
	{ID: explain.FaultCertUnknown, Name: "a private CA, root included", start: unknownIssuer(true)},
	{ID: explain.FaultCertUnknown, Name: "a private CA with the name of a trusted one, and its URL", start: sameName},
	{ID: explain.FaultCertSelfSigned, Name: "a self-signed certificate", start: selfIssued},
	{ID: explain.FaultCertIntermediate, Name: "a chain with a gap", start: noIntermediate},
	{ID: explain.FaultCertIntermediate, Name: "a chain with a gap, and the URL of the missing part", start: fetchIntermediate},
	{ID: explain.FaultCertIntermediate, Name: "a chain with a gap, and the root", start: rootInsteadOfIntermediate},
	{ID: explain.FaultCertExpired, Name: "an expired certificate under a newer CA", start: expiredUnderNewer},
	{ID: explain.FaultCertOther, Name: "a signature with SHA-1", start: wrongLeaf(leaf{signature: x509.ECDSAWithSHA1})},
	{ID: explain.FaultCertOther, Name: "an issuer that is not a CA", start: issuerWithoutRight},
	{ID: explain.FaultCertOther, Name: "an issuer that is not a CA, and trusted", start: trustedWithoutRight},
	{ID: explain.FaultCertOther, Name: "a client's certificate on a server", start: wrongLeaf(leaf{client: true})},
	{ID: explain.FaultClientCert, Name: "client certificate, TLS 1.2", start: clientCertificate(tls.VersionTLS12)},
	{ID: explain.FaultClientCert, Name: "client certificate, TLS 1.3", start: clientCertificate(tls.VersionTLS13)},
	{ID: explain.FaultClientCertRefused, Name: "a foreign client certificate, TLS 1.2",
		start: foreignClientCertificate(tls.VersionTLS12)},
	{ID: explain.FaultClientCertRefused, Name: "a foreign client certificate, TLS 1.3",
		start: foreignClientCertificate(tls.VersionTLS13)},
}
