//go:build unix

package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A configuration can be read from a pipe once. Neither the watch nor a second read blocks on the pipe.
func TestPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	keep, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without an open reader, opening the pipe for writing would block
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	write(t, pipe, served("log: {level: debug}\n"))
	c, err := Load(Sources{File: pipe})
	if err != nil || c.Log.Level != "debug" {
		t.Fatalf("%v, %v", c, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w, err := NewWatch(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Run(ctx, func() { t.Error("a change of the pipe is reported") })
	if _, err := Load(Sources{File: pipe}); err == nil || !strings.Contains(err.Error(), "the pipe is empty") {
		t.Errorf("%v", err)
	}
}
