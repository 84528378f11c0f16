package proxy

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/loop"
)

// rig is a tunnel between two peers that a test controls.
type rig struct {
	t              testing.TB
	kind           kind
	client, server net.Conn // the peers' ends
	near           [2]net.Conn
	link           *Link // in place of near[upstream]
	c              *Carrier
	tunnel         *Tunnel
	done           chan error
}

// kind is a way to implement a tunnel. All kinds pass the same tests.
type kind struct {
	name    string
	threads bool // without an event loop
	off     bool // the event loop does not take the connections
	client  func(t testing.TB) (far, near net.Conn)
	server  func(t testing.TB) (far, near net.Conn) // nil means the upstream's handshake is on the event loop, too
	halves  bool                                    // a direction can be ended separately
}

var kinds = []kind{
	{name: "loop", client: tcpPair, server: tcpPair, halves: true},
	{name: "goroutines", threads: true, client: tcpPair, server: tcpPair, halves: true},
	{name: "client TLS", client: tlsPair, server: tcpPair, halves: true},
	{name: "client TLS, goroutines", threads: true, client: tlsPair, server: tcpPair, halves: true},
	{name: "server TLS", client: tcpPair, server: tlsServerPair, halves: true},
	{name: "server TLS, goroutines", threads: true, client: tcpPair, server: tlsServerPair, halves: true},
	{name: "both TLS", client: tlsPair, server: tlsServerPair, halves: true},
	{name: "both TLS, goroutines", threads: true, client: tlsPair, server: tlsServerPair, halves: true},
	{name: "TLS 1.2", client: oldTLSPair, server: tcpPair, halves: true},
	{name: "TLS on a connection of another kind", off: true, client: foreignTLSPair, server: tcpPair, halves: true},
	{name: "pipe", off: true, client: pipePair, server: pipePair},
	{name: "dialed", client: tcpPair, halves: true},
	{name: "dialed, named", client: namedPair, halves: true},
	{name: "dialed, client TLS", client: tlsPair, halves: true},
	{name: "dialed, client TLS on a connection of another kind", off: true, client: foreignTLSPair, halves: true},
}

// onEach runs a test on every kind.
func onEach(t *testing.T, test func(t *testing.T, r *rig)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, newRig(t, k)) })
	}
}

func newRig(t testing.TB, k kind) *rig {
	r := &rig{t: t, kind: k, c: NewCarrier(), done: make(chan error, 2)}
	if k.threads && r.c.loops != nil {
		r.c.loops.Stop()
		r.c.loops.Wait()
		r.c.loops = nil
	}
	t.Cleanup(func() { r.c.Close() })
	r.client, r.near[client] = k.client(t)
	if k.server == nil {
		r.server, r.link = dialed(t, r.c)
	} else {
		r.server, r.near[upstream] = k.server(t)
	}
	t.Cleanup(func() { r.client.Close(); r.server.Close() })
	return r
}

// carry begins the tunnel.
func (r *rig) carry(early, late string, o TunnelOptions) *rig {
	r.t.Helper()
	link := r.link
	if link == nil {
		link = &Link{Conn: r.near[upstream], Late: []byte(late)}
	} else if _, err := io.WriteString(r.server, late); err != nil {
		r.t.Fatal(err)
	}
	var err error
	if r.tunnel, err = r.c.carry(r.near[client], link, []byte(early), o, func(_ *Tunnel, err error) { r.done <- err }); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// ended waits for the end of the tunnel and returns it.
func (r *rig) ended() *websocket.CloseError {
	r.t.Helper()
	e, ok := errors.AsType[*websocket.CloseError](bounded.Receive(r.t, r.done))
	if !ok {
		r.t.Fatal("done was called without a CloseError")
	}
	if n := r.c.Len(); n != 0 {
		r.t.Errorf("got %d open tunnels, want 0", n)
	}
	return e
}

// write writes data without waiting for a reader.
func (r *rig) write(nc net.Conn, b []byte) <-chan error {
	wrote := make(chan error, 1)
	go func() {
		_, err := nc.Write(b)
		wrote <- err
	}()
	return wrote
}

// expect reads the data that must arrive next.
func expect(t testing.TB, nc net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	nc.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if n, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %.80q, %v, want %.80q", got[:n], err, want)
	}
}

// rest reads to the end of the stream, which may be a reset.
func rest(t testing.TB, nc net.Conn) []byte {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(2 * time.Minute))
	got, err := io.ReadAll(nc)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		t.Fatal("the stream did not end")
	}
	return got
}

func halfClose(t testing.TB, nc net.Conn) {
	t.Helper()
	if err := closeWrite(nc); err != nil {
		t.Fatal(err)
	}
}

// socketOf returns the socket below nc.
func socketOf(nc net.Conn) net.Conn {
	if conn, ok := nc.(*tls.Conn); ok {
		return conn.NetConn()
	}
	return nc
}

// truncate ends the stream below TLS. If possible, the connection is left open, because Close with unread bytes would reset the
// connection.
func truncate(nc net.Conn) {
	if nc = socketOf(nc); closeWrite(nc) != nil {
		nc.Close()
	}
}

// reset resets the connection, if it is a socket.
func reset(nc net.Conn) {
	nc = socketOf(nc)
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}

