package binary

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/websocket"
)

func TestDialTenThousandLines(t *testing.T) {
	u := newUser(t)
	s := u.serve("--listen", "localhost:0")
	var in strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&in, "line %d\n", i)
	}
	if got := u.run(in.String(), "dial", s.echo[0]); got.code != 0 || got.stdout != in.String() || got.stderr != "" {
		t.Errorf("exit %d, %d bytes of %d, %q", got.code, len(got.stdout), in.Len(), got.stderr)
	}
}

func TestDialBinary(t *testing.T) {
	u := newUser(t)
	s := u.serve("--tls", "off", "--listen", "127.0.0.1:0")
	in := make([]byte, 3<<20)
	if _, err := rand.Read(in); err != nil {
		t.Fatal(err)
	}
	if got := u.run(string(in), "dial", "--binary", s.echo[0]); got.code != 0 || got.stdout != string(in) || got.stderr != "" {
		t.Errorf("exit %d, %d bytes of %d, %q", got.code, len(got.stdout), len(in), got.stderr)
	}
}

// Both ends of the binary compress when asked to, and what goes through is the same.
func TestDialCompress(t *testing.T) {
	u := newUser(t)
	s := u.serve("--tls", "off", "--listen", "127.0.0.1:0")
	in := strings.Repeat(strings.Repeat("all work and no play ", 1000)+"\n", 50)
	if got := u.run(in, "dial", "--compress", s.echo[0]); got != (result{0, in, ""}) {
		t.Errorf("exit %d, %d bytes of %d, %q", got.code, len(got.stdout), len(in), got.stderr)
	}
	extensions := make(chan string, 1)
	url := listen(t, func(_ *websocket.Conn, r *http.Request) { extensions <- r.Header.Get("Sec-Websocket-Extensions") })
	u.run("", "dial", "--compress", url)
	if offer := <-extensions; !strings.Contains(offer, "permessage-deflate") {
		t.Errorf("offered %q", offer)
	}
}

// A program behind us in the pipe that has seen enough ends the connection, in good order.
func TestDialOutputCloses(t *testing.T) {
	ended := make(chan error, 1)
	u := newUser(t)
	peer := listen(t, func(c *websocket.Conn, r *http.Request) {
		go func() {
			for c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte("line")}) == nil {
			}
		}()
		_, err := c.Read(r.Context())
		ended <- err
	})
	cmd := u.command("dial", peer)
	stdin, err := cmd.StdinPipe() // stays open
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 5)
	if _, err := io.ReadFull(stdout, line); err != nil || string(line) != "line\n" {
		t.Errorf("%q, %v", line, err)
	}
	stdout.Close()
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v", err)
	}
	if err := <-ended; websocket.CloseCode(err) != websocket.CodeNormal {
		t.Errorf("the server saw %v", err)
	}
}

// listen runs a server in this process and returns its URL.
func listen(t *testing.T, serve func(c *websocket.Conn, r *http.Request)) string {
	t.Helper()
	s := httptest.NewServer(handler(serve))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func handler(serve func(c *websocket.Conn, r *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		serve(c, r)
	})
}

func TestDialExitCodes(t *testing.T) {
	u := newUser(t)
	for code, want := range map[websocket.Code]int{1000: 0, 1001: 0, 1008: 1, 1011: 1, 1013: 1, 3000: 1, 4999: 1} {
		url := listen(t, func(c *websocket.Conn, _ *http.Request) { _ = c.Close(code, "the reason") })
		got := u.run("", "dial", "--wait", "1m", url)
		told := strings.Contains(got.stderr, fmt.Sprint(int(code))) && strings.Contains(got.stderr, "the reason")
		if got.code != want || told != (want == 1) {
			t.Errorf("%v: %+v", code, got)
		}
	}
}

func TestDialSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		ended := make(chan error, 1)
		ready := make(chan struct{})
		url := listen(t, func(c *websocket.Conn, r *http.Request) {
			if _, err := c.Read(r.Context()); err == nil {
				close(ready)
			}
			_, err := c.Read(r.Context())
			ended <- err
		})
		cmd := newUser(t).command("dial", url)
		stdin, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(stdin, "x")
		<-ready
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
		if err := <-ended; websocket.CloseCode(err) != websocket.CodeNormal {
			t.Errorf("%v: the server saw %v", sig, err)
		}
	}
}

