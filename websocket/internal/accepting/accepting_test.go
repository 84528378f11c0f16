//go:build !plan9

package accepting

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// temporary is an error of a listener that is not from the system.
type temporary struct{ error }

func (temporary) Timeout() bool   { return false }
func (temporary) Temporary() bool { return true }

func TestAfter(t *testing.T) {
	for errno, want := range map[syscall.Errno]Action{
		syscall.EMFILE: Pause, syscall.ENFILE: Pause, syscall.ENOBUFS: Pause, syscall.ENOMEM: Pause,
		syscall.ECONNABORTED: Next, syscall.EPROTO: Next, syscall.EPERM: Next, syscall.EINTR: Next,
		syscall.EBADF: Stop, syscall.EINVAL: Stop,
	} {
		if got := After(errno); got != want {
			t.Errorf("%v: %v, want %v", errno, got, want)
		}
		if got := After(&net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errno)}); got != want {
			t.Errorf("%v from package net: %v, want %v", errno, got, want)
		}
	}
	if got := After(temporary{errors.New("not now")}); got != Pause {
		t.Errorf("a temporary error: %v", got)
	}
	if got := After(net.ErrClosed); got != Stop {
		t.Errorf("a closed listener: %v", got)
	}
}

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	want := []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, time.Second, time.Second}
	var b Backoff
	for range 2 {
		var got []time.Duration
		for range want {
			got = append(got, b.Next())
		}
		if !slices.Equal(got, want) {
			t.Errorf("pauses of %v, want %v", got, want)
		}
		b.Reset()
	}
}
