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

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func TestDialTenThousandLines(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--listen", "localhost:0")
	var in strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&in, "line %d\n", i)
	}
	if got := u.Handfast(in.String(), "dial", s.First("echo")); got.Code != 0 || got.Stdout != in.String() || got.Stderr != "" {
		t.Errorf("exit %d, %d bytes of %d, %q", got.Code, len(got.Stdout), in.Len(), got.Stderr)
	}
}

func TestDialBinary(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--tls", "off", "--listen", "127.0.0.1:0")
	in := make([]byte, 3<<20)
	if _, err := rand.Read(in); err != nil {
		t.Fatal(err)
	}
	if got := u.Handfast(string(in), "dial", "--binary", s.First("echo")); got.Code != 0 || got.Stdout != string(in) || got.Stderr != "" {
		t.Errorf("exit %d, %d bytes of %d, %q", got.Code, len(got.Stdout), len(in), got.Stderr)
	}
}

// Client and server compress if configured to, and messages arrive unchanged.
func TestDialCompress(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--tls", "off", "--listen", "127.0.0.1:0")
	in := strings.Repeat(strings.Repeat("all work and no play ", 1000)+"\n", 50)
	if got := u.Handfast(in, "dial", "--compress", s.First("echo")); got != (harness.Result{Stdout: in}) {
		t.Errorf("exit %d, %d bytes of %d, %q", got.Code, len(got.Stdout), len(in), got.Stderr)
	}
	extensions := make(chan string, 1)
	url := listen(t, func(_ *websocket.Conn, r *http.Request) { extensions <- r.Header.Get("Sec-Websocket-Extensions") })
	u.Handfast("", "dial", "--compress", url)
	if offer := bounded.Receive(t, extensions); !strings.Contains(offer, "permessage-deflate") {
		t.Errorf("offered %q", offer)
	}
}

// If the next program in a pipe exits early, the connection is closed normally.
func TestDialOutputCloses(t *testing.T) {
	ended := make(chan error, 1)
	u := harness.NewUser(t)
	peer := listen(t, func(c *websocket.Conn, r *http.Request) {
		go func() {
			for c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte("line")}) == nil {
			}
		}()
		_, err := c.Read(r.Context())
		ended <- err
	})
	cmd := u.Command("handfast", "dial", peer)
	stdin, err := cmd.StdinPipe() // never closed, so dial does not reach the end of its input
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
	if err := bounded.Receive(t, ended); websocket.CloseCode(err) != websocket.CodeNormal {
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
	u := harness.NewUser(t)
	for code, want := range map[websocket.Code]int{1000: 0, 1001: 0, 1008: 1, 1011: 1, 1013: 1, 3000: 1, 4999: 1} {
		url := listen(t, func(c *websocket.Conn, _ *http.Request) { _ = c.Close(code, "the reason") })
		got := u.Handfast("", "dial", "--wait", "1m", url)
		told := strings.Contains(got.Stderr, fmt.Sprint(int(code))) && strings.Contains(got.Stderr, "the reason")
		if got.Code != want || told != (want == 1) {
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
		cmd := harness.NewUser(t).Command("handfast", "dial", url)
		stdin, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(stdin, "x")
		bounded.Receive(t, ready)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
		if err := bounded.Receive(t, ended); websocket.CloseCode(err) != websocket.CodeNormal {
			t.Errorf("%v: the server saw %v", sig, err)
		}
	}
}

// dial can authenticate with a client certificate.
func TestDialClientCertificate(t *testing.T) {
	u := harness.NewUser(t)
	if got := u.Handfast("", "cert", "dev"); got.Code != 0 {
		t.Fatal(got)
	}
	both := filepath.Join(u.Home, ".local", "state", "handfast", "dev", "localhost.pem")
	s := httptest.NewUnstartedServer(handler(func(c *websocket.Conn, r *http.Request) {
		name := r.TLS.PeerCertificates[0].Subject.CommonName
		_ = c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte(name)})
		_ = c.Close(websocket.CodeNormal, "")
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(u.Home, "server.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	got := u.Handfast("", "dial", "--wait", "1m", "--cacert", ca, "--cert", both, s.URL)
	if got != (harness.Result{Stdout: "localhost\n"}) {
		t.Errorf("%+v", got)
	}
	got = u.Handfast("", "dial", "--wait", "1m", "--cacert", ca, s.URL)
	if got.Code != 1 || !strings.Contains(got.Stderr, "--cert") {
		t.Errorf("without one: %+v", got)
	}
}

func TestDialFails(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--listen", "localhost:0")
	base := strings.TrimSuffix(s.First("echo"), "/echo")
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{base + "/nothing"}, 1, []string{"404", "RFC 6455"}},
		{[]string{strings.Replace(base, "wss", "ws", 1) + "/echo"}, 1, []string{"wss://"}},
		{[]string{"--origin", "https://evil.example", s.First("echo")}, 1, []string{"403", "rigin"}},
		{[]string{"wss://127.0.0.9:1/"}, 1, []string{"tcp", "nothing is listening"}},
		{[]string{"-H", "Sec-WebSocket-Version: 8", s.First("echo")}, 2, []string{"-H"}},
		{[]string{"localhost:8443/echo"}, 2, []string{"wss://localhost:8443/echo"}},
		{[]string{"gopher://localhost/"}, 2, []string{"gopher"}},
		{[]string{}, 2, []string{"one URL"}},
		{[]string{"--http", "2", s.First("echo")}, 2, []string{"not available"}},
		{[]string{"-H", "nonsense", s.First("echo")}, 2, []string{"Name: value"}},
	} {
		got := u.Handfast("x\n", append([]string{"dial"}, tt.args...)...)
		if got.Code != tt.code || got.Stdout != "" {
			t.Errorf("%q: %+v", tt.args, got)
		}
		for _, want := range append(tt.want, "next step: ") {
			if !strings.Contains(got.Stderr, want) {
				t.Errorf("%q: no %q in %s", tt.args, want, got.Stderr)
			}
		}
	}
}

func TestOtherCommands(t *testing.T) {
	u := harness.NewUser(t)
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
		{"cert show it", 2, "such as it:443"},
		{"", 0, "serve"},
		{"nothing", 2, "nothing"},
		{"completion bash", 0, "complete"},
	} {
		got := u.Handfast("", strings.Fields(tt.args)...)
		out := got.Stdout
		if tt.code != 0 {
			out = got.Stderr
		}
		if got.Code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%q: %+v", tt.args, got)
		}
	}
}

// Neither the server nor any command prints the CA's private key.
func TestCAKeyIsNotPrinted(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--listen", "localhost:0")
	dir := filepath.Dir(s.First("CA"))
	key, err := os.ReadFile(filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Split(key, []byte("\n"))[1]
	all := strings.Join(s.Lines, "\n") + u.Handfast("", "cert", "dev").Stdout + u.Handfast("", "cert", "show").Stdout + s.Log.String()
	if len(secret) < 32 || strings.Contains(all, string(secret)) {
		t.Error("the key was printed")
	}
	pool := x509.NewCertPool()
	if ca, err := os.ReadFile(s.First("CA")); err != nil || !pool.AppendCertsFromPEM(ca) || bytes.Contains(ca, []byte("PRIVATE")) {
		t.Errorf("ca.pem: %v", err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "ca-key.pem"): 0o600,
		filepath.Join(dir, "localhost.pem"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}
