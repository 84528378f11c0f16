package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// served is a server that runs in this process.
type served struct {
	signals chan os.Signal
	banner  map[string]string // what stands behind a word of the banner
	code    chan int
	stderr  buffer
}

func startServe(t *testing.T, args ...string) *served {
	t.Helper()
	state(t)
	s := &served{signals: make(chan os.Signal, 2), banner: map[string]string{}, code: make(chan int, 1)}
	r, w := io.Pipe()
	go func() {
		s.code <- Run(context.Background(), append([]string{"serve"}, args...), System{
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
	if s.banner["echo"] == "" {
		t.Fatalf("no banner; exit %d, %s", <-s.code, s.stderr.String())
	}
	return s
}

func TestServeStops(t *testing.T) {
	for _, log := range []string{"text", "json"} {
		s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off", "--log", log)
		c, err := websocket.Dial(t.Context(), s.banner["echo"], nil)
		if err != nil {
			t.Fatal(err)
		}
		s.signals <- os.Interrupt
		_, err = c.Read(t.Context())
		var e *websocket.CloseError
		if !errors.As(err, &e) || e.Code != websocket.CodeGoingAway || e.By != websocket.Remote {
			t.Errorf("the client saw %v", err)
		}
		if code := <-s.code; code != exitOK {
			t.Errorf("exit %d", code)
		}
		want := map[string]string{"text": "msg=stopped", "json": `"msg":"stopped"`}[log]
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("log %s", s.stderr.String())
		}
	}
}

func TestServeStopsAtOnce(t *testing.T) {
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off")
	c, err := websocket.Dial(t.Context(), s.banner["echo"], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	s.signals <- os.Interrupt
	s.signals <- os.Interrupt
	if code := <-s.code; code != exitInterrupted && code != exitOK { // the client may have answered in between
		t.Errorf("exit %d", code)
	}
}

func TestServeBanner(t *testing.T) {
	s := startServe(t, "--listen", "127.0.0.1:0")
	defer func() {
		s.signals <- os.Interrupt
		<-s.code
	}()
	if !strings.HasPrefix(s.banner["page"], "https://127.0.0.1:") || !strings.HasPrefix(s.banner["echo"], "wss://127.0.0.1:") ||
		!strings.HasSuffix(s.banner["echo"], "/echo") || !strings.HasSuffix(s.banner["try"], " dial "+s.banner["echo"]) {
		t.Errorf("banner %q", s.banner)
	}
	if _, err := os.Stat(s.banner["CA"]); err != nil {
		t.Errorf("CA: %v", err)
	}
}
