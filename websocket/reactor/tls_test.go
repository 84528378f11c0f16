//go:build linux

package reactor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
)

// certificate returns one for localhost, signed by itself, and a pool with it.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
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
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// serveTLS is serve for wss.
func serveTLS(t testing.TB, s *Server) (addr string, client *tls.Config) {
	t.Helper()
	cert, pool := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- s.ServeTLS(l, &tls.Config{Certificates: []tls.Certificate{cert}}) }()
	t.Cleanup(func() {
		s.Close()
		if err := s.Shutdown(bounded(t)); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := await(t, over); !errors.Is(err, ErrServerClosed) {
			t.Errorf("ServeTLS returned %v", err)
		}
	})
	return l.Addr().String(), &tls.Config{RootCAs: pool}
}

func dialTLS(t testing.TB, addr string, config *tls.Config, o websocket.ConnOptions) *websocket.Conn {
	t.Helper()
	c, err := websocket.Dial(bounded(t), "wss://"+addr+"/", &websocket.DialOptions{TLS: config, Conn: o})
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func TestTLSEchoOfAllSizes(t *testing.T) {
	h, ended := ends()
	h.Open = func(c *Conn) {
		if state := c.TLS(); state == nil || !state.HandshakeComplete {
			t.Error("no state of TLS")
		}
	}
	addr, config := serveTLS(t, &Server{Handler: h, Options: websocket.AcceptOptions{Conn: websocket.ConnOptions{MaxMessage: 1 << 25}}})
	c := dialTLS(t, addr, config, websocket.ConnOptions{MaxMessage: 1 << 25})
	for _, n := range []int{0, 1, 128, 16 << 10, 64 << 10, 1<<20 + 3, 4 << 20} {
		echoed(t, c, n)
	}
	if err := c.Close(websocket.CodeNormal, "done"); err != nil {
		t.Errorf("Close: %v", err)
	}
	if e := await(t, ended); e == nil || e.Reason != "done" || e.Err != nil {
		t.Errorf("it ended with %v", e)
	}
}

// echoed sends a message of n bytes and checks that it comes back.
func echoed(t testing.TB, c *websocket.Conn, n int) {
	t.Helper()
	want := strings.Repeat("0123456789abcdef-", n/17+1)[:n]
	done := make(chan error, 1)
	ctx := bounded(t)
	go func() { done <- c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(want)}) }()
	got, err := c.Read(ctx)
	if err != nil || string(got.Data) != want || got.Type != websocket.Text {
		t.Errorf("got %v of %d bytes, %v; want %d", got.Type, len(got.Data), err, n)
	}
	if err := await(t, done); err != nil {
		t.Error(err)
	}
}

// More records than a visit reads lie in one read of the socket: none of them is forgotten.
func TestTLSManySmallRecords(t *testing.T) {
	addr, config := serveTLS(t, &Server{Handler: echo})
	c := dialTLS(t, addr, config, websocket.ConnOptions{})
	const n = 3000
	done := make(chan error, 1)
	ctx := bounded(t)
	go func() {
		for range n {
			if err := c.Write(ctx, websocket.Message{Type: websocket.Binary, Data: []byte("x")}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := range n {
		if m, err := c.Read(ctx); err != nil || string(m.Data) != "x" {
			t.Fatalf("message %d: %q, %v", i, m.Data, err)
		}
	}
	if err := await(t, done); err != nil {
		t.Error(err)
	}
}

func TestTLSHandshakeIsBounded(t *testing.T) {
	s := &Server{HeadTimeout: 50 * time.Millisecond}
	addr, _ := serveTLS(t, s)
	p := connect(t, addr)
	p.expectEOF() // it says nothing
	q := connect(t, addr)
	q.send("\x16\x03\x01") // it says something, and no more
	q.expectEOF()
}

func TestTLSShutdownDoesNotWaitForHandshakes(t *testing.T) {
	s := &Server{}
	addr, _ := serveTLS(t, s)
	p := connect(t, addr)
	p.SetDeadline(time.Now().Add(patience10))
	for i := 0; ; i++ { // until the server has accepted it
		s.mu.Lock()
		n := len(s.closers)
		s.mu.Unlock()
		if n == 2 {
			break
		}
	}
	if err := s.Shutdown(bounded(t)); err != nil {
		t.Error(err)
	}
	if _, err := p.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client reads %v", err)
	}
}
