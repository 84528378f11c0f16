//go:build unix

package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A signal makes every blocked command exit, whether it reads standard input or a file that is a pipe.
func TestSignalEndsBlockedCommand(t *testing.T) {
	state(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0) // with O_RDWR, opening does not block, and a reader blocks until data is written
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()       // unblocks a reader that is still blocked
	defer os.Remove(pipe) // so that a later reader does not find the pipe
	for _, args := range [][]string{{"token", "show"}, {"token", "password", "alice"}, {"config", "check", pipe}} {
		in, writer := io.Pipe()
		signals := make(chan os.Signal, 1)
		signals <- syscall.SIGINT
		var stdout, stderr buffer
		code := Run(context.Background(), args, System{
			Stdin: in, Stdout: &stdout, Stderr: &stderr, Signals: signals, Getenv: func(string) string { return "" },
		})
		writer.Close()
		if code != exitInterrupted || stdout.String() != "" || stderr.String() != "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, stdout.String(), stderr.String())
		}
	}
}
