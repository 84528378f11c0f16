//go:build e2e

package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket/loop"
)

// Key updates of the peer, with and without a request for one of ours, pass unnoticed.
func TestRFC8446_4_6_3_KeyUpdatesOfOpenSSL(t *testing.T) {
	for _, k := range []kind{kinds[2], kinds[3]} {
		t.Run(k.name, func(t *testing.T) {
			l := listen(t)
			defer l.Close()
			cmd := exec.CommandContext(bounded.Context(t), "openssl", "s_client", "-connect", l.Addr().String(), "-tls1_3")
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
			defer func() { in.Close(); cmd.Process.Kill(); cmd.Wait() }()
			lines := bufio.NewReader(out)
			await := func(what string) {
				t.Helper()
				for line := ""; !strings.Contains(line, what); {
					if line, err = lines.ReadString('\n'); err != nil { // openssl is killed when the time limit is reached
						t.Fatalf("no %q: %v", what, err)
					}
				}
			}
			nc, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn := tls.Server(&loop.Under{Conn: nc}, &tls.Config{Certificates: []tls.Certificate{certificate()}})
			if err := conn.HandshakeContext(bounded.Context(t)); err != nil {
				t.Fatal(err)
			}
			k.client = func(testing.TB) (far, near net.Conn) {
				far, _ = net.Pipe() // not used: the client is openssl
				return far, conn
			}
			r := newRig(t, k).carry("", "", TunnelOptions{})
			await("SSL handshake has read")
			for range 3 {
				for _, command := range []string{"K\n", "k\n"} { // with a request, and without
					if _, err := io.WriteString(in, command); err != nil {
						t.Fatal(err)
					}
					await("KEYUPDATE") // openssl takes a line that follows too soon for a part of the command
					if _, err := io.WriteString(in, "under new keys\n"); err != nil {
						t.Fatal(err)
					}
					expect(t, r.server, []byte("under new keys\n"))
					r.says(r.server, []byte("the answer\n"))
					await("the answer")
				}
			}
		})
	}
}
