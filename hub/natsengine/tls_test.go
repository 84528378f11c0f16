package natsengine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// nodeTLS returns the TLS configuration of a node, with a certificate of a new authority.
func nodeTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12,
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// warnings collects the warnings of a server.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) add(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.all, "\n")
}

// Three nodes with the same secret and certificates of the same authority form a cluster. A node with another secret or a
// certificate of another authority is rejected, and the logs of both sides explain why.
func TestClusterWithTLS(t *testing.T) {
	conf := nodeTLS(t)
	var here warnings
	nodes := []*Server{start(t, Embedded{Dir: t.TempDir(), ClusterListen: "127.0.0.1:0", Secret: "secret of all", TLS: conf, Warn: here.add})}
	join := []string{nodes[0].ClusterAddr().String()}
	for range 2 {
		nodes = append(nodes, start(t, Embedded{Dir: t.TempDir(), ClusterListen: "127.0.0.1:0", Secret: "secret of all", TLS: conf, Join: join}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), clusterWait)
	defer cancel()
	for _, s := range nodes {
		if err := s.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	const routes = 2 * (3 + 1) // for each of two nodes: the routes of the pool, and one for the system account
	bounded.Until(t, func() bool { return nodes[0].server.NumRoutes() == routes })
	for _, tt := range []struct {
		name, secret string
		tls          *tls.Config
		here, there  string
	}{
		{"another secret", "another secret", conf, wrongSecret, wrongSecret},
		{"another authority", "secret of all", nodeTLS(t), wrongAuthority, wrongAuthority},
		{"no TLS", "secret of all", nil, wrongTLS, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var there warnings
			s := start(t, Embedded{Dir: t.TempDir(), ClusterListen: "127.0.0.1:0", Secret: tt.secret, TLS: tt.tls, Join: join, Warn: there.add})
			defer func() { t.Logf("here: %s\nthere: %s", &here, &there) }()
			bounded.Until(t, func() bool {
				return strings.Contains(here.String(), tt.here) && strings.Contains(there.String(), tt.there)
			})
			// The rejected node keeps trying. Each attempt is a route until the other node has rejected it.
			bounded.Until(t, func() bool { return s.server.NumRoutes() == 0 })
			if n := nodes[0].server.NumRoutes(); n != routes {
				t.Errorf("the cluster has %d routes, want %d", n, routes)
			}
			if log := here.String() + there.String(); strings.Contains(log, "secret of all") || strings.Contains(log, "another secret") {
				t.Errorf("the secret is in the log: %s", log)
			}
		})
	}
}
