// Package leak fails a test binary in which goroutines are left when its tests are over.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience bounds the wait for goroutines that are on their way out. Nothing waits for it when all is well.
const patience = 30 * time.Second

// Main runs m's tests and returns the exit code for os.Exit: 1 as well when a goroutine outlives them.
func Main(m *testing.M) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	if left := wait(); left != "" {
		fmt.Fprintf(os.Stderr, "leak: goroutines outlive the tests:\n\n%s\n", left)
		return 1
	}
	return 0
}

// wait polls until only the test's own goroutine is left, and returns the stacks of those that stayed.
func wait() string {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		left := others()
		if left == "" || time.Now().After(deadline) {
			return left
		}
		time.Sleep(pause)
	}
}

// others returns the stacks of all goroutines but the caller and those that the runtime and package testing keep.
func others() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for i, stack := range strings.Split(string(buf), "\n\n") {
		if i == 0 || stack == "" { // the first is the caller
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
