package binary

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func TestServePlainOnSeveralAddresses(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--tls", "off", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0")
	if len(s.Banner["echo"]) != 2 || s.First("CA") != "" || !strings.HasPrefix(s.Banner["echo"][1], "ws://127.0.0.2:") {
		t.Fatalf("banner %q", s.Lines)
	}
	for _, url := range s.Banner["echo"] {
		if got := u.Handfast("x\n", "dial", url); got != (harness.Result{Stdout: "x\n"}) {
			t.Errorf("%s: %+v", url, got)
		}
	}
	if _, err := os.Stat(filepath.Join(u.Home, ".local", "state", "handfast", "dev")); err == nil {
		t.Error("a CA was created")
	}
}

func TestServeFiles(t *testing.T) {
	issuer, u := harness.NewUser(t), harness.NewUser(t) // u has no development CA
	if got := issuer.Handfast("", "cert", "dev"); got.Code != 0 {
		t.Fatal(got)
	}
	dir := filepath.Join(issuer.Home, ".local", "state", "handfast", "dev")
	both, ca := filepath.Join(dir, "localhost.pem"), filepath.Join(dir, "ca.pem")
	s := u.Serve("--listen", "127.0.0.1:0", "--tls", "files", "--cert", both, "--key", both)
	for _, tt := range []struct {
		args []string
		code int
		want string // expected text on standard error
	}{
		{[]string{"--cacert", ca}, 0, ""},
		{[]string{"--insecure"}, 0, "read and change"},
		{nil, 1, "--cacert"},
	} {
		got := u.Handfast("x\n", append(append([]string{"dial"}, tt.args...), s.First("echo"))...)
		if got.Code != tt.code || (got.Stdout == "x\n") != (tt.code == 0) || !strings.Contains(got.Stderr, tt.want) {
			t.Errorf("%q: %+v", tt.args, got)
		}
	}
	if got := u.Handfast("", "dial", "--cacert", ca, strings.Replace(s.First("echo"), "127.0.0.1", "127.0.0.3", 1)); got.Code != 1 {
		t.Errorf("another address: %+v", got)
	}
}

// Several servers that are started concurrently for the first time share one CA, which dial trusts.
func TestServeConcurrentFirstStarts(t *testing.T) {
	u := harness.NewUser(t)
	const n = 6
	var starting sync.WaitGroup
	codes := make([]harness.Result, n)
	for i := range codes {
		starting.Go(func() { codes[i] = u.Handfast("", "cert", "dev") })
	}
	starting.Wait()
	ca := u.Handfast("", "cert", "show", "--path")
	first, _, _ := strings.Cut(codes[0].Stdout, "\n")
	for _, got := range codes {
		if got.Code != 0 || got.Stderr != "" || !strings.HasPrefix(got.Stdout, first+"\n") {
			t.Errorf("%+v, want CA %s", got, first)
		}
	}
	s := u.Serve("--listen", "localhost:0")
	if s.First("CA")+"\n" != ca.Stdout {
		t.Errorf("CA %q, want %q", s.First("CA"), ca.Stdout)
	}
	if got := u.Handfast("x\n", "dial", s.First("echo")); got != (harness.Result{Stdout: "x\n"}) {
		t.Errorf("%+v", got)
	}
}

func TestServeStopsWith1001(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		u := harness.NewUser(t)
		s := u.Serve("--tls", "off", "--listen", "127.0.0.1:0")
		c, err := websocket.Dial(bounded.Context(t), s.First("echo"), nil)
		if err != nil {
			t.Fatal(err)
		}
		hello := websocket.Message{Type: websocket.Text, Data: []byte("hello")}
		if err := c.Write(bounded.Context(t), hello); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(bounded.Context(t)); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := c.Read(bounded.Context(t))
			ended <- err
		}()
		if code := s.Stop(sig); code != 0 {
			t.Errorf("%v: exit %d", sig, code)
		}
		var e *websocket.CloseError
		if err := bounded.Receive(t, ended); !errors.As(err, &e) || e.Code != websocket.CodeGoingAway || !e.ByPeer || e.Err != nil {
			t.Errorf("%v: the client saw %v", sig, err)
		}
		if log := s.Log.String(); !strings.Contains(log, "msg=stopped closed=1 cut=0") {
			t.Errorf("%v: log %s", sig, log)
		}
	}
}

// After a second signal, the server does not wait for a client that does not respond.
func TestServeStopsImmediately(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--tls", "off", "--listen", "127.0.0.1:0")
	var d net.Dialer
	nc, err := d.DialContext(bounded.Context(t), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.First("echo"), "ws://"), "/echo"))
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
	s.Signal(syscall.SIGTERM)
	if first, err := r.ReadByte(); err != nil || first != 0x88 { // a close frame: the shutdown has begun
		t.Fatalf("%#x, %v; log %s", first, err, &s.Log)
	}
	if code := s.Stop(syscall.SIGTERM); code != 130 {
		t.Errorf("exit %d", code)
	}
}

func TestServeFails(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--tls", "off", "--listen", "127.0.0.1:0")
	taken := strings.TrimSuffix(strings.TrimPrefix(s.First("echo"), "ws://"), "/echo")
	readable := filepath.Join(u.Home, "text.pem")
	if err := os.WriteFile(readable, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--tls", "off", "--listen", taken}, 1, []string{taken, "in use", "port 0"}},
		{[]string{"--tls", "files", "--cert", "none.pem", "--key", "none.pem"}, 2, []string{"none.pem", "no such file"}},
		{[]string{"--tls", "files", "--cert", readable, "--key", readable}, 2, []string{readable, "PEM"}},
		{[]string{"--tls", "files"}, 2, []string{"--cert and --key"}},
		{[]string{"--listen", "8443"}, 2, []string{"localhost:8443"}},
		{[]string{"--tls", "on"}, 2, []string{"dev, off, files"}},
		{[]string{"now"}, 2, []string{"--config"}},
	} {
		got := u.Handfast("", append([]string{"serve"}, tt.args...)...)
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

// With an invalid development CA, the server does not start. The suggested command replaces the CA.
func TestServeBrokenCA(t *testing.T) {
	u := harness.NewUser(t)
	if got := u.Handfast("", "cert", "dev"); got.Code != 0 {
		t.Fatal(got)
	}
	key := filepath.Join(u.Home, ".local", "state", "handfast", "dev", "ca-key.pem")
	if err := os.WriteFile(key, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := u.Handfast("", "serve", "--listen", "localhost:0")
	if got.Code != 1 || !strings.Contains(got.Stderr, key) || !strings.Contains(got.Stderr, "handfast cert dev --new") {
		t.Errorf("%+v", got)
	}
	if got := u.Handfast("", "cert", "dev", "--new"); got.Code != 0 {
		t.Errorf("%+v", got)
	}
	s := u.Serve("--listen", "localhost:0")
	if got := u.Handfast("x\n", "dial", s.First("echo")); got != (harness.Result{Stdout: "x\n"}) {
		t.Errorf("%+v", got)
	}
}
