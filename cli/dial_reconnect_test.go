package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/wstest"
)

// serveSuccessively runs a server that serves successive connections with these functions.
func serveSuccessively(t *testing.T, serve ...func(ctx context.Context, c *websocket.Conn)) string {
	var n atomic.Int32
	return peer(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		if i := int(n.Add(1)); i <= len(serve) {
			serve[i-1](ctx, c)
		} else {
			t.Errorf("unexpected connection %d", i)
		}
	})
}

func send(ctx context.Context, c *websocket.Conn, text string) {
	_ = c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(text)})
}

// A lost connection is replaced, and further input is sent on the new one.
func TestDialReconnect(t *testing.T) {
	again := make(chan struct{})
	url := serveSuccessively(t, func(ctx context.Context, c *websocket.Conn) {
		if m, err := c.Read(ctx); err == nil {
			_ = c.Write(ctx, m)
		}
		_ = c.Close(websocket.CodeInternalError, "oh \x1b")
	}, func(ctx context.Context, c *websocket.Conn) {
		close(again)
		echo(ctx, c, nil)
	})
	stdin, more := io.Pipe()
	go func() {
		_, _ = io.WriteString(more, "one\n")
		<-again
		_, _ = io.WriteString(more, "two\n")
		more.Close()
	}()
	got := runWith(t, stdin, nil, "dial", "--reconnect", url)
	if got.code != exitOK || got.stdout != "one\ntwo\n" {
		t.Errorf("exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	if !strings.Contains(got.stderr, `handfast: the server closed with 1011 internal error: oh \x1b; reconnecting in `) ||
		!strings.HasSuffix(got.stderr, "handfast: reconnected\n") {
		t.Errorf("%q", got.stderr)
	}
}

// dial does not reconnect after the server has closed properly, after an error that would occur again, or after the end of the input.
func TestDialReconnectEnds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		serve  []func(ctx context.Context, c *websocket.Conn)
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"--wait goes on over the next connection", []func(context.Context, *websocket.Conn){
			func(ctx context.Context, c *websocket.Conn) {
				send(ctx, c, "a")
				_ = c.Close(websocket.CodeGoingAway, "")
			},
			func(ctx context.Context, c *websocket.Conn) { send(ctx, c, "b"); c.CloseNow() },
			func(ctx context.Context, c *websocket.Conn) { send(ctx, c, "c"); _ = c.Close(websocket.CodeNormal, "") },
		}, []string{"--wait", "1h"}, exitOK, "a\nb\nc\n", "reconnected"},
		{"1008", []func(context.Context, *websocket.Conn){
			func(_ context.Context, c *websocket.Conn) { _ = c.Close(websocket.CodePolicy, "no") },
		}, []string{"--wait", "1h"}, exitFailed, "", "handfast: the server closed with 1008"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runWith(t, strings.NewReader(""), nil, append([]string{"dial", "--reconnect", serveSuccessively(t, tt.serve...)}, tt.args...)...)
			if got.code != tt.code || got.stdout != tt.stdout || !strings.Contains(got.stderr, tt.stderr) {
				t.Errorf("exit %d, %q, %q", got.code, got.stdout, got.stderr)
			}
		})
	}
}

// A connection that is lost after the end of the input, during the final ping, is not replaced.
func TestDialReconnectAfterTheInput(t *testing.T) {
	state(t)
	var n atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := wstest.AcceptPeer(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer p.Close()
		n.Add(1)
		for {
			switch f, err := p.Next(); {
			case err != nil:
				return
			case f.Opcode == frame.Ping:
				_ = p.Send(wstest.CloseFrame(websocket.CodeInternalError, ""))
			}
		}
	}))
	defer s.Close()
	got := runWith(t, strings.NewReader("x\n"), nil, "dial", "--reconnect", "ws"+strings.TrimPrefix(s.URL, "http"))
	if got.code != exitFailed || !strings.Contains(got.stderr, "handfast: the server closed with 1011") || n.Load() != 1 {
		t.Errorf("exit %d, %q, %d connections", got.code, got.stderr, n.Load())
	}
}

// A signal ends the wait for the next connection. If the first connection fails, dial does not try again.
func TestDialReconnectSignal(t *testing.T) {
	url := serveSuccessively(t, func(_ context.Context, c *websocket.Conn) { _ = c.Close(websocket.CodeTryAgainLater, "") })
	signals := make(chan os.Signal, 1)
	stdin, more := io.Pipe()
	defer more.Close()
	var stdout, stderr buffer
	code := make(chan int, 1)
	go func() {
		code <- Run(t.Context(), []string{"dial", "--reconnect", url}, System{
			Stdin: stdin, Stdout: &stdout, Stderr: &stderr, Signals: signals, Getenv: func(string) string { return "" },
		})
	}()
	bounded.Until(t, func() bool { return strings.Contains(stderr.String(), "reconnecting in") })
	signals <- os.Interrupt
	if got := bounded.Receive(t, code); got != exitInterrupted {
		t.Errorf("exit %d, %q", got, stderr.String())
	}
	if got := runCommand(t, "dial", "--reconnect", "ws://127.0.0.1:1/"); got.code != exitFailed {
		t.Errorf("exit %d", got.code)
	}
}

// The end of the input also ends the wait for the next connection, after the time of --wait.
func TestDialInputEndsWhileReconnecting(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		args        []string
		code        int
	}{
		{"", "", nil, exitFailed},
		{"--wait", "", []string{"--wait", "1ms"}, exitFailed},
		{"not UTF-8", "\xff\n", nil, exitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := serveSuccessively(t, func(_ context.Context, c *websocket.Conn) { _ = c.Close(websocket.CodeTryAgainLater, "") })
			stdin, more := io.Pipe()
			var stdout, stderr buffer
			code := make(chan int, 1)
			go func() {
				code <- Run(t.Context(), append([]string{"dial", "--reconnect", url}, tt.args...), System{
					Stdin: stdin, Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" },
				})
			}()
			bounded.Until(t, func() bool { return strings.Contains(stderr.String(), "reconnecting in") })
			_, _ = io.WriteString(more, tt.input)
			more.Close()
			bounded.Until(t, func() bool { return strings.Contains(stderr.String(), "the input has ended; not reconnecting") })
			if got := bounded.Receive(t, code); got != tt.code {
				t.Errorf("exit %d, %q", got, stderr.String())
			}
		})
	}
}

// list is an input with a few lines.
type list []string

func (l *list) next() (websocket.Message, error) {
	if len(*l) == 0 {
		return websocket.Message{}, io.EOF
	}
	m := websocket.Message{Type: websocket.Text, Data: []byte((*l)[0])}
	*l = (*l)[1:]
	return m, nil
}

// A message that could not be sent is kept for the next session.
func TestFeedKeepsMessage(t *testing.T) {
	f := newFeed(&list{"a", "b"})
	defer f.stop()
	for range 2 {
		if m, err := f.take(t.Context()); string(m.Data) != "a" || err != nil {
			t.Errorf("%q, %v", m.Data, err)
		}
	}
	f.done()
	if m, err := f.take(t.Context()); string(m.Data) != "b" || err != nil {
		t.Errorf("%q, %v", m.Data, err)
	}
	f.done()
	for range 2 {
		if _, err := f.take(t.Context()); !errors.Is(err, io.EOF) || f.ended.IsZero() {
			t.Error(err)
		}
	}
}
