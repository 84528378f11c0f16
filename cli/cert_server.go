package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// tlsInfo is the result of a TLS handshake with a server.
type tlsInfo struct {
	Version string `json:"version"`
	Suite   string `json:"suite"`
	Group   string `json:"group,omitempty"` // the group of the key exchange
	ALPN    string `json:"alpn,omitempty"`
}

func (t *tlsInfo) parts() []string {
	var all []string
	for _, s := range []string{t.Version, t.Suite, t.Group, t.ALPN} {
		if s != "" {
			all = append(all, s)
		}
	}
	return all
}

// inspectServer gets the certificate chain of a server, in a handshake that accepts any certificate, and judges the chain afterwards.
func (f *showFlags) inspectServer(ctx context.Context, address string, roots *x509.CertPool) (chainInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	shown := chainInfo{Target: address, Problems: []fault{}}
	name := f.name
	if name == "" {
		name, _, _ = net.SplitHostPort(address) // targetOf has checked the address
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return shown, &hinted{fmt.Errorf("connect to %s: %w", address, connectCause(err)),
			"check the host and the port, and that the server is running"}
	}
	defer conn.Close()
	var state tls.ConnectionState
	asked := false
	client := tls.Client(conn, &tls.Config{
		ServerName: name, NextProtos: []string{"h2", "http/1.1"},
		MinVersion: tls.VersionTLS10, CipherSuites: allSuites(), // accepts old servers, too
		InsecureSkipVerify: true, // judge verifies the certificate
		VerifyConnection:   func(s tls.ConnectionState) error { state = s; return nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &tls.Certificate{}, nil
		},
	})
	err = client.HandshakeContext(ctx)
	if len(state.PeerCertificates) == 0 {
		return shown, handshakeFault(address, err)
	}
	if err == nil {
		state = client.ConnectionState()
	} else {
		shown.Notes = append(shown.Notes, "after sending its certificate, the server ended the handshake: "+err.Error())
	}
	if asked {
		shown.Notes = append(shown.Notes, "the server asks its clients for a certificate")
	}
	shown.TLS = &tlsInfo{tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), groupName(state), state.NegotiatedProtocol}
	if state.Version < tls.VersionTLS12 {
		shown.Problems = append(shown.Problems, fault{Problem: tls.VersionName(state.Version) + " is the newest version that the server speaks",
			Hint: "enable TLS 1.2 or 1.3 on the server: browsers reject older versions"})
	}
	shown.verify(state.PeerCertificates, name, roots, time.Now())
	shown.bad = len(shown.Problems) > 0
	shown.Verified = shown.Verified && !shown.bad
	return shown, nil
}

// groupName returns the name of the key exchange's group, or "" if the key exchange used no group.
func groupName(s tls.ConnectionState) string {
	if s.CurveID == 0 {
		return ""
	}
	return s.CurveID.String()
}

// allSuites returns the numbers of all cipher suites of TLS 1.2 and older versions.
func allSuites() []uint16 {
	var ids []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		ids = append(ids, s.ID)
	}
	return ids
}

// connectCause removes the wrapping of package net from an error.
func connectCause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// handshakeFault returns the error for a server that did not send a certificate.
func handshakeFault(address string, err error) error {
	var record tls.RecordHeaderError
	var wait net.Error
	hint := "check which program listens there, or name another host with --name"
	switch {
	case errors.As(err, &record):
		return &hinted{fmt.Errorf("%s does not speak TLS: its response is not a TLS record", address),
			"use the port of the TLS listener; this one may be for plain HTTP"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &wait) && wait.Timeout():
		return &hinted{fmt.Errorf("%s does not respond to the TLS handshake", address), "check that it speaks TLS, or raise --timeout"}
	case strings.Contains(err.Error(), "unrecognized name"):
		return &hinted{fmt.Errorf("%s has no certificate for the requested name: %w", address, err), "use --name to give a host that the server serves"}
	}
	return &hinted{fmt.Errorf("TLS handshake with %s: %w", address, err), hint}
}
