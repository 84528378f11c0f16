package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// testServer is a server that runs in this process.
type testServer struct {
	signals chan os.Signal
	banner  map[string]string // the value for each name in the banner
	code    chan int
	stderr  buffer
}

func startServe(t *testing.T, args ...string) *testServer {
	t.Helper()
	s := startServer(t, append([]string{"serve"}, args...)...)
	if s.banner["try"] == "" {
		t.Fatalf("the banner shows no command to try: %q", s.banner)
	}
	return s
}

// startServer runs a command that serves, and returns when it is serving.
func startServer(t *testing.T, args ...string) *testServer {
	t.Helper()
	state(t)
	s := &testServer{signals: make(chan os.Signal, 2), banner: map[string]string{}, code: make(chan int, 1)}
	r, w := io.Pipe()
	go func() {
		s.code <- Run(context.Background(), args, System{
			Program: "handfast", Stdin: strings.NewReader(""), Stdout: w, Stderr: &s.stderr, Signals: s.signals,
			Getenv: func(string) string { return "" },
		})
		w.Close()
	}()
	for lines := bufio.NewScanner(r); lines.Scan() && lines.Text() != "Ctrl-C stops it"; {
		if name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), " "); ok {
			s.banner[name] = strings.TrimSpace(value)
		}
	}
	if len(s.banner) == 0 {
		t.Fatalf("no banner; exit %d, %s", bounded.Receive(t, s.code), s.stderr.String())
	}
	return s
}

func TestServeStops(t *testing.T) {
	for _, log := range []string{"text", "json"} {
		s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off", "--log", log)
		c, err := websocket.Dial(bounded.Context(t), s.banner["echo"], nil)
		if err != nil {
			t.Fatal(err)
		}
		s.signals <- os.Interrupt
		_, err = c.Read(bounded.Context(t))
		var e *websocket.CloseError
		if !errors.As(err, &e) || e.Code != websocket.CodeGoingAway || !e.ByPeer {
			t.Errorf("the client saw %v", err)
		}
		if code := bounded.Receive(t, s.code); code != exitOK {
			t.Errorf("exit %d", code)
		}
		want := map[string]string{"text": "msg=stopped", "json": `"msg":"stopped"`}[log]
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("log %s", s.stderr.String())
		}
	}
}

// A second signal stops the server immediately, even if its drain would take long.
func TestServeStopsImmediately(t *testing.T) {
	s := startServe(t, "--config", write(t, "handfast.yaml", `
listen: [{address: "127.0.0.1:0", tls: off}]
drain: {delay: 10m}
endpoints: [{name: echo, path: /echo, target: echo, auth: [anonymous]}]
`))
	c, err := websocket.Dial(bounded.Context(t), s.banner["echo"], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	s.signals <- os.Interrupt
	s.signals <- os.Interrupt
	if code := bounded.Receive(t, s.code); code != exitInterrupted {
		t.Errorf("exit %d", code)
	}
}

func TestServeBanner(t *testing.T) {
	s := startServe(t, "--listen", "127.0.0.1:0")
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	if !strings.HasPrefix(s.banner["page"], "https://127.0.0.1:") || !strings.HasPrefix(s.banner["echo"], "wss://127.0.0.1:") ||
		!strings.HasSuffix(s.banner["echo"], "/echo") || !strings.HasSuffix(s.banner["try"], " dial "+s.banner["echo"]) {
		t.Errorf("banner %q", s.banner)
	}
	if _, err := os.Stat(s.banner["CA"]); err != nil {
		t.Errorf("CA: %v", err)
	}
}

// write writes a file of the test.
func write(t *testing.T, file, text string) string {
	t.Helper()
	if !filepath.IsAbs(file) {
		file = filepath.Join(t.TempDir(), file)
	}
	next := file + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// waitForLog waits until the log contains a line with all of the parts. It calls retry repeatedly, because the server notices a change of a file
// only after it has begun to watch that file, and does not report when it begins.
func (s *testServer) waitForLog(t *testing.T, retry func(n int), parts ...string) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	ctx := bounded.Context(t)
	for n := 0; ; n++ {
		for line := range strings.Lines(s.stderr.String()) {
			if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
				return
			}
		}
		retry(n)
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the log has no line with %q", parts)
		}
	}
}

