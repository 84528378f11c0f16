// Package leak fails a test binary whose tests leave goroutines running.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// timeout limits the wait for goroutines that are about to return. Without a leak it is never reached.
const timeout = 30 * time.Second

// Main runs m's tests and returns the exit code for os.Exit. It also returns 1 if a goroutine is still running after the tests.
func Main(m *testing.M) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	if left := waitIdle(); left != "" {
		fmt.Fprintf(os.Stderr, "leak: goroutines outlive the tests:\n\n%s\n", left)
		return 1
	}
	return 0
}

// waitIdle polls until only the test's own goroutine is running. If other goroutines are still running after the timeout, it returns their stacks.
func waitIdle() string {
	deadline := time.Now().Add(timeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		left := otherGoroutines()
		if left == "" || time.Now().After(deadline) {
			return left
		}
		time.Sleep(pause)
	}
}

// otherGoroutines returns the stacks of all goroutines except the caller and those of the runtime and package testing.
func otherGoroutines() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for i, stack := range strings.Split(string(buf), "\n\n") {
		if i == 0 || stack == "" { // the first one is the caller
			continue
		}
		if strings.Contains(stack, "os/signal.signal_recv") || strings.Contains(stack, "runtime.ReadTrace") ||
			strings.Contains(stack, "internal/fuzz.") || strings.Contains(stack, "testing.(*M).startAlarm") {
			continue
		}
		left = append(left, stack)
	}
	return strings.Join(left, "\n\n")
}
