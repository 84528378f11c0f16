//go:build unix

package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// A configuration may come through a pipe, once. Neither the watch nor a further read waits for what does not come.
func TestPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if err == nil {
			_, err = w.WriteString(text)
			w.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		write(served("log: {level: debug}\n"))
	}()
	c, err := Load(Sources{File: pipe})
	if bounded.Receive(t, written); err != nil || c.Log.Level != "debug" {
		t.Fatalf("%v, %v", c, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Watch(ctx, c, func() { t.Error("it has changed") }); err != nil {
		t.Error(err)
	}
	if _, err := readPipe(pipe, maxFile, time.Millisecond); err == nil || !strings.Contains(err.Error(), "nobody has written") {
		t.Errorf("%v", err)
	}
	write("") // lets the reader go that was left behind
}