// frameOf returns a frame with a payload, masked if it is from a client.
func frameOf(op frame.Opcode, masked bool, payload []byte) []byte {
	h := frame.Header{Fin: true, Opcode: op, Masked: masked, Length: int64(len(payload))}
	payload = bytes.Clone(payload)
	if masked {
		h.Key = [4]byte{1, 2, 3, 4}
		frame.Mask(payload, h.Key)
	}
	return append(frame.Append(nil, h), payload...)
}

func closeFrameOfPeer(masked bool, code websocket.Code, reason string) []byte {
	return frameOf(frame.Close, masked, append([]byte{byte(code >> 8), byte(code)}, reason...))
}

// expectClose reads a close frame, whose masking key is not known in advance.
func expectClose(t testing.TB, nc net.Conn, masked bool, code websocket.Code, reason string) {
	t.Helper()
	head := make([]byte, 2)
	nc.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.ReadFull(nc, head); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, frame.Size(head[1]))
	if _, err := io.ReadFull(nc, raw[copy(raw, head):]); err != nil {
		t.Fatal(err)
	}
	h, _, err := frame.Parse(raw)
	if err != nil || h.Opcode != frame.Close || h.Masked != masked || !h.Fin {
		t.Fatalf("got %+v, %v, want a close frame with masked %v", h, err, masked)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(nc, payload); err != nil {
		t.Fatal(err)
	}
	if masked {
		frame.Mask(payload, h.Key)
	}
	if want := append([]byte{byte(code >> 8), byte(code)}, reason...); !bytes.Equal(payload, want) {
		t.Fatalf("close frame: got %q, want %q", payload, want)
	}
}

func tcpPair(t testing.TB) (far, near net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return far, near
}

// namedConn is a connection with a different address, like one behind the PROXY protocol.
type namedConn struct{ net.Conn }

func (n namedConn) Socket() net.Conn  { return n.Conn }
func (n namedConn) CloseWrite() error { return closeWrite(n.Conn) }

func namedPair(t testing.TB) (far, near net.Conn) {
	far, near = tcpPair(t)
	return far, namedConn{near}
}

// dialed returns a server's connection and the Link to it.
func dialed(t testing.TB, c *Carrier) (server net.Conn, link *Link) {
	t.Helper()
	l := listen(t)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		var r *http.Request
		nc, err := l.Accept()
		if err == nil {
			r, err = http.ReadRequest(bufio.NewReader(nc))
		}
		if err == nil {
			_, err = io.WriteString(nc, strings.Replace(accepts, "KEY", string(handshake.AppendAccept(nil, r.Header.Get("Sec-WebSocket-Key"))), 1))
		}
		if err != nil {
			t.Error(err)
		}
		accepted <- nc
	}()
	d, err := NewDialer(l.Addr().String(), DialerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if link, err = c.open(bounded.Context(t), d, parseRequest(t, plain+"\r\n")); err != nil {
		t.Fatal(err)
	}
	return bounded.Receive(t, accepted), link
}

func pipePair(testing.TB) (far, near net.Conn) { return net.Pipe() }

// tlsPair returns the ends of a client and a server, as package websocket creates them.
func tlsPair(t testing.TB) (far, near net.Conn) {
	return tlsPairOver(t, func(nc net.Conn) net.Conn { return &loop.Under{Conn: nc} }, false, 0)
}

// tlsServerPair returns the ends of a server and a client, as a Dialer creates them.
func tlsServerPair(t testing.TB) (far, near net.Conn) {
	return tlsPairOver(t, func(nc net.Conn) net.Conn { return &loop.Under{Conn: nc} }, true, 0)
}

func oldTLSPair(t testing.TB) (far, near net.Conn) {
	return tlsPairOver(t, func(nc net.Conn) net.Conn { return &loop.Under{Conn: nc} }, false, tls.VersionTLS12)
}

// foreignTLSPair is tlsPair on a connection that an event loop does not take.
func foreignTLSPair(t testing.TB) (far, near net.Conn) {
	return tlsPairOver(t, func(nc net.Conn) net.Conn { return nc }, false, 0)
}

// tlsPairOver returns both ends of a TLS connection. The near end is a server's, or a client's, and uses the result of under for
// its socket. most is the maximum TLS version, or 0 for any.
func tlsPairOver(t testing.TB, under func(net.Conn) net.Conn, clients bool, most uint16) (far, near net.Conn) {
	t.Helper()
	a, b := tcpPair(t)
	b = under(b)
	server := &tls.Config{Certificates: []tls.Certificate{certificate()}, MaxVersion: most}
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	front, back := tls.Server(b, server), tls.Client(a, client)
	if clients {
		front, back = tls.Client(b, client), tls.Server(a, server)
	}
	shook := make(chan error, 1)
	go func() { shook <- front.HandshakeContext(bounded.Context(t)) }()
	if err := back.HandshakeContext(bounded.Context(t)); err != nil {
		t.Fatal(err)
	}
	if err := bounded.Receive(t, shook); err != nil {
		t.Fatal(err)
	}
	return back, front
}

// certificate is for localhost, and self-signed.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		panic(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: c}
})
