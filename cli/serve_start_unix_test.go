//go:build unix

package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// serve logs its first line before it checks the parts of its configuration, which may take long. In this test the check waits for a list
// of servers, which is a pipe without a writer. After a mistake in the configuration itself, serve does not log that line.
func TestServeBeginsWithItsFirstLine(t *testing.T) {
	state(t)
	dir := t.TempDir()
	pipe := filepath.Join(dir, "servers")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	text := `
listen: [{address: "127.0.0.1:0", tls: off}]
endpoints: [{name: e, path: /x, target: {balance: {file: servers}}, auth: [anonymous]}]
`
	file := write(t, filepath.Join(dir, "handfast.yaml"), text)
	var stdout, stderr buffer
	code := make(chan int, 1)
	go func() {
		code <- Run(context.Background(), []string{"serve", "--config", file}, System{Program: "handfast", Stdin: strings.NewReader(""),
			Stdout: &stdout, Stderr: &stderr, Signals: make(chan os.Signal), Getenv: func(string) string { return "" }})
	}()
	bounded.Until(t, func() bool { return strings.Contains(stderr.String(), "\n") })
	if got := stderr.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=INFO msg=starting version=") || stdout.String() != "" {
		t.Errorf("while the check waits: %q, %q", got, stdout.String())
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, []byte("not a server\n"), 0o600) }() // waits until the check opens the pipe
	if err := bounded.Receive(t, written); err != nil {
		t.Error(err)
	}
	if got := bounded.Receive(t, code); got != exitFailed || !strings.Contains(stderr.String(), "\nhandfast: "+file+":3:") {
		t.Errorf("exit %d, %s", got, stderr.String())
	}
	write(t, pipe, "127.0.0.1:9001\n")
	write(t, file, text+"limit: 1\n")
	if got := runCommand(t, "serve", "--config", file); got.code != exitFailed || !strings.HasPrefix(got.stderr, "handfast: "+file+":4:") {
		t.Errorf("with a mistake in the file: %+v", got)
	}
}
