package websocket

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// raw is a peer that reads and writes individual frames, as a client or as a server.
type raw struct {
	testing.TB
	net.Conn
	role protocol.Role
}

// frame returns one encoded frame, masked if the peer is a client.
func (r raw) frame(op frame.Opcode, fin bool, payload string) []byte {
	h := frame.Header{Fin: fin, Opcode: op, Length: int64(len(payload))}
	if r.role == protocol.RoleClient {
		h.Masked, h.Key = true, [4]byte{0x37, 0xfa, 0x21, 0x3d}
	}
	b := frame.Append(nil, h)
	start := len(b)
	b = append(b, payload...)
	frame.Mask(b[start:], h.Key)
	return b
}

// send writes encoded frames.
func (r raw) send(frames ...[]byte) {
	r.Helper()
	for _, f := range frames {
		if _, err := r.Write(f); err != nil {
			r.Errorf("the raw peer cannot write: %v", err)
		}
	}
}

// next reads one frame and returns its header and unmasked payload.
func (r raw) next() (frame.Header, string) {
	r.Helper()
	b := make([]byte, 0, frame.MaxHeader)
	for {
		h, n, err := frame.Parse(b)
		if err != nil {
			r.Fatalf("the raw peer got a bad header % x: %v", b, err)
		}
		if n > 0 {
			payload := make([]byte, h.Length)
			if _, err := io.ReadFull(r.Conn, payload); err != nil {
				r.Fatalf("the raw peer cannot read a payload: %v", err)
			}
			frame.Mask(payload, h.Key)
			return h, string(payload)
		}
		b = b[:len(b)+1]
		if _, err := io.ReadFull(r.Conn, b[len(b)-1:]); err != nil {
			r.Fatalf("the raw peer cannot read a header: %v", err)
		}
	}
}

// expect reads one frame and checks it.
func (r raw) expect(op frame.Opcode, payload string) {
	r.Helper()
	h, got := r.next()
	if h.Opcode != op || got != payload || !h.Fin || h.RSV != 0 || h.Masked != (r.role == protocol.RoleServer) {
		r.Errorf("the raw peer got %+v %q, want %v %q", h, got, op, payload)
	}
}

// expectClose reads one close frame and checks its code.
func (r raw) expectClose(code Code) {
	r.Helper()
	h, got := r.next()
	if h.Opcode != frame.Close || len(got) < 2 || Code(got[0])<<8|Code(got[1]) != code {
		r.Errorf("the raw peer got %+v %q, want a close frame with %v", h, got, code)
	}
}

// closeBody is the payload of a close frame.
func closeBody(code Code, reason string) string {
	return string([]byte{byte(code >> 8), byte(code)}) + reason
}

// overStream calls NewConn without extensions and without a subprotocol.
func overStream(rwc io.ReadWriteCloser, role protocol.Role, opts *ConnOptions) *Conn {
	return newConn(rwc, role, opts, &Handshake{}, nil, nil)
}

// rawPipe connects a Conn of the given role with a raw peer in memory.
func rawPipe(t testing.TB, role protocol.Role, opts *ConnOptions) (*Conn, raw) {
	t.Helper()
	near, far := net.Pipe()
	c := overStream(near, role, opts)
	t.Cleanup(func() { c.CloseNow(); far.Close() })
	return c, raw{t, far, protocol.RoleClient - role}
}

// rawTCP is like rawPipe over TCP, and rawTLS is like rawPipe over TLS on TCP.
func rawTCP(t testing.TB, role protocol.Role, opts *ConnOptions) (*Conn, raw) {
	t.Helper()
	near, far := tcpPair(t)
	c := overStream(near, role, opts)
	t.Cleanup(func() { c.CloseNow(); far.Close() })
	return c, raw{t, far, protocol.RoleClient - role}
}

func rawTLS(t testing.TB, role protocol.Role, opts *ConnOptions) (*Conn, raw) {
	t.Helper()
	near, far := tlsPair(t)
	c := overStream(near, role, opts)
	t.Cleanup(func() { c.CloseNow(); far.NetConn().Close() })
	return c, raw{t, far, protocol.RoleClient - role}
}

// tlsPair returns the two ends of a TLS connection on loopback, after the handshake.
func tlsPair(t testing.TB) (*tls.Conn, *tls.Conn) {
	t.Helper()
	near, far := tcpPair(t)
	server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}})
	client := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := bounded.Receive(t, done); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func testCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
