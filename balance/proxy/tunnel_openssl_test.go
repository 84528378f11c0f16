//go:build e2e

package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/loop"
)

// openssl is the openssl program at the far end of a connection. It executes one-letter commands, and sends other lines as data.
type openssl struct {
	t     *testing.T
	in    io.WriteCloser
	lines *bufio.Reader
}

func startOpenSSL(t *testing.T, args ...string) *openssl {
	t.Helper()
	// openssl prints replies through stdio, which would buffer them.
	cmd := exec.CommandContext(bounded.Context(t), "stdbuf", append([]string{"-oL", "openssl"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	return &openssl{t, in, bufio.NewReader(out)}
}

// findLine returns the next output line that contains a text, or an error if there is none.
func (o *openssl) findLine(what string) (line string, err error) {
	for err == nil && !strings.Contains(line, what) {
		line, err = o.lines.ReadString('\n')
	}
	return line, err
}

// await returns the next line with a text.
func (o *openssl) await(what string) string {
	o.t.Helper()
	line, err := o.findLine(what)
	if err != nil { // openssl is killed when the time limit is reached
		o.t.Fatalf("got no line with %q: %v", what, err)
	}
	return line
}

// typeLine writes line and a newline to openssl's standard input.
func (o *openssl) typeLine(line string) {
	o.t.Helper()
	if _, err := io.WriteString(o.in, line+"\n"); err != nil {
		o.t.Fatal(err)
	}
}

// onEachOpenSSL runs a test for openssl as the client and as the server of a tunnel, on the event loop and without it.
func onEachOpenSSL(t *testing.T, version string, test func(r *rig, s side, o *openssl, to net.Conn)) {
	for _, s := range []side{client, upstream} {
		for _, threads := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, threads=%v", s, threads), func(t *testing.T) {
				k := kind{threads: threads, client: tcpPair, server: tcpPair}
				var o *openssl
				pair := func(testing.TB) (far, near net.Conn) {
					far, _ = net.Pipe() // not used, because the peer is openssl
					o, near = opensslPair(t, s, version)
					return far, near
				}
				if s == client {
					k.client = pair
				} else {
					k.server = pair
				}
				r := newRig(t, k).carry("", "", TunnelOptions{})
				_, to := r.peers(s)
				test(r, s, o, to)
			})
		}
	}
}

// opensslPair returns openssl as a client or a server, and the other end of its connection.
func opensslPair(t *testing.T, s side, version string) (*openssl, net.Conn) {
	t.Helper()
	if s == client {
		l := listen(t)
		defer l.Close()
		o := startOpenSSL(t, "s_client", "-connect", l.Addr().String(), version)
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn := tls.Server(&loop.Under{Conn: nc}, &tls.Config{Certificates: []tls.Certificate{certificate()}})
		if err := conn.HandshakeContext(bounded.Context(t)); err != nil {
			t.Fatal(err)
		}
		o.await("SSL handshake has read")
		return o, conn
	}
	c := certificate()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "both.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	o := startOpenSSL(t, "s_server", "-naccept", "1", "-accept", "127.0.0.1:0", "-cert", file, "-key", file, version)
	nc, err := net.Dial("tcp", strings.Fields(o.await("ACCEPT "))[1])
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(&loop.Under{Conn: nc}, &tls.Config{InsecureSkipVerify: true})
	if err := conn.HandshakeContext(bounded.Context(t)); err != nil {
		t.Fatal(err)
	}
	o.await("Secure Renegotiation")
	return o, conn
}

// done is the text that openssl prints when it has carried out a command.
func done(s side) string {
	if s == client {
		return "KEYUPDATE"
	}
	return "SSL_do_handshake"
}

// Key updates of the peer, with and without a request to update our keys, do not affect the tunnel.
func TestRFC8446_4_6_3_KeyUpdatesOfOpenSSL(t *testing.T) {
	onEachOpenSSL(t, "-tls1_3", func(r *rig, s side, o *openssl, to net.Conn) {
		for range 3 {
			for _, command := range []string{"K", "k"} { // with a request, and without
				o.typeLine(command)
				o.await(done(s)) // openssl mistakes a line that follows too soon for a part of the command
				o.typeLine("under new keys")
				expect(o.t, to, []byte("under new keys\n"))
				r.write(to, []byte("the answer\n"))
				o.await("the answer")
			}
		}
	})
}

// A peer that keeps updating its keys and sends no data is disconnected: the tunnel ends, and the other side is closed, too.
func TestRFC8446_4_6_3_KeyUpdateFlood(t *testing.T) {
	const most = 10_000 // crypto/tls disconnects after fewer than 40, but OpenSSL may send more before it notices
	onEachOpenSSL(t, "-tls1_3", func(r *rig, s side, o *openssl, to net.Conn) {
		n := 0
		for ; n < most; n++ {
			if _, err := io.WriteString(o.in, "K\n"); err != nil {
				break
			}
			if _, err := o.findLine(done(s)); err != nil {
				break
			}
		}
		if n == most {
			o.t.Errorf("got no end after %d key updates", n)
		}
		r.cutOff(s, to)
	})
}

// TLS 1.2 is not renegotiated: a peer that begins a renegotiation is disconnected.
func TestRFC5246_7_4_1_Renegotiation(t *testing.T) {
	onEachOpenSSL(t, "-tls1_2", func(r *rig, s side, o *openssl, to net.Conn) {
		o.typeLine("before")
		expect(o.t, to, []byte("before\n"))
		o.typeLine(map[side]string{client: "R", upstream: "r"}[s])
		r.cutOff(s, to)
	})
}

// cutOff checks that the tunnel ends because s has failed, and that the other side notices.
func (r *rig) cutOff(s side, to net.Conn) {
	r.t.Helper()
	if got := rest(r.t, to); len(got) > 0 {
		r.t.Errorf("got %q after the failure, want nothing", got)
	}
	to.Close()
	if e := r.ended(); e.Code != websocket.CodeAbnormal || e.Err == nil || e.ByPeer != (s == client) {
		r.t.Errorf("got %v, %v, want 1006 and an error of the %v", e, e.Err, s)
	}
}