// A server that wants to know who the client is.
func TestDialClientCertificate(t *testing.T) {
	u := newUser(t)
	if got := u.run("", "cert", "dev"); got.code != 0 {
		t.Fatal(got)
	}
	both := filepath.Join(u.home, ".local", "state", "handfast", "dev", "localhost.pem")
	s := httptest.NewUnstartedServer(handler(func(c *websocket.Conn, r *http.Request) {
		name := r.TLS.PeerCertificates[0].Subject.CommonName
		_ = c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte(name)})
		_ = c.Close(websocket.CodeNormal, "")
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(u.home, "server.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	got := u.run("", "dial", "--wait", "1m", "--cacert", ca, "--cert", both, s.URL)
	if got != (result{0, "localhost\n", ""}) {
		t.Errorf("%+v", got)
	}
	got = u.run("", "dial", "--wait", "1m", "--cacert", ca, s.URL)
	if got.code != 1 || !strings.Contains(got.stderr, "--cert") {
		t.Errorf("without one: %+v", got)
	}
}

func TestDialFails(t *testing.T) {
	u := newUser(t)
	s := u.serve("--listen", "localhost:0")
	base := strings.TrimSuffix(s.echo[0], "/echo")
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{base + "/nothing"}, 1, []string{"404", "RFC 6455"}},
		{[]string{strings.Replace(base, "wss", "ws", 1) + "/echo"}, 1, []string{"wss://"}},
		{[]string{"--origin", "https://evil.example", s.echo[0]}, 1, []string{"403", "rigin"}},
		{[]string{"wss://127.0.0.9:1/"}, 1, []string{"tcp", "nothing listens"}},
		{[]string{"-H", "Sec-WebSocket-Version: 8", s.echo[0]}, 1, []string{"-H"}},
		{[]string{"localhost:8443/echo"}, 2, []string{"wss://localhost:8443/echo"}},
		{[]string{"gopher://localhost/"}, 2, []string{"gopher"}},
		{[]string{}, 2, []string{"one URL"}},
		{[]string{"--http", "2", s.echo[0]}, 2, []string{"not available"}},
		{[]string{"-H", "nonsense", s.echo[0]}, 2, []string{"Name: value"}},
	} {
		got := u.run("x\n", append([]string{"dial"}, tt.args...)...)
		if got.code != tt.code || got.stdout != "" {
			t.Errorf("%q: %+v", tt.args, got)
		}
		for _, want := range append(tt.want, "next step: ") {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%q: no %q in %s", tt.args, want, got.stderr)
			}
		}
	}
}

func TestOtherCommands(t *testing.T) {
	u := newUser(t)
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"version", 0, "handfast "},
		{"version --json", 0, `"platform"`},
		{"version now", 2, "version --help"},
		{"version --yaml", 2, "--yaml"},
		{"version -x", 2, "-x"},
		{"cert show", 1, "handfast cert dev"},
		{"cert dev", 0, "ca.pem"},
		{"cert show", 0, "ca.pem"},
		{"cert show --path", 0, "ca.pem"},
		{"cert dev now", 2, "cert dev --help"},
		{"cert dev --old", 2, "--old"},
		{"cert trust-me", 2, "trust-me"},
		{"cert show it", 2, "cert show --help"},
		{"", 0, "serve"},
		{"nothing", 2, "nothing"},
		{"completion bash", 0, "complete"},
	} {
		got := u.run("", strings.Fields(tt.args)...)
		out := got.stdout
		if tt.code != 0 {
			out = got.stderr
		}
		if got.code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%q: %+v", tt.args, got)
		}
	}
}

// The key of the CA stays where it is: neither the server nor any command shows it.
func TestKeyStaysHome(t *testing.T) {
	u := newUser(t)
	s := u.serve("--listen", "localhost:0")
	dir := filepath.Dir(s.ca)
	key, err := os.ReadFile(filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Split(key, []byte("\n"))[1]
	all := strings.Join(s.banner, "\n") + u.run("", "cert", "dev").stdout + u.run("", "cert", "show").stdout + s.stderr.String()
	if len(secret) < 32 || strings.Contains(all, string(secret)) {
		t.Error("the key was shown")
	}
	pool := x509.NewCertPool()
	if ca, err := os.ReadFile(s.ca); err != nil || !pool.AppendCertsFromPEM(ca) || bytes.Contains(ca, []byte("PRIVATE")) {
		t.Errorf("ca.pem: %v", err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "ca-key.pem"): 0o600,
		filepath.Join(dir, "localhost.pem"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}
