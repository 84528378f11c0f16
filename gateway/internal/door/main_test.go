package door

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is an http.Server behind a door, which answers with the client's address.
type house struct {
	*Door
	waiting *Waiting
	peers   Peers
	addr    string

	heard chan string // what Failed was told
	cut   chan *Peer
}

type peerKey struct{}

// build runs a house until the test is over. most bounds those that wait.
func build(t *testing.T, most int, p *Policy) *house {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{addr: l.Addr().String(), heard: make(chan string, 100), cut: make(chan *Peer, 10_000)}
	h.waiting = NewWaiting(func() int { return most }, nil, func(p *Peer) { h.cut <- p })
	if p == nil {
		p = &Policy{}
	}
	if p.Timeout == 0 {
		p.Timeout = time.Minute
	}
	p.Failed = func(_ *Peer, stage string, err error) {
		select {
		case h.heard <- stage + ": " + err.Error():
		default: // nobody wants to know of so many
		}
	}
	h.Door = New(l, p, h.waiting, &h.peers)
	s := &http.Server{
		ReadHeaderTimeout: time.Minute,
		ConnState:         h.peers.ConnState,
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, h.peers.Of(nc))
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p := r.Context().Value(peerKey{}).(*Peer)
			p.Served()
			p.Linger()
			_, _ = io.WriteString(w, p.Addr.String())
			if p.Via.IsValid() {
				_, _ = io.WriteString(w, " via "+p.Via.String())
			}
		}),
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(h.Door) }()
	t.Cleanup(func() {
		s.Close()
		h.Close()
		bounded.Receive(t, served)
		h.Wait()
		// until net/http has let go of the last one
		bounded.Until(t, func() bool { return h.waiting.Len() == 0 && h.peers.Len() == 0 })
	})
	return h
}

// connect dials from a loopback address of one's choice.
func (h *house) connect(t *testing.T, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP(netip.MustParseAddr(from).AsSlice())}}
	c, err := d.DialContext(bounded.Context(t), "tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// settings returns TLS for localhost, for both sides.
func settings(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	server = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1", acmeALPN},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "localhost"}
}
