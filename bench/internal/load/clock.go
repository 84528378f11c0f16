//go:build linux

package load

import (
	"math/bits"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime returns the CPU time of process pid, including system time, with nanosecond resolution; 0 if there is no such process.
func CPUTime(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	const perProcessSched = 2 // CPUCLOCK_SCHED, for all threads of the process: see clock_getcpuclockid(3)
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|perProcessSched), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// meter measures the period after the warm-up.
type meter struct {
	c     *Config
	begun time.Time
	start time.Time // start of the measurement; zero during the warm-up
	cpu   time.Duration
	own   time.Duration
	ops   int64
	times histogram
}

func newMeter(c *Config) *meter { return &meter{c: c, begun: time.Now()} }

// over starts the measurement when the warm-up is complete, given the number of operations so far, and reports whether the measurement is
// complete. A measurement includes at least one operation.
func (m *meter) over(now time.Time, ops int64) bool {
	if m.start.IsZero() {
		if now.Sub(m.begun) < m.c.Warm {
			return false
		}
		m.cpu, m.own, m.ops = CPUTime(m.c.PID), CPUTime(os.Getpid()), ops
		m.times = histogram{}
		m.start = time.Now()
		return false
	}
	return now.Sub(m.start) >= m.c.For && ops > m.ops
}

func (m *meter) result(ops int64) Result {
	r := Result{
		Ops: ops - m.ops, Took: time.Since(m.start), CPU: CPUTime(m.c.PID) - m.cpu, LoadCPU: CPUTime(os.Getpid()) - m.own,
	}
	r.P50, r.P99 = m.times.quantile(0.5), m.times.quantile(0.99)
	return r
}

// histogram counts durations in buckets that are about 3 % wide.
type histogram struct {
	n       int64
	buckets [64 * 32]int64
}

func (h *histogram) add(d time.Duration) {
	h.n++
	h.buckets[bucket(uint64(max(d, 0)))]++
}

func bucket(v uint64) int {
	if v < 32 {
		return int(v)
	}
	shift := bits.Len64(v) - 6
	return (shift+1)*32 + int(v>>shift) - 32
}

func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q * float64(h.n))
	for i, k := range h.buckets {
		if rank -= k; rank < 0 {
			if i < 32 {
				return time.Duration(i)
			}
			return time.Duration(uint64(i%32+32) << (i/32 - 1))
		}
	}
	return 0
}
