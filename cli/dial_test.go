package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// peer runs a server that calls serve for every connection, and returns its URL.
func peer(t *testing.T, serve func(ctx context.Context, c *websocket.Conn, r *http.Request)) string {
	t.Helper()
	state(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			AnyOrigin: true, Subprotocols: []string{"second"}, Conn: websocket.ConnOptions{MaxMessage: maxLine + 1},
		})
		if err != nil {
			return
		}
		defer c.CloseNow()
		serve(r.Context(), c, r)
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http") + "/"
}

// echo sends every message back until the connection ends.
func echo(ctx context.Context, c *websocket.Conn, _ *http.Request) {
	for m, err := range c.Messages(ctx) {
		if err != nil || c.Write(ctx, m) != nil {
			return
		}
	}
}

func TestDialLines(t *testing.T) {
	url := peer(t, echo)
	long := strings.Repeat("\u20ac", 100_000)
	for _, tt := range []struct{ name, in, out string }{
		{"nothing", "", ""},
		{"one", "hello\n", "hello\n"},
		{"the last has no end", "a\nb", "a\nb\n"},
		{"empty ones", "\n\nx\n\n", "\n\nx\n\n"},
		{"CR LF", "a\r\nb\r\n", "a\nb\n"},
		{"a CR elsewhere", "a\rb\r\r\n", "a\rb\r\n"},
		{"a long one", long + "\n", long + "\n"},
		{"control characters pass through a pipe", "\x1b[31m\n", "\x1b[31m\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runWith(t, strings.NewReader(tt.in), nil, "dial", url)
			if got.code != exitOK || got.stdout != tt.out || got.stderr != "" {
				t.Errorf("exit %d, %d bytes out, want %d; %q", got.code, len(got.stdout), len(tt.out), got.stderr)
			}
		})
	}
}

// The longest allowed line is sent. The server then closes the connection, so the test does not depend on how long sending takes.
func TestDialLongestLine(t *testing.T) {
	url := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		if m, err := c.Read(ctx); err == nil && c.Write(ctx, m) == nil {
			_ = c.Close(websocket.CodeNormal, "")
		}
	})
	want := strings.Repeat("x", maxLine)
	got := runWith(t, strings.NewReader(want+"\r\n"), nil, "dial", "--wait", "2m", url)
	if got.code != exitOK || got.stdout != want+"\n" || got.stderr != "" {
		t.Errorf("exit %d, %d bytes out, want %d; %q", got.code, len(got.stdout), len(want)+1, got.stderr)
	}
}

func TestDialBadInput(t *testing.T) {
	url := peer(t, echo)
	for _, tt := range []struct{ name, in, out, want string }{
		{"not UTF-8", "good\nbad\xff\n", "good\n", "line 2"},
		{"too long", "good\n" + strings.Repeat("x", maxLine+1) + "\n", "good\n", "line 2"},
		{"too long by far, without an end", strings.Repeat("x", maxLine+1<<20), "", "16 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runWith(t, strings.NewReader(tt.in), nil, "dial", url)
			if got.code != exitFailed || !strings.Contains(got.stderr, tt.want) || !strings.Contains(got.stderr, "--binary") {
				t.Errorf("exit %d, %q, %q", got.code, got.stdout, got.stderr)
			}
			if !strings.HasPrefix(tt.out, got.stdout) { // the output may be incomplete, because the close discards data in transit
				t.Errorf("out %q", got.stdout)
			}
		})
	}
	broken := io.MultiReader(strings.NewReader("x\n"), &failingReader{})
	if got := runWith(t, broken, nil, "dial", url); got.code != exitFailed || !strings.Contains(got.stderr, "no disk") {
		t.Errorf("exit %d, %q", got.code, got.stderr)
	}
}

// failingReader is a stream whose calls fail.
type failingReader struct{}

func (*failingReader) Read([]byte) (int, error)  { return 0, errors.New("no disk") }
func (*failingReader) Write([]byte) (int, error) { return 0, errors.New("no disk") }

func TestDialBinary(t *testing.T) {
	url := peer(t, echo)
	in := make([]byte, 3<<20)
	for i := range in {
		in[i] = byte(i * i >> 7)
	}
	got := runWith(t, bytes.NewReader(in), nil, "dial", "--binary", url)
	if got.code != exitOK || got.stdout != string(in) {
		t.Errorf("exit %d, %d bytes out of %d; %q", got.code, len(got.stdout), len(in), got.stderr)
	}
}

