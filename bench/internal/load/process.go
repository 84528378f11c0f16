//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Resident returns the resident memory of process pid, in bytes.
func Resident(pid int) (int64, error) {
	// Rss in smaps_rollup is exact, unlike VmRSS in /proc/PID/status, which is a sum of counters that lag behind.
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "Rss:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("load: no Rss in smaps_rollup")
}

// OnProcessor calls start, which starts a process, on a thread that is pinned to one processor. The process inherits the affinity. A
// negative cpu means any processor.
func OnProcessor(cpu int, start func() error) error {
	if cpu < 0 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	only.Set(cpu)
	if err := errors.Join(unix.SchedGetaffinity(0, &before), unix.SchedSetaffinity(0, &only)); err != nil {
		return fmt.Errorf("load: processor %d: %w", cpu, err)
	}
	return errors.Join(start(), unix.SchedSetaffinity(0, &before))
}

// Await waits, for at most a minute, until a program listens on an address.
func Await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", addr, err)
		case <-tick.C:
		}
	}
}
