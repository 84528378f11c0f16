package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func TestExplainOpened(t *testing.T) {
	u := peer(t, echo)
	got := runCommand(t, "explain", "--echo", "hello", "--proxy", "none", u)
	if got.code != exitOK || got.stderr != "" {
		t.Errorf("exit %d, %q", got.code, got.stderr)
	}
	for _, want := range []string{
		"✓ tcp        connect to 127.0.0.1:", "→ GET / HTTP/1.1", "← HTTP/1.1 101 Switching Protocols",
		"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", "the same message was received", "round trip", "clean, with code 1000", "\n✓ It opened in ",
		"cross-site-origin-accepted",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "\x1b") {
		t.Error("the output has colors although it is not a terminal")
	}
	got = runCommand(t, "explain", "--no-cross-site", "--proxy", "none", u)
	if got.code != exitOK || strings.Contains(got.stdout, "attacker") {
		t.Errorf("exit %d\n%s", got.code, got.stdout)
	}
}

func TestExplainFailed(t *testing.T) {
	state(t)
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	u := "ws" + strings.TrimPrefix(s.URL, "http") + "/chat"
	got := runCommand(t, "explain", "--proxy", "none", u)
	if got.code != exitFailed || !strings.Contains(got.stdout, "\n✗ why        status-404\n") || got.stderr != "" {
		t.Errorf("exit %d, %q\n%s", got.code, got.stderr, got.stdout)
	}
	got = runCommand(t, "explain", "--json", "--proxy", "none", u)
	var r explain.Report
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.code != exitFailed || got.stderr != "" {
		t.Fatalf("exit %d, %v\n%s", got.code, err, got.stdout)
	}
	if r.Opened || r.Diagnosis == nil || r.Diagnosis.ID != explain.FaultStatus404 || r.Response.Status != 404 || r.URL != u {
		t.Errorf("%+v", r)
	}
}

// With --summary and --report, a short summary is printed, and the file contains the complete report.
func TestExplainSummaryAndReport(t *testing.T) {
	state(t)
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ticket.md")
	got := runCommand(t, "explain", "--summary", "--report", file, "--proxy", "none", "ws"+strings.TrimPrefix(s.URL, "http")+"/chat?token=hidden-9912")
	if got.code != exitFailed || strings.Count(got.stdout, "\n") > 10 || !strings.Contains(got.stdout, "why        status-404: ") || got.stderr != "" {
		t.Errorf("exit %d, %q\n%s", got.code, got.stderr, got.stdout)
	}
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), "## Why: status-404") || !strings.Contains(string(b), "[redacted]") || strings.Contains(string(b), "hidden-9912") {
		t.Errorf("%v\n%s", err, b)
	}
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := []string{"explain", "--summary", "--report", file, "--proxy", "none", "ws" + strings.TrimPrefix(s.URL, "http") + "/chat"}
	got = runCommand(t, again...)
	if kept, _ := os.ReadFile(file); got.code != exitFailed || got.stdout != "" || string(kept) != "mine" || !strings.Contains(got.stderr, "--report "+strings.TrimSuffix(file, ".md")+"-2.md; --force") {
		t.Errorf("an existing file: %+v, %.20s", got, kept)
	}
	got = runCommand(t, append(again, "--force")...)
	if b, _ := os.ReadFile(file); got.code != exitFailed || got.stderr != "" || !strings.Contains(string(b), "## Why: status-404") {
		t.Errorf("--force: %+v, %.20s", got, b)
	}
	for _, name := range []string{"ticket.html", "ticket.HTM"} {
		file := filepath.Join(t.TempDir(), name)
		got := runCommand(t, "explain", "--summary", "--report", file, "--proxy", "none", "ws"+strings.TrimPrefix(s.URL, "http")+"/chat?token=hidden-9912")
		b, err := os.ReadFile(file)
		if page := string(b); got.code != exitFailed || err != nil || !strings.HasPrefix(page, "<!doctype html>") || !strings.Contains(page, "<h3>Why: status-404</h3>") ||
			!strings.Contains(page, "[redacted]") || strings.Contains(page, "hidden-9912") {
			t.Errorf("%s: exit %d, %v\n%s", name, got.code, err, b)
		}
	}
	for _, other := range []string{"--json", "--watch=1s"} {
		if got := runCommand(t, "explain", "--summary", other, s.URL); got.code != exitUsage {
			t.Errorf("%s: exit %d", other, got.code)
		}
	}
}

