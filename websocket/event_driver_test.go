package websocket_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/internal/drivertest"
)

// TestEvents runs the common test suite of all drivers on the event loop.
func TestEvents(t *testing.T) {
	drivertest.Test(t, func(t *testing.T, opts *websocket.ConnOptions, open func(websocket.Sender) websocket.Receiver) net.Conn {
		near, far := tcpPair(t)
		serveEvents(t, far, opts, open)
		t.Cleanup(func() { near.Close() })
		return near
	})
}

// TestEventsTLS runs the common test suite over TLS.
func TestEventsTLS(t *testing.T) {
	cert := selfSigned(t)
	drivertest.Test(t, func(t *testing.T, opts *websocket.ConnOptions, open func(websocket.Sender) websocket.Receiver) net.Conn {
		near, far := tcpPair(t)
		client := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
		server := tls.Server(websocket.UnderTLS(far), &tls.Config{Certificates: []tls.Certificate{cert}})
		done := make(chan error, 1)
		go func() { done <- client.Handshake() }()
		if err := server.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := bounded.Receive(t, done); err != nil {
			t.Fatal(err)
		}
		serveEvents(t, server, opts, open)
		t.Cleanup(func() { near.Close() })
		return client
	})
}

func serveEvents(t *testing.T, nc net.Conn, opts *websocket.ConnOptions, open func(websocket.Sender) websocket.Receiver) {
	t.Helper()
	ls := websocket.NewEventLoops(t)
	if ls == nil {
		done := make(chan struct{})
		c := drivertest.Conn(t, nc, protocol.RoleServer, opts)
		go func() { defer close(done); c.Run(t.Context(), open) }()
		t.Cleanup(func() { c.CloseNow(); bounded.Receive(t, done) })
		return
	}
	if err := ls.Adopt(nc, opts, open); err != nil {
		t.Fatal(err)
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
