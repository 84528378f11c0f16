package binary

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// What somebody does who has just built it: serve, and in another terminal what serve says to try.
func TestNewcomer(t *testing.T) {
	u := newUser(t)
	s := u.serve("--listen", "localhost:0")
	if s.ca != filepath.Join(u.home, ".local", "state", "handfast", "dev", "ca.pem") {
		t.Errorf("the CA lies in %s", s.ca)
	}
	if !strings.HasPrefix(s.page[0], "https://localhost:") || !strings.HasPrefix(s.echo[0], "wss://localhost:") {
		t.Errorf("banner %q", s.banner)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", s.try)
	cmd.Env = append(os.Environ(), "HOME="+u.home, "XDG_STATE_HOME=")
	cmd.Stdin = strings.NewReader("hello\n")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("%s: %v, %q", s.try, err, out)
	}

	pem, err := os.ReadFile(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	browser := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.page[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(page), "console.js") {
		t.Errorf("page %q, %v", page, err)
	}
	if code := s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	if help := u.run("", "serve", "--help"); !strings.Contains(help.stdout, "localhost:8443") {
		t.Error("the help does not name the usual address")
	}
}

func TestServePlainOnSeveralAddresses(t *testing.T) {
	u := newUser(t)
	s := u.serve("--tls", "off", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0")
	if len(s.echo) != 2 || s.ca != "" || !strings.HasPrefix(s.echo[1], "ws://127.0.0.2:") {
		t.Fatalf("banner %q", s.banner)
	}
	for _, url := range s.echo {
		if got := u.run("x\n", "dial", url); got != (result{0, "x\n", ""}) {
			t.Errorf("%s: %+v", url, got)
		}
	}
	if _, err := os.Stat(filepath.Join(u.home, ".local")); err == nil {
		t.Error("a CA was made")
	}
}

func TestServeFiles(t *testing.T) {
	issuer, u := newUser(t), newUser(t) // u has no development CA
	if got := issuer.run("", "cert", "dev"); got.code != 0 {
		t.Fatal(got)
	}
	dir := filepath.Join(issuer.home, ".local", "state", "handfast", "dev")
	both, ca := filepath.Join(dir, "localhost.pem"), filepath.Join(dir, "ca.pem")
	s := u.serve("--listen", "127.0.0.1:0", "--tls", "files", "--cert", both, "--key", both)
	for _, tt := range []struct {
		args []string
		code int
		want string // on standard error
	}{
		{[]string{"--cacert", ca}, 0, ""},
		{[]string{"--insecure"}, 0, "read and change"},
		{nil, 1, "--cacert"},
	} {
		got := u.run("x\n", append(append([]string{"dial"}, tt.args...), s.echo[0])...)
		if got.code != tt.code || (got.stdout == "x\n") != (tt.code == 0) || !strings.Contains(got.stderr, tt.want) {
			t.Errorf("%q: %+v", tt.args, got)
		}
	}
	if got := u.run("", "dial", "--cacert", ca, strings.Replace(s.echo[0], "127.0.0.1", "127.0.0.3", 1)); got.code != 1 {
		t.Errorf("another address: %+v", got)
	}
}

// Several servers that are started for the first time at once end up with one CA, which dial trusts.
func TestServeFirstStartsAtOnce(t *testing.T) {
	u := newUser(t)
	const n = 6
	var starting sync.WaitGroup
	codes := make([]result, n)
	for i := range codes {
		starting.Go(func() { codes[i] = u.run("", "cert", "dev") })
	}
	starting.Wait()
	ca := u.run("", "cert", "show", "--path")
	first, _, _ := strings.Cut(codes[0].stdout, "\n")
	for _, got := range codes {
		if got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, first+"\n") {
			t.Errorf("%+v, want CA %s", got, first)
		}
	}
	s := u.serve("--listen", "localhost:0")
	if s.ca+"\n" != ca.stdout {
		t.Errorf("CA %q, want %q", s.ca, ca.stdout)
	}
	if got := u.run("x\n", "dial", s.echo[0]); got != (result{0, "x\n", ""}) {
		t.Errorf("%+v", got)
	}
}

func TestServeStopsWith1001(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		u := newUser(t)
		s := u.serve("--tls", "off", "--listen", "127.0.0.1:0")
		c, err := websocket.Dial(t.Context(), s.echo[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		hello := websocket.Message{Type: websocket.Text, Data: []byte("hello")}
		if err := c.Write(t.Context(), hello); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := c.Read(t.Context())
			ended <- err
		}()
		if code := s.stop(t, sig); code != 0 {
			t.Errorf("%v: exit %d", sig, code)
		}
		var e *websocket.CloseError
		if err := <-ended; !errors.As(err, &e) || e.Code != websocket.CodeGoingAway || e.By != websocket.Remote || e.Err != nil {
			t.Errorf("%v: the client saw %v", sig, err)
		}
		if log := s.stderr.String(); !strings.Contains(log, "msg=stopped closed=1 cut=0") {
			t.Errorf("%v: log %s", sig, log)
		}
	}
}

// A second signal does not wait for a client that does not answer.
func TestServeStopsAtOnce(t *testing.T) {
	u := newUser(t)
	s := u.serve("--tls", "off", "--listen", "127.0.0.1:0")
	var d net.Dialer
	nc, err := d.DialContext(t.Context(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.echo[0], "ws://"), "/echo"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, err = io.WriteString(nc, "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	defer resp.Body.Close()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if first, err := r.ReadByte(); err != nil || first != 0x88 { // a close frame: the stop has begun
		t.Fatalf("%#x, %v; log %s", first, err, s.stderr)
	}
	if code := s.stop(t, syscall.SIGTERM); code != 130 {
		t.Errorf("exit %d", code)
	}
}

func TestServeFails(t *testing.T) {
	u := newUser(t)
	s := u.serve("--tls", "off", "--listen", "127.0.0.1:0")
	taken := strings.TrimSuffix(strings.TrimPrefix(s.echo[0], "ws://"), "/echo")
	readable := filepath.Join(u.home, "text.pem")
	if err := os.WriteFile(readable, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--tls", "off", "--listen", taken}, 1, []string{taken, "in use", "port 0"}},
		{[]string{"--tls", "files", "--cert", "none.pem", "--key", "none.pem"}, 1, []string{"none.pem", "no such file"}},
		{[]string{"--tls", "files", "--cert", readable, "--key", readable}, 1, []string{readable, "PEM"}},
		{[]string{"--tls", "files"}, 2, []string{"--cert and --key"}},
		{[]string{"--listen", "8443"}, 2, []string{"localhost:8443"}},
		{[]string{"--tls", "on"}, 2, []string{"dev, off, files"}},
		{[]string{"now"}, 2, []string{"serve --help"}},
	} {
		got := u.run("", append([]string{"serve"}, tt.args...)...)
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

// A CA that is not what it should be stops the server, and the advice that it gives helps.
func TestServeBrokenCA(t *testing.T) {
	u := newUser(t)
	if got := u.run("", "cert", "dev"); got.code != 0 {
		t.Fatal(got)
	}
	key := filepath.Join(u.home, ".local", "state", "handfast", "dev", "ca-key.pem")
	if err := os.WriteFile(key, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := u.run("", "serve", "--listen", "localhost:0")
	if got.code != 1 || !strings.Contains(got.stderr, key) || !strings.Contains(got.stderr, "handfast cert dev --new") {
		t.Errorf("%+v", got)
	}
	if got := u.run("", "cert", "dev", "--new"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	s := u.serve("--listen", "localhost:0")
	if got := u.run("x\n", "dial", s.echo[0]); got != (result{0, "x\n", ""}) {
		t.Errorf("%+v", got)
	}
}