// Two URLs are compared.
func TestExplainCompares(t *testing.T) {
	good := peer(t, echo)
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	bad := "ws" + strings.TrimPrefix(s.URL, "http") + "/"
	got := runCommand(t, "explain", "--proxy", "none", good, bad)
	if got.code != exitFailed || !strings.Contains(got.stdout, "outcome       A opened\n") || !strings.Contains(got.stdout, "              B status-404: ") ||
		!strings.Contains(got.stdout, "\nthe same: tls,") {
		t.Errorf("exit %d, %q\n%s", got.code, got.stderr, got.stdout)
	}
	if got := runCommand(t, "explain", "--proxy", "none", good, good); got.code != exitOK || strings.Contains(got.stdout, "outcome       A") {
		t.Errorf("the same twice: exit %d\n%s", got.code, got.stdout)
	}
	file := filepath.Join(t.TempDir(), "ticket.md")
	got = runCommand(t, "explain", "--proxy", "none", "--json", "--report", file, good, bad)
	var c explain.Comparison
	if err := json.Unmarshal([]byte(got.stdout), &c); err != nil || got.code != exitFailed {
		t.Fatalf("--json: exit %d, %v, %q", got.code, err, got.stderr)
	}
	if c.A.URL != good || c.B.Response.Status != http.StatusNotFound || !slices.Contains(c.Same, "tls") ||
		!slices.Contains(c.Differences, explain.Difference{Name: "answer", A: "101", B: "404"}) {
		t.Errorf("--json: %+v", c)
	}
	ticket, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Two WebSocket handshakes, compared\n", "outcome       A opened\n", "\n## Why: status-404\n"} {
		if !strings.Contains(string(ticket), want) {
			t.Errorf("--report: %q is not in\n%s", want, ticket)
		}
	}
	page := filepath.Join(t.TempDir(), "ticket.html")
	runCommand(t, "explain", "--proxy", "none", "--report", page, good, bad)
	ticket, err = os.ReadFile(page)
	if want := "<tr><th scope=\"row\">answer</th><td>101</td><td>404</td></tr>"; err != nil || !strings.Contains(string(ticket), want) ||
		strings.Count(string(ticket), "<h3>Steps</h3>") != 2 {
		t.Errorf("--report: %v, %q and the steps of both are not in\n%s", err, want, ticket)
	}
	if got := runCommand(t, "explain", "--summary", good, bad); got.code != exitUsage {
		t.Errorf("--summary: exit %d", got.code)
	}
}

// Frames are printed as lines while they are watched, followed by the report.
func TestExplainWatchJSON(t *testing.T) {
	u := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		c.Read(ctx) // the message of the echo test, after which watching begins
		c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("go")})
		for range 3 {
			c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("<news>")})
		}
		c.Close(websocket.CodeServiceRestart, "later")
	})
	got := runCommand(t, "explain", "--json", "--watch", "--echo", "go", "--proxy", "none", "--no-probes", u)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	news := 0
	for _, line := range lines[:len(lines)-1] {
		var row struct{ Frame explain.Frame }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if row.Frame.Preview == "<news>" {
			news++
		}
	}
	var last struct{ Report *explain.Report }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Report == nil {
		t.Fatalf("%v in %s", err, lines[len(lines)-1])
	}
	if got.code != exitOK || news != 3 || last.Report.Close.Code != 1012 || last.Report.Close.By != "server" {
		t.Errorf("exit %d, %d news, %+v", got.code, news, last.Report.Close)
	}
}

// Ctrl-C stops a watch with a normal close.
func TestExplainWatchInterrupted(t *testing.T) {
	u := peer(t, echo)
	signals := make(chan os.Signal, 1)
	r, w := io.Pipe()
	done := make(chan int)
	var errs buffer
	go func() {
		code := Run(context.Background(), []string{"explain", "--watch", "--proxy", "none", u}, System{
			Stdin: strings.NewReader(""), Stdout: w, Stderr: &errs, Signals: signals, Getenv: func(string) string { return "" },
		})
		w.Close()
		done <- code
	}()
	var all strings.Builder
	for s := bufio.NewScanner(r); s.Scan(); {
		all.WriteString(s.Text() + "\n")
		if strings.HasPrefix(s.Text(), "… watch") {
			signals <- syscall.SIGINT
		}
	}
	if code := bounded.Receive(t, done); code != exitOK || !strings.Contains(all.String(), "clean, with code 1000") || errs.String() != "" {
		t.Errorf("exit %d, %q\n%s", code, errs.String(), all.String())
	}
}