func TestDialJSON(t *testing.T) {
	url := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		_ = c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("two\nlines \"quoted\"")})
		_ = c.Write(ctx, websocket.Message{Type: websocket.Binary, Data: []byte{0, 1, 255}})
		_ = c.Close(websocket.CodeNormal, "")
	})
	got := runWith(t, strings.NewReader(""), nil, "dial", "--wait", "1m", "--json", url)
	want := `{"type":"text","data":"two\nlines \"quoted\""}` + "\n" +
		`{"type":"binary","data":"` + base64.StdEncoding.EncodeToString([]byte{0, 1, 255}) + `"}` + "\n"
	if got.code != exitOK || got.stdout != want {
		t.Errorf("exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
}

func TestFormatPerson(t *testing.T) {
	for _, tt := range []struct {
		m    websocket.Message
		want string
	}{
		{websocket.Message{Type: websocket.Text, Data: []byte("a\x1b[2Jb")}, `a\x1b[2Jb`},
		{websocket.Message{Type: websocket.Binary, Data: []byte{1, 0xab}}, "(2 bytes) 01 ab"},
		{websocket.Message{Type: websocket.Binary}, "(0 bytes) "},
		{websocket.Message{Type: websocket.Binary, Data: make([]byte, 65)}, "(65 bytes) 00" + strings.Repeat(" 00", 63) + " …"},
	} {
		if got := string(newFormat(false, true)(nil, tt.m)); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// The code with which the server closes determines the exit code.
func TestDialPeerCloses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		end    func(c *websocket.Conn)
		code   int
		stderr string
	}{
		{"1000", func(c *websocket.Conn) { _ = c.Close(websocket.CodeNormal, "bye") }, exitOK, ""},
		{"1001", func(c *websocket.Conn) { _ = c.Close(websocket.CodeGoingAway, "") }, exitOK, ""},
		{"1011", func(c *websocket.Conn) { _ = c.Close(websocket.CodeInternalError, "disk \x1b[2J full") }, exitFailed,
			"handfast: the server closed with 1011 internal error: disk \\x1b[2J full\n"},
		{"4000", func(c *websocket.Conn) { _ = c.Close(4000, "") }, exitFailed, "handfast: the server closed with 4000\n"},
		{"without a code", func(c *websocket.Conn) { _ = c.Close(websocket.CodeNoStatus, "") }, exitFailed,
			"handfast: the server closed without a code\n"},
		{"without a close frame", func(c *websocket.Conn) { c.CloseNow() }, exitFailed, "handfast: the connection was lost: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
				if _, err := c.Read(ctx); err == nil {
					tt.end(c)
				}
			})
			stdin, more := io.Pipe() // the input does not end
			defer more.Close()
			go fmt.Fprintln(more, "go")
			got := runWith(t, stdin, nil, "dial", url)
			if got.code != tt.code || !strings.HasPrefix(got.stderr, tt.stderr) || (tt.stderr == "" && got.stderr != "") {
				t.Errorf("exit %d, %q", got.code, got.stderr)
			}
		})
	}
}

func TestDialTooBig(t *testing.T) {
	url := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		_ = c.Write(ctx, websocket.Message{Type: websocket.Text, Data: bytes.Repeat([]byte("x"), maxLine+1)})
		_ = c.Close(websocket.CodeNormal, "")
	})
	got := runWith(t, strings.NewReader(""), nil, "dial", "--wait", "1m", url)
	if got.code != exitFailed || !strings.Contains(got.stderr, "--binary") {
		t.Errorf("exit %d, %q", got.code, got.stderr)
	}
	got = runWith(t, strings.NewReader(""), nil, "dial", "--binary", "--wait", "1m", url)
	if got.code != exitOK || len(got.stdout) != maxLine+1 {
		t.Errorf("--binary: exit %d, %d bytes, %q", got.code, len(got.stdout), got.stderr)
	}
}

// At the end of the input, dial waits for the replies of the server, and then closes with 1000.
func TestDialClosesWith1000(t *testing.T) {
	ended := make(chan error, 1)
	url := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		var held []websocket.Message
		for {
			m, err := c.Read(ctx)
			if err != nil {
				ended <- err
				return
			}
			if held = append(held, m); len(held) < 1000 {
				continue // the server replies only when it has received everything
			}
			for _, m := range held {
				if c.Write(ctx, m) != nil {
					return
				}
			}
		}
	})
	in := strings.Repeat("line\n", 1000)
	got := runWith(t, strings.NewReader(in), nil, "dial", url)
	if got.code != exitOK || got.stdout != in || got.stderr != "" {
		t.Errorf("exit %d, %d of %d bytes, %q", got.code, len(got.stdout), len(in), got.stderr)
	}
	var e *websocket.CloseError
	if err := bounded.Receive(t, ended); !errors.As(err, &e) || e.Code != websocket.CodeNormal || !e.ByPeer {
		t.Errorf("the server saw %v", err)
	}
}

