package cli

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// withServer runs a server without a file, and returns the URL of its channels.
func withServer(t *testing.T) string {
	t.Helper()
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off")
	t.Cleanup(func() {
		s.signals <- os.Interrupt
		if code := bounded.Receive(t, s.code); code != 0 {
			t.Errorf("serve: exit %d", code)
		}
	})
	return s.banner["channels"]
}

// subscriber is a subscribe command that runs until the test sends a signal.
type subscriber struct {
	signals        chan os.Signal
	code           chan int
	stdout, stderr buffer
}

func startSubscriber(t *testing.T, args ...string) *subscriber {
	t.Helper()
	s := &subscriber{signals: make(chan os.Signal, 2), code: make(chan int, 1)}
	go func() {
		s.code <- Run(context.Background(), append([]string{"subscribe"}, args...), System{
			Program: "handfast", Stdin: strings.NewReader(""), Stdout: &s.stdout, Stderr: &s.stderr, Signals: s.signals,
			Getenv: func(string) string { return "" },
		})
	}()
	return s
}

func TestPublishAndSubscribe(t *testing.T) {
	url := withServer(t)
	lines := "hello\n\n  two  words <b> \"quoted\" é\n"
	if got := runWith(t, strings.NewReader(lines), nil, "publish", "--url", url, "chat"); got.code != 0 || got.stdout != "" || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	if got := runCommand(t, "publish", "--url", url, "--raw", "chat", `{"a": [1, "<"]}`); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	// Strings are printed as lines, unchanged; other JSON values are printed in compact form.
	want := lines + `{"a":[1,"<"]}` + "\n"
	if got := runCommand(t, "subscribe", "--url", url, "--history", "10", "--count", "4", "chat"); got.code != 0 || got.stdout != want {
		t.Errorf("%+v", got)
	}
	got := runCommand(t, "subscribe", "--url", url, "--json", "--history", "1", "-n", "1", "chat")
	var m struct {
		Type, Channel, Epoch, Client, Time string
		Offset                             uint64
		Data                               json.RawMessage
	}
	if err := json.Unmarshal([]byte(got.stdout), &m); err != nil || got.code != 0 || m.Type != "message" || m.Channel != "chat" ||
		m.Epoch == "" || m.Client == "" || m.Time == "" || m.Offset != 4 || string(m.Data) != `{"a":[1,"<"]}` {
		t.Errorf("%+v, %v", got, err)
	}
	got = runCommand(t, "subscribe", "--url", url, "--since", m.Epoch+":2", "-n", "1", "chat")
	if got.code != 0 || got.stdout != "  two  words <b> \"quoted\" é\n" {
		t.Errorf("%+v", got)
	}
}

// A position after the last message is not mistaken for a position in another epoch. An offset without an epoch is rejected.
func TestSubscribeBeyondTheEnd(t *testing.T) {
	url := withServer(t)
	if got := runCommand(t, "publish", "--url", url, "chat", "1"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	var m struct{ Epoch string }
	got := runCommand(t, "subscribe", "--url", url, "--json", "--history", "1", "-n", "1", "chat")
	if err := json.Unmarshal([]byte(got.stdout), &m); err != nil || m.Epoch == "" {
		t.Fatalf("%+v, %v", got, err)
	}
	s := startSubscriber(t, "--url", url, "--since", m.Epoch+":9", "-n", "1", "chat")
	bounded.Until(t, func() bool {
		return strings.Contains(s.stderr.String(), "channel chat: --since is beyond the last message")
	})
	if got := runCommand(t, "publish", "--url", url, "chat", "2"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if code := bounded.Receive(t, s.code); code != 0 || s.stdout.String() != "2\n" || strings.Contains(s.stderr.String(), "new_epoch") {
		t.Errorf("exit %d, %q, %s", code, s.stdout.String(), s.stderr.String())
	}
	if got := runCommand(t, "subscribe", "--url", url, "--since", "0", "chat"); got.code != 2 || !strings.Contains(got.stderr, "to begin without a position, use --history 1000") {
		t.Errorf("%+v", got)
	}
}

func TestSubscribeFollows(t *testing.T) {
	url := withServer(t)
	s := startSubscriber(t, "--url", url, "--presence", "--since", "another:1", "b", "a")
	bounded.Until(t, func() bool { return strings.Count(s.stderr.String(), "may be missing (new_epoch)") == 2 })
	for _, channel := range []string{"a", "b"} {
		if got := runCommand(t, "publish", "--url", url, channel, "to "+channel); got.code != 0 {
			t.Errorf("%+v", got)
		}
	}
	bounded.Until(t, func() bool {
		return strings.Contains(s.stdout.String(), "to a\n") && strings.Contains(s.stdout.String(), "to b\n")
	})
	s.signals <- os.Interrupt
	if code := bounded.Receive(t, s.code); code != 0 {
		t.Errorf("exit %d, %s", code, s.stderr.String())
	}
}

// A signal makes publish exit, and accepted messages are not lost.
func TestPublishInterrupted(t *testing.T) {
	url := withServer(t)
	signals := make(chan os.Signal, 1)
	stdin, more := io.Pipe()
	defer more.Close()
	code := make(chan result, 1)
	go func() { code <- runWith(t, stdin, signals, "publish", "--url", url, "chat") }()
	if _, err := io.WriteString(more, "first\n"); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, "subscribe", "--url", url, "--history", "1", "-n", "1", "chat"); got.stdout != "first\n" {
		t.Errorf("%+v", got)
	}
	signals <- os.Interrupt
	if got := bounded.Receive(t, code); got.code != exitInterrupted || got.stderr != "" {
		t.Errorf("%+v", got)
	}
}

func TestChannelsFail(t *testing.T) {
	url := withServer(t)
	state(t)
	for _, tt := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"subscribe"}, exitUsage, "at least one channel"},
		{[]string{"subscribe", ""}, exitUsage, "not be empty"},
		{[]string{"subscribe", "--since", "x", "chat"}, exitUsage, "not a position"},
		{[]string{"subscribe", "--since", "x:1", "--history", "1", "chat"}, exitUsage, "cannot be used together"},
		{[]string{"subscribe", "--history", "-1", "chat"}, exitUsage, "--history"},
		{[]string{"subscribe", "--url", "nonsense", "chat"}, exitUsage, "scheme"},
		{[]string{"subscribe", "--key-file", "x", "chat"}, exitUsage, "--cert"},
		{[]string{"subscribe", "--url", "ws://127.0.0.1:1/channels", "chat"}, exitFailed, "no WebSocket at ws://127.0.0.1:1/channels"},
		{[]string{"subscribe", "--url", strings.Replace(url, "/channels", "/nothing", 1), "chat"}, exitFailed, "404 Not Found"},
		{[]string{"publish", "--url", strings.TrimSuffix(url, "/channels"), "chat", "x"}, exitFailed, "without a configuration file, handfast serve has one at /channels\n"},
		{[]string{"subscribe", "--url", url, strings.Repeat("x", 256)}, exitFailed, "bad_request"},
		{[]string{"publish"}, exitUsage, "publish takes a channel"},
		{[]string{"publish", "--timeout", "0s", "chat", "x"}, exitUsage, "--timeout must be positive"},
		{[]string{"publish", "a", "b", "c"}, exitUsage, "publish takes a channel"},
		{[]string{"publish", "--raw", "chat", "{"}, exitUsage, "not JSON"},
		{[]string{"publish", "--url", "ws://127.0.0.1:1/channels", "chat", "x"}, exitFailed, "no WebSocket"},
		{[]string{"publish", "--url", url, "chat", strings.Repeat("x", 100_000)}, exitFailed, "too_big"},
		{[]string{"publish", "--url", url, "chat"}, exitOK, "nothing was published\n  next step: write the message after the channel"},
	} {
		if got := runCommand(t, tt.args...); got.code != tt.code || !strings.Contains(got.stderr, tt.stderr) || got.stdout != "" {
			t.Errorf("%.100q: %+v", tt.args, got)
		}
	}
	got := runWith(t, strings.NewReader("1\n{\n3\n"), nil, "publish", "--url", url, "--raw", "chat")
	if got.code != exitFailed || !strings.Contains(got.stderr, "line 2: the data is not JSON, which --raw requires\n  next step: without --raw") {
		t.Errorf("%+v", got)
	}
	if got := runCommand(t, "subscribe", "--url", url, "--history", "10", "-n", "1", "chat"); got.stdout != "1\n" {
		t.Errorf("%+v", got)
	}
}