// If Ctrl-C is pressed while waiting for a response, the exit code is the one that shells use.
func TestExplainInterrupted(t *testing.T) {
	state(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	signals := make(chan os.Signal, 1)
	closedPipe := make(chan struct{})
	go func() {
		defer close(closedPipe)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		http.ReadRequest(bufio.NewReader(c))
		signals <- syscall.SIGINT
		io.Copy(io.Discard, c)
	}()
	got := runWith(t, strings.NewReader(""), signals, "explain", "--proxy", "none", "ws://"+ln.Addr().String()+"/")
	bounded.Receive(t, closedPipe)
	if got.code != exitInterrupted || !strings.Contains(got.stdout, "interrupted") {
		t.Errorf("exit %d\n%s", got.code, got.stdout)
	}
}

func TestExplainUsage(t *testing.T) {
	state(t)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "one URL, or two to compare, not 0"},
		{[]string{"ws://a/", "ws://b/", "ws://c/"}, "one URL, or two to compare, not 3"},
		{[]string{"--watch", "30s", "ws://a/"}, "to limit the time, write --watch=30s"},
		{[]string{"--watch", "ws://a/", "ws://b/"}, "--watch takes one URL, not 2"},
		{[]string{"--watch=-1s", "ws://a/"}, "a positive duration"},
		{[]string{"--report", "missing/x.html", "ws://a/"}, "--report missing/x.html: there is no directory missing"},
		{[]string{"example.com"}, "no scheme"},
		{[]string{"--origin", "https://x", "--no-origin", "ws://a/"}, "cannot be used together"},
		{[]string{"--timeout", "0s", "ws://a/"}, "must be positive"},
		{[]string{"--probe-idle", "-1s", "ws://a/"}, "must not be negative"},
		{[]string{"--basic", "no-colon-secret", "ws://a/"}, "user:password"},
		{[]string{"--query-token", "only-secret", "ws://a/"}, "name=value"},
		{[]string{"--bearer", "env:NOT_SET", "ws://a/"}, "NOT_SET"},
		{[]string{"--bearer", "@" + empty, "ws://a/"}, "empty"},
		{[]string{"--bearer", "@/not/there", "ws://a/"}, "no such file"},
		{[]string{"--proxy", "ftp://x", "ws://a/"}, "the URL of a proxy"},
		{[]string{"--insecure", "--cacert", "x", "ws://a/"}, "--cacert"},
		{[]string{"-H", "no colon secret", "ws://a/"}, "colon"},
	} {
		got := runCommand(t, append([]string{"explain"}, tt.args...)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, tt.want) || got.stdout != "" {
			t.Errorf("%q: exit %d, %q, %q", tt.args, got.code, got.stderr, got.stdout)
		}
		if strings.Contains(got.stderr, "secret") {
			t.Errorf("%q: a secret is printed: %q", tt.args, got.stderr)
		}
	}
}

// Every flag for a credential sends the credential to the server, and the value appears nowhere else.
func TestExplainCredentials(t *testing.T) {
	state(t)
	got := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Clone(context.Background())
		w.WriteHeader(http.StatusTeapot)
		r.Write(w)
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("hush-from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   []string
		secret string
		want   func(r *http.Request) string
		is     string
	}{
		{[]string{"--bearer", "hush-token"}, "hush-token", header("Authorization"), "Bearer hush-token"},
		{[]string{"--bearer", "@" + file}, "hush-from-file", header("Authorization"), "Bearer hush-from-file"},
		{[]string{"--bearer", "env:TOKEN"}, "hush-from-env", header("Authorization"), "Bearer hush-from-env"},
		{[]string{"--basic", "alice:hush-pass"}, "hush-pass", header("Authorization"), "Basic YWxpY2U6aHVzaC1wYXNz"},
		{[]string{"--cookie", "sid=hush-cookie; a=b"}, "hush-cookie", header("Cookie"), "sid=hush-cookie; a=b"},
		{[]string{"--api-key", "hush-key"}, "hush-key", header("X-Api-Key"), "hush-key"},
		{[]string{"--api-key", "hush-key", "--api-key-header", "X-Mine"}, "hush-key", header("X-Mine"), "hush-key"},
		{[]string{"--token-subprotocol", "hush-sub", "--subprotocol", "v1"}, "hush-sub", header("Sec-Websocket-Protocol"),
			"v1, base64url.bearer.authorization.k8s.io.aHVzaC1zdWI"},
		{[]string{"--ticket", "hush-ticket"}, "hush-ticket", query, "ticket=hush-ticket"},
		{[]string{"--query-token", "t=hush-query"}, "hush-query", query, "t=hush-query"},
		{[]string{"-H", "X-Secret-Thing: hush-header"}, "hush-header", header("X-Secret-Thing"), "hush-header"},
	} {
		for _, form := range []string{"--json=true", "--json=false"} {
			var stdout, stderr buffer
			args := append([]string{"explain", "--proxy", "none", "--no-probes", form}, tt.args...)
			code := Run(t.Context(), append(args, "ws"+strings.TrimPrefix(s.URL, "http")+"/"), System{
				Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string {
					return map[string]string{"TOKEN": "hush-from-env"}[name]
				},
			})
			select {
			case r := <-got:
				if tt.want(r) != tt.is {
					t.Errorf("%q: explain sent %q", tt.args, tt.want(r))
				}
			case <-bounded.Context(t).Done():
				t.Fatalf("%q: no request was received\n%s%s", tt.args, stdout.String(), stderr.String())
			}
			out := stdout.String() + stderr.String()
			for _, secret := range []string{tt.secret, "YWxpY2U6aHVzaC1wYXNz", "aHVzaC1zdWI"} {
				if strings.Contains(out, secret) {
					t.Errorf("%q: %s is printed:\n%s", tt.args, secret, out)
				}
			}
			if code != exitFailed || !strings.Contains(out, "[redacted]") {
				t.Errorf("%q: exit %d\n%s", tt.args, code, out)
			}
		}
	}
}

