//go:build unix

package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// sendSIGHUP sends SIGHUP to the server, which runs in this process.
func sendSIGHUP(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// SIGHUP makes the server read and reopen files even if it was started without a configuration file.
func TestServeWithoutFileOutlivesSIGHUP(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "the first token, which is long enough\n")
	t.Setenv("HANDFAST_LOG_LEVEL", "debug")
	t.Setenv("HANDFAST_ADMIN_TOKEN_FILE", token)
	t.Setenv("HANDFAST_ENDPOINTS", "[{name: chat, path: /chat, target: echo, auth: [anonymous]}]")
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off")
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	sendSIGHUP(t)
	s.waitForLog(t, func(int) {}, `msg="configuration unchanged"`)
	write(t, token, "another token, which is long enough too\n")
	s.waitForLog(t, func(int) {}, `msg="configuration changed"`, "setting=admin.token")
	c, err := websocket.Dial(bounded.Context(t), s.banner["chat"], nil)
	if err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
}

// Truncating the file while the server is running changes nothing.
func TestServeTruncatedFile(t *testing.T) {
	file := write(t, "handfast.yaml", `
listen: [{address: "127.0.0.1:0", tls: off}]
auth: {users: {jwt: {secret: 0123456789012345678901234567890123456789}}}
endpoints: [{name: chat, path: /chat, target: echo, auth: [users]}, {path: /open, target: echo, auth: [anonymous]}]
`)
	s := startServe(t, "--config", file, "--listen", "127.0.0.1:0", "--tls", "off")
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	sendSIGHUP(t)
	s.waitForLog(t, func(int) {}, "level=ERROR", `msg="configuration not loaded"`, "handfast.yaml:1:1", "endpoints")
	s.waitForLog(t, func(int) {}, "level=WARN", `msg="the old configuration stays in force"`, "handfast config check "+file)
	_, err := websocket.Dial(bounded.Context(t), strings.Replace(s.banner["chat"], "/chat", "/echo", 1), nil)
	if refused, ok := err.(*websocket.HandshakeError); !ok || refused.Status != 404 {
		t.Errorf("/echo: %v", err)
	}
}

// A signal after an edit causes one reload: the server's own watch does not report the same edit again. Because the watch may report an
// edit before the signal arrives, the test tries up to five edits, and fails if the server reads each of them one time too many.
func TestServeReloadsOnce(t *testing.T) {
	text := "log: {level: debug}\nlimits: {connections: %d}\nendpoints: [{name: chat, path: /chat, target: echo, auth: [anonymous]}]\n"
	file := write(t, "handfast.yaml", fmt.Sprintf(text, 10))
	s := startServe(t, "--config", file, "--listen", "127.0.0.1:0", "--tls", "off")
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	count := func(what string) int { return strings.Count(s.stderr.String(), `msg="configuration `+what+`"`) }
	more := func(what string, than int) {
		t.Helper()
		bounded.Until(t, func() bool { return count(what) > than })
	}
	for attempt := range 5 {
		cfg, err := config.Load(config.Sources{File: file})
		if err != nil {
			t.Fatal(err)
		}
		watch, err := config.NewWatch(cfg)
		if err != nil {
			t.Fatal(err)
		}
		reloaded, unchanged := count("reloaded"), count("unchanged")
		next := write(t, "next.yaml", fmt.Sprintf(text, 20+attempt))
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
		sendSIGHUP(t)
		more("reloaded", reloaded)
		ctx, cancel := context.WithCancel(bounded.Context(t))
		watch.Run(ctx, cancel) // notices the change at the same time as the server's own watch
		sendSIGHUP(t)
		more("unchanged", unchanged)
		if count("unchanged") == unchanged+1 {
			return
		}
	}
	t.Error("each of five edits was read one time too many")
}

// A new configuration with the same meaning changes nothing, but the files that it names are watched from then on.
func TestServeWatchesNewFiles(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "the first token, which is long enough\n")
	text := "listen: [{address: \"127.0.0.1:0\", tls: off}]\nendpoints: [{name: chat, path: /chat, target: echo, auth: [anonymous]}]\nadmin: {address: \"127.0.0.1:0\", %s}\n"
	file := write(t, "handfast.yaml", fmt.Sprintf(text, `token: "the first token, which is long enough"`))
	s := startServe(t, "--config", file)
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	s.waitForLog(t, func(n int) { write(t, file, fmt.Sprintf(text+"# %d\n", `token_file: "`+token+`"`, n)) }, `msg="configuration unchanged"`)
	s.waitForLog(t, func(n int) { write(t, token, fmt.Sprintf("token %d, which is long enough, too\n", n)) }, `msg="configuration changed"`, "setting=admin.token")
}

// skip also discards a change that the watch has already reported.
func TestReloaderSkip(t *testing.T) {
	r := &reloader{changed: make(chan struct{}, 1)}
	r.changed <- struct{}{}
	r.skipChanges()
	if len(r.changed) != 0 {
		t.Error("the change is reported again")
	}
}

// A file without endpoints, or a missing file, is an error at the start.
func TestServeNeedsEndpoints(t *testing.T) {
	got := runCommand(t, "serve", "--config", file(t, "handfast.yaml", "log: {}\n"))
	if got.code != exitFailed || got.stdout != "" || !strings.Contains(got.stderr, "handfast.yaml:1:1: endpoints: required") {
		t.Errorf("%+v", got)
	}
	if got := runCommand(t, "serve", "--config", "", "--listen", "127.0.0.1:0"); got.code != exitUsage || !strings.Contains(got.stderr, "--config") {
		t.Errorf("%+v", got)
	}
}