// --wait waits for late replies, and ends when the server closes or when the time is up.
func TestDialWait(t *testing.T) {
	inputOver := make(chan struct{})
	url := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		<-inputOver
		_ = c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("late")})
		_ = c.Close(websocket.CodeNormal, "")
	})
	stdin := io.MultiReader(strings.NewReader("x\n"), &onEOF{func() { close(inputOver) }})
	got := runWith(t, stdin, nil, "dial", "--wait", "1m", url)
	if got.code != exitOK || got.stdout != "late\n" {
		t.Errorf("exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	if got := runWith(t, strings.NewReader("x\n"), nil, "dial", "--wait", "10ms", peer(t, echo)); got.code != exitOK {
		t.Errorf("exit %d, %q", got.code, got.stderr)
	}
}

// onEOF is an empty stream that calls a function when its end is read.
type onEOF struct{ f func() }

func (r *onEOF) Read([]byte) (int, error) {
	r.f()
	return 0, io.EOF
}

func TestDialSignals(t *testing.T) {
	ended := make(chan error, 1)
	signals := make(chan os.Signal, 2)
	url := peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		_, err := c.Read(ctx)
		if err == nil {
			signals <- os.Interrupt
			_, err = c.Read(ctx)
		}
		ended <- err
	})
	stdin, more := io.Pipe()
	defer more.Close()
	go fmt.Fprintln(more, "x")
	got := runWith(t, stdin, signals, "dial", url)
	if err := bounded.Receive(t, ended); got.code != exitOK || websocket.CloseCode(err) != websocket.CodeNormal {
		t.Errorf("exit %d, %q; the server saw %v", got.code, got.stderr, err)
	}
}

// emptyInput is an empty input.
type emptyInput struct{}

func (emptyInput) next() (websocket.Message, error) { return websocket.Message{}, io.EOF }

// The terminal is restored before the wait after the end of the input, so Ctrl-C raises a signal, which ends the wait.
func TestSessionLeavesBeforeItWaits(t *testing.T) {
	conn, err := websocket.Dial(bounded.Context(t), peer(t, echo), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	left, signals, done := make(chan struct{}, 2), make(chan os.Signal, 1), make(chan error, 1)
	s := &session{conn: conn, in: newFeed(emptyInput{}), out: rawOutput(), w: io.Discard, restore: func() { left <- struct{}{} }, wait: time.Hour, signals: signals}
	go func() { done <- s.run(t.Context()) }()
	bounded.Receive(t, left)
	signals <- os.Interrupt
	if err := bounded.Receive(t, done); err != nil {
		t.Error(err)
	}
}

// A second signal ends the wait for a server that never responds.
func TestDialSecondSignal(t *testing.T) {
	state(t)
	signals := make(chan os.Signal, 2)
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/http" { // never responds to the handshake
			signals <- os.Interrupt
			<-done
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		if _, err := c.Read(r.Context()); err != nil {
			return
		}
		signals <- os.Interrupt
		signals <- os.Interrupt
		<-done // waits without reading, so the server never receives the close frame
	}))
	defer s.Close()
	defer close(done)
	for _, path := range []string{"/http", "/"} {
		stdin, more := io.Pipe()
		go fmt.Fprintln(more, "x")
		got := runWith(t, stdin, signals, "dial", s.URL+path)
		more.Close()
		if got.code != exitInterrupted || got.stderr != "" {
			t.Errorf("%s: exit %d, %q", path, got.code, got.stderr)
		}
	}
}

func TestDialOutputFails(t *testing.T) {
	url := peer(t, echo)
	for _, tt := range []struct {
		err    error
		stderr string
	}{
		{errors.New("no disk"), "handfast: write to standard output: no disk\n"},
		{syscall.EPIPE, ""},
	} {
		var stderr buffer
		stdin, more := io.Pipe()
		go fmt.Fprintln(more, "x")
		code := Run(t.Context(), []string{"dial", url}, System{
			Stdin: stdin, Stdout: &brokenWriter{tt.err}, Stderr: &stderr, Getenv: func(string) string { return "" },
		})
		more.Close()
		if code != exitFailed || stderr.String() != tt.stderr {
			t.Errorf("%v: exit %d, %q", tt.err, code, stderr.String())
		}
	}
}

type brokenWriter struct{ err error }

func (b *brokenWriter) Write([]byte) (int, error) { return 0, b.err }