func header(name string) func(*http.Request) string {
	return func(r *http.Request) string { return r.Header.Get(name) }
}

func query(r *http.Request) string { return r.URL.RawQuery }

func TestChooseProxy(t *testing.T) {
	sys := &System{Getenv: func(string) string { return "http://from-env:1" }}
	for given, want := range map[string]string{
		"none": "", "proxy:3128": "http://proxy:3128", "http://u:p@proxy:1": "http://u:p@proxy:1", "https://proxy": "https://proxy",
		"env:PROXY": "http://from-env:1",
	} {
		f, err := findProxy(sys, given)
		if err != nil {
			t.Fatal(err)
		}
		u, err := f(&http.Request{URL: &url.URL{Scheme: "http", Host: "x"}})
		if err != nil || (u == nil) != (want == "") || u != nil && u.String() != want {
			t.Errorf("%s: %v, %v", given, u, err)
		}
	}
	if f, err := findProxy(sys, ""); f != nil || err != nil {
		t.Error("without the flag, the environment must decide")
	}
	var usage *usageError
	if _, err := findProxy(sys, "ftp://x"); !errors.As(err, &usage) {
		t.Errorf("ftp: %v", err)
	}
}

// A broken pipe during the report is an error.
func TestExplainBrokenOutput(t *testing.T) {
	u := peer(t, echo)
	for _, arg := range []string{"--json=true", "--json=false"} {
		var errs buffer
		code := Run(t.Context(), []string{"explain", "--no-probes", "--proxy", "none", arg, u}, System{
			Stdin: strings.NewReader(""), Stdout: &failingReader{}, Stderr: &errs, Getenv: func(string) string { return "" },
		})
		if code != exitFailed || !strings.Contains(errs.String(), "no disk") {
			t.Errorf("%s: exit %d, %q", arg, code, errs.String())
		}
	}
}

// closedPipe is standard output whose reader closes the pipe after the first line.
type closedPipe struct{ lines int }

func (g *closedPipe) Write(p []byte) (int, error) {
	if g.lines++; g.lines > 1 {
		return 0, syscall.EPIPE
	}
	return len(p), nil
}

// An endless watch stops when the reader of its output closes the pipe.
func TestExplainEndsWithItsReader(t *testing.T) {
	u := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		go c.Read(ctx)
		for ctx.Err() == nil && c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("news")}) == nil {
		}
	})
	for _, args := range [][]string{{"--watch"}, {"--watch", "--json"}} {
		var errs buffer
		code := Run(t.Context(), append([]string{"explain", "--proxy", "none", "--no-probes", u}, args...), System{
			Stdin: strings.NewReader(""), Stdout: &closedPipe{}, Stderr: &errs, Getenv: func(string) string { return "" },
		})
		if code != exitFailed || !strings.Contains(errs.String(), "broken pipe") {
			t.Errorf("%v: exit %d, %q", args, code, errs.String())
		}
	}
}