// The server applies its configuration file, and applies it again when it changes. A file with a mistake changes nothing.
func TestServeConfig(t *testing.T) {
	const text = `
listen: [{address: "127.0.0.1:0", tls: off}]
endpoints:
  - {name: %s, path: /%s, target: echo, auth: [anonymous]}
`
	file := write(t, "handfast.yaml", fmt.Sprintf(text, "first", "first"))
	s := startServe(t, "--config", file, "--admin", "127.0.0.1:0")
	if !strings.HasSuffix(s.banner["first"], "/first") || !strings.HasPrefix(s.banner["admin"], "http://127.0.0.1:") {
		t.Fatalf("banner %q", s.banner)
	}
	base := strings.TrimSuffix(s.banner["first"], "/first")
	c, err := websocket.Dial(bounded.Context(t), base+"/first", nil)
	if err != nil {
		t.Fatal(err)
	}
	change := func(text string) func(int) {
		return func(n int) { write(t, file, fmt.Sprintf("%s# %d\n", text, n)) }
	}
	s.waitForLog(t, change("endpoints: what?\n"), "level=ERROR", `msg="configuration not loaded"`, "handfast.yaml:1:12", "endpoints")
	elsewhere := change(fmt.Sprintf(text, "first", "second"))
	s.waitForLog(t, elsewhere, `msg="configuration changed"`, "setting=endpoints[first].path", "old=/first", "new=/second")
	s.waitForLog(t, elsewhere, `msg="configuration reloaded"`)
	other, err := websocket.Dial(bounded.Context(t), base+"/second", nil)
	if err != nil {
		t.Fatal(err)
	}
	other.CloseNow()
	if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("still here")}); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "still here" {
		t.Errorf("%q, %v", m.Data, err)
	}
	s.signals <- os.Interrupt
	if _, err := c.Read(bounded.Context(t)); websocket.CloseCode(err) != websocket.CodeGoingAway {
		t.Errorf("the client saw %v", err)
	}
	if code := bounded.Receive(t, s.code); code != exitOK {
		t.Errorf("exit %d", code)
	}
}

// Flags take precedence over the file.
func TestServeFlagsOverFile(t *testing.T) {
	file := write(t, "handfast.yaml", `
listen: [{address: "127.0.0.1:1", tls: dev}]
log: {format: text}
endpoints: [{name: chat, path: /chat, target: echo, auth: [anonymous]}]
`)
	s := startServe(t, "--config", file, "--listen", "127.0.0.1:0", "--tls", "off", "--log", "json", "--origin", "https://app.example.com")
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	if !strings.HasPrefix(s.banner["chat"], "ws://127.0.0.1:") || strings.HasPrefix(s.banner["chat"], "ws://127.0.0.1:1/") {
		t.Errorf("banner %q", s.banner)
	}
	c, err := websocket.Dial(bounded.Context(t), s.banner["chat"], &websocket.DialOptions{Header: http.Header{"Origin": {"https://app.example.com"}}})
	if err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	s.waitForLog(t, func(int) {}, `"msg":"opened"`)
}

func TestServeConfigErrors(t *testing.T) {
	file := write(t, "handfast.yaml", `
listen: [{address: "127.0.0.1:0", tls: off}]
endpoints:
  - path: /chat
    target: echo
    auth: [anonymous]
    rules:
      - {when: 'user = 1', do: allow}
    limit: {connections: 1}
`)
	got := runCommand(t, "serve", "--config", file)
	for _, want := range []string{"handfast.yaml:8:", "endpoints[0].rules[0].when", "handfast.yaml:9:5: endpoints[0].limit", "limits"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("no %q in\n%s", want, got.stderr)
		}
	}
	if got.code != exitFailed || got.stdout != "" {
		t.Errorf("exit %d, %q", got.code, got.stdout)
	}
	if got := runCommand(t, "serve", "--config", file+".not"); got.code != exitUsage || !strings.Contains(got.stderr, "no such file") {
		t.Errorf("no file: %+v", got)
	}
	for _, args := range [][]string{{"--admin", "9090"}, {"--listen", "nowhere"}, {"--origin", "*"}, {"--tls", "files"}, {"--cert", "x"},
		{"--listen", "off"}, {"--listen", ""}, {"--admin", ""}, {"--listen", ":65536"}, {"--origin", ""}, {"--origin", "https://x/"}, {"--origin", "https://X.org"}} {
		if got := runCommand(t, append([]string{"serve"}, args...)...); got.code != exitUsage {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if got := runCommand(t, "serve", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"); got.code != exitUsage || !strings.Contains(got.stderr, "token") {
		t.Errorf("an admin listener for all: %+v", got)
	}
}