func TestDialRequest(t *testing.T) {
	seen := make(chan *http.Request, 1)
	url := peer(t, func(_ context.Context, _ *websocket.Conn, r *http.Request) { seen <- r })
	url = strings.Replace(url, "ws://", "ws://user:secret@", 1) + "path?token=secret"
	got := runWith(t, strings.NewReader(""), nil, "dial", "-H", "X-One: 1", "-H", "x-one:2", "--origin", "https://example.com",
		"--subprotocol", "first,second", url)
	r := bounded.Receive(t, seen)
	user, password, _ := r.BasicAuth()
	if r.URL.String() != "/path?token=secret" || user != "user" || password != "secret" ||
		!slices.Equal(r.Header["X-One"], []string{"1", "2"}) || r.Header.Get("Origin") != "https://example.com" ||
		!strings.Contains(r.Header.Get("Sec-Websocket-Protocol"), "first") {
		t.Errorf("request %v %v", r.URL, r.Header)
	}
	if strings.Contains(got.stderr, "secret") {
		t.Errorf("a secret is printed: %q", got.stderr)
	}
}

// A failed handshake is reported with all details, but without secrets and control characters.
func TestDialRefused(t *testing.T) {
	state(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "no entry \x1b[2J\n", strings.Repeat("line\n", 20))
	}))
	defer s.Close()
	url := strings.Replace(s.URL, "http://", "ws://user:secret@", 1) + "/path?token=secret"
	got := runWith(t, strings.NewReader(""), nil, "dial", "-H", "X-Key: secret", url)
	if got.code != exitFailed || strings.Contains(got.stderr, "secret") || strings.Contains(got.stderr, "\x1b") {
		t.Errorf("exit %d, %q", got.code, got.stderr)
	}
	for _, want := range []string{"/path: ", "stage:     status", "status:    403 Forbidden", "rule:      RFC 6455 §4.1",
		`body:      no entry \x1b[2J`, "…"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("no %q in %s", want, got.stderr)
		}
	}
}

// Errors in the command line do not contain possible secrets.
func TestDialSecretsInMistakes(t *testing.T) {
	for _, args := range [][]string{
		{"dial", "user:secret@example.com"},
		{"dial", "ftp://user:secret@example.com/"},
		{"dial", "wss://user:secret@example.com:port/?secret"},
		{"dial", "wss://user:secret@/"},
		{"dial", "wss://user:secret@example.com/#secret"},
		{"dial", "example.com?secret"},
		{"dial", "-H", "Authorization secret", "wss://example.com"},
		{"dial", "-H", "Authorization: secret\n", "wss://example.com"},
		{"dial", "-H", "Author ization: secret", "wss://example.com"},
	} {
		if got := runCommand(t, args...); got.code != exitUsage || strings.Contains(got.stderr, "secret") {
			t.Errorf("%q: exit %d, %q", args, got.code, got.stderr)
		}
	}
}

// --jsonl accepts text and binary messages, and prints them in the same form.
func TestDialJSONLines(t *testing.T) {
	url := peer(t, echo)
	in := `{"type":"text","data":"two\nlines"}` + "\n" + `{"type":"binary","data":"AAH/"}` + "\n" + `{"type":"text","data":""}` + "\n"
	got := runWith(t, strings.NewReader(in), nil, "dial", "--jsonl", url)
	if got.code != exitOK || got.stdout != in || got.stderr != "" {
		t.Errorf("exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	for line, want := range map[string]string{
		`hello`:                                "line 1 of standard input is not a JSON message",
		`{"type":"text"}`:                      "has no data",
		`{"type":"close","data":"x"}`:          "type other than text and binary",
		`{"type":"binary","data":"*"}`:         "not base64",
		`{"type":"text","data":1}`:             "not a JSON message",
		`{"type":"text","data":"a","x":1}`:     "not a JSON message",
		`{"type":"text","data":"a"} {"x":1}`:   "data after its JSON message",
		``:                                     "not a JSON message",
		`{"type":"text","data":` + "\"\xff\"}": "not UTF-8",
	} {
		got := runWith(t, strings.NewReader(line+"\n"), nil, "dial", "--jsonl", url)
		if got.code != exitFailed || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("%q: exit %d, %q, %q", line, got.code, got.stdout, got.stderr)
		}
	}
}

// With -0, messages are terminated by a NUL, so they may contain line breaks.
func TestDialNull(t *testing.T) {
	url := peer(t, echo)
	for in, want := range map[string]string{
		"a\nb\x00c\r\x00\x00last": "a\nb\x00c\r\x00\x00last\x00", "": "", "one\n\x00": "one\n\x00",
	} {
		got := runWith(t, strings.NewReader(in), nil, "dial", "-0", url)
		if got.code != exitOK || got.stdout != want || got.stderr != "" {
			t.Errorf("%q: exit %d, %q, %q", in, got.code, got.stdout, got.stderr)
		}
	}
}
