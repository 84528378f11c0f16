//go:build linux

package websocket

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

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// evCertificate returns a self-signed certificate for localhost, and a pool that contains it.
func evCertificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
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

// evServeTLS is like evServe, for wss.
func evServeTLS(t testing.TB, s *evServer) (addr string, client *tls.Config) {
	t.Helper()
	cert, pool := evCertificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- s.ServeTLS(l, &tls.Config{Certificates: []tls.Certificate{cert}}) }()
	t.Cleanup(func() {
		s.Close()
		if err := s.Shutdown(evBounded(t)); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := bounded.Receive(t, over); !errors.Is(err, errEvClosed) {
			t.Errorf("ServeTLS returned %v", err)
		}
	})
	return l.Addr().String(), &tls.Config{RootCAs: pool}
}

func evDialTLS(t testing.TB, addr string, config *tls.Config, o ConnOptions) *Conn {
	t.Helper()
	c, err := Dial(evBounded(t), "wss://"+addr+"/", &DialOptions{TLS: config, Conn: o})
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func TestEventTLSEchoOfAllSizes(t *testing.T) {
	h, ended := evEnds()
	h.Open = func(c *eventConn) {
		if state := c.TLS(); state == nil || !state.HandshakeComplete {
			t.Error("there is no TLS state")
		}
	}
	addr, config := evServeTLS(t, &evServer{Handler: h, Options: AcceptOptions{Conn: ConnOptions{MaxMessage: 1 << 25}}})
	c := evDialTLS(t, addr, config, ConnOptions{MaxMessage: 1 << 25})
	for _, n := range []int{0, 1, 128, 16 << 10, 64 << 10, 1<<20 + 3, 4 << 20} {
		evEchoed(t, c, n)
	}
	if err := c.Close(CodeNormal, "done"); err != nil {
		t.Errorf("Close: %v", err)
	}
	if e := evAwait(t, ended); e == nil || e.Reason != "done" || e.Err != nil {
		t.Errorf("the connection ended with %v", e)
	}
}

// evEchoed sends a message of n bytes and checks the echo.
func evEchoed(t testing.TB, c *Conn, n int) {
	t.Helper()
	want := strings.Repeat("0123456789abcdef-", n/17+1)[:n]
	done := make(chan error, 1)
	ctx := evBounded(t)
	go func() { done <- c.Write(ctx, Message{Type: Text, Data: []byte(want)}) }()
	got, err := c.Read(ctx)
	if err != nil || string(got.Data) != want || got.Type != Text {
		t.Errorf("got %v of %d bytes, %v; want %d", got.Type, len(got.Data), err, n)
	}
	if err := evAwait(t, done); err != nil {
		t.Error(err)
	}
}

// One read of the socket returns more TLS records than a visit handles. All of them must be handled.
func TestEventTLSManySmallRecords(t *testing.T) {
	addr, config := evServeTLS(t, &evServer{Handler: evEcho})
	c := evDialTLS(t, addr, config, ConnOptions{})
	const n = 3000
	done := make(chan error, 1)
	ctx := evBounded(t)
	go func() {
		for range n {
			if err := c.Write(ctx, Message{Type: Binary, Data: []byte("x")}); err != nil {
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
	if err := evAwait(t, done); err != nil {
		t.Error(err)
	}
}

func TestEventTLSHandshakeIsBounded(t *testing.T) {
	s := &evServer{HeadTimeout: 50 * time.Millisecond}
	addr, _ := evServeTLS(t, s)
	p := evConnect(t, addr)
	p.expectEOF() // the client sends nothing
	q := evConnect(t, addr)
	q.send("\x16\x03\x01") // the client sends a few bytes and then pauses
	q.expectEOF()
}

func TestEventTLSShutdownDoesNotWaitForHandshakes(t *testing.T) {
	s := &evServer{}
	addr, _ := evServeTLS(t, s)
	p := evConnect(t, addr)
	p.SetDeadline(time.Now().Add(evTimeout))
	bounded.Until(t, func() bool { // waits until the server has accepted the connection
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.stops) == 2
	})
	if err := s.Shutdown(evBounded(t)); err != nil {
		t.Error(err)
	}
	if _, err := p.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client reads %v", err)
	}
}