// If the output cannot be written, for example because its reader has closed the pipe, the command fails.
func TestSubscribeOutputCloses(t *testing.T) {
	url := withServer(t)
	runCommand(t, "publish", "--url", url, "chat", "x")
	r, w := io.Pipe()
	r.CloseWithError(io.ErrClosedPipe)
	var stderr buffer
	code := Run(t.Context(), []string{"subscribe", "--url", url, "--history", "1", "chat"}, System{
		Stdin: strings.NewReader(""), Stdout: w, Stderr: &stderr, Getenv: func(string) string { return "" },
	})
	if code != exitFailed || !strings.Contains(stderr.String(), "write to standard output") {
		t.Errorf("exit %d, %s", code, stderr.String())
	}
}

// A server without channels, or one that does not respond, is an error, and the command does not block forever.
func TestChannelsOfAnotherServer(t *testing.T) {
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off")
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	for _, command := range [][]string{{"publish", "chat", "hello"}, {"subscribe", "chat"}} {
		got := runCommand(t, append(command, "--url", s.banner["echo"])...)
		if got.code != 1 || !strings.Contains(got.stderr, "the server does not speak handfast.v1.json there") ||
			!strings.Contains(got.stderr, "next step: ") || strings.Contains(got.stderr, "lost") {
			t.Errorf("%v: %+v", command, got)
		}
	}
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		if err := c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte(`{"type":"welcome","client":"c"}`)}); err != nil {
			t.Error(err)
		}
		for range c.Messages(r.Context()) {
		}
	}))
	defer silent.Close()
	url := "ws" + strings.TrimPrefix(silent.URL, "http")
	for _, command := range [][]string{{"publish", "chat", "hello"}, {"subscribe", "chat"}, {"subscribe", "--history", "1", "chat"}} {
		got := runCommand(t, append(command, "--url", url, "--timeout", "2s")...)
		if got.code != 1 || !strings.Contains(got.stderr, "the server did not respond in time: 2s") || !strings.Contains(got.stderr, "/readyz") {
			t.Errorf("%v: %+v", command, got)
		}
	}
}

// The ping interval is shorter than the 30 seconds after which proxies close idle connections. Close waits at most one second for a server
// that hangs.
func TestChannelsOptions(t *testing.T) {
	state(t)
	o, err := (&channelsFlags{timeout: time.Second}).options(&System{})
	if err != nil {
		t.Fatal(err)
	}
	if o.Conn.PingInterval != 25*time.Second || o.Conn.CloseTimeout != time.Second {
		t.Errorf("%+v", o.Conn)
	}
	f := &channelsFlags{timeout: time.Second, dial: dialFlags{cacert: filepath.Join(t.TempDir(), "none.pem")}}
	if _, err := f.options(&System{}); err == nil {
		t.Error("a missing file was accepted")
	}
}
