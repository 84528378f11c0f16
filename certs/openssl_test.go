//go:build e2e

package certs

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openssl connects to an echo server, waits for a line to be echoed, and returns the program's output.
func openssl(t *testing.T, addr string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", addr, "-servername", "localhost"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Write([]byte("line of a test\n")) // this fails if the server rejects the client; the output then contains the alert
	var output strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		output.WriteString(lines.Text() + "\n")
		if strings.HasSuffix(lines.Text(), "line of a test") {
			in.Close() // openssl has received the ticket before the echo
		}
	}
	in.Close()
	_ = cmd.Wait() // the exit code is 1 whenever the server closes first
	return output.String() + stderr.String()
}

// Nodes that share a secret resume each other's sessions; other nodes do not. The client is openssl.
func TestOpenSSLResumes(t *testing.T) {
	dev := open(t, stateDir(t), "box")
	a, b := secretLine('a'), secretLine('b')
	one, same, other := newNode(t, time.Now(), dev, a), newNode(t, time.Now(), dev, a), newNode(t, time.Now(), dev, b)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		session := filepath.Join(t.TempDir(), "session")
		if output := openssl(t, one.addr, version, "-sess_out", session); !strings.Contains(output, "New, TLSv1.") {
			t.Fatalf("%s: %s", version, output)
		}
		if output := openssl(t, same.addr, version, "-sess_in", session); !strings.Contains(output, "Reused, TLSv1.") {
			t.Errorf("%s: the same secret: %s", version, output)
		}
		if output := openssl(t, other.addr, version, "-sess_in", session); !strings.Contains(output, "New, TLSv1.") {
			t.Errorf("%s: another secret: %s", version, output)
		}
	}
}

// A server accepts the client certificate that openssl sends, and sends an alert if there is none.
func TestOpenSSLClientCertificate(t *testing.T) {
	ca, other := newIssuer(t), newIssuer(t)
	dir := t.TempDir()
	file := func(name string, content []byte) string { return write(t, filepath.Join(dir, name), content) }
	good, foreign := file("good", ca.issue([]string{"device"}).both()), file("foreign", other.issue([]string{"device"}).both())
	dev := open(t, stateDir(t), "box")
	p, _ := openProvider(t, Options{Dev: dev, ClientAuth: ClientAuthRequired, ClientCAs: []string{file("ca", ca.pem())},
		MinVersion: tls.VersionTLS13})
	addr := echo(t, p.TLSConfig())
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-cert", good, "-key", good, "-CAfile", dev.CAFile(), "-verify_return_error"}, "line of a test\n"},
		{[]string{"-cert", foreign, "-key", foreign}, "alert unknown ca"},
		{nil, "alert certificate required"},
		{[]string{"-tls1_2", "-cert", good, "-key", good}, "alert protocol version"},
	} {
		if output := openssl(t, addr, tt.args...); !strings.Contains(output, tt.want) {
			t.Errorf("%q: the output does not contain %q\n%s", tt.args, tt.want, output)
		}
	}
	if output := openssl(t, addr); !strings.Contains(output, ca.cert.Subject.CommonName) {
		t.Errorf("the server does not list the CAs that it accepts:\n%s", output)
	}
}
