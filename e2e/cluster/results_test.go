//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// result is a row of the table.
type result struct {
	engine, fault       string
	subscribers         int
	sum                 sum
	presence, recovered time.Duration
	twice               int // announcements
	failed              bool
}

var results struct {
	mu  sync.Mutex
	all []result
}

func record(r result) {
	results.mu.Lock()
	defer results.mu.Unlock()
	results.all = append(results.all, r)
}

// writeResults writes the table of the long form.
func writeResults() error {
	if !*drill || len(results.all) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Faults in a cluster

Three nodes with one engine, %d subscribers spread over them, two publishers for each channel of 100 subscribers, which number what
they publish. Each fault happens while all of them go on. Every node has a network of its own, and one more to the other nodes and the
engine, which is the one that is cut.

`+"`make drill`"+` runs this and writes this file, as root, because it makes networks. This run: %s %s/%s, %d processors, clients and
servers on the same machine, %s.

| engine | fault | published | delivered | lost | twice or late | gaps | slowest acknowledgement | caught up after | members gone after | announced twice | |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
`, results.all[0].subscribers, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	for _, r := range results.all {
		gone, verdict := "–", "passed"
		if r.presence > 0 {
			gone = seconds(r.presence)
		}
		if r.failed {
			verdict = "failed"
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %s | %s | %s | %d | %s |\n", r.engine, r.fault, r.sum.acked, r.sum.received,
			r.sum.lost, r.sum.again, r.sum.gaps, seconds(r.sum.slowest), seconds(r.recovered), gone, r.twice, verdict)
	}
	b.WriteString(`
Each publisher publishes once a second, and the next message when the one before is acknowledged. Published is what was acknowledged,
delivered is what all subscribers together have received. Lost is what a subscriber did not get although no gap was reported to it.
Caught up after: from the end of the fault until every publisher had a further acknowledgement and every subscriber everything that was
acknowledged. Members gone after: from the fault until no other node listed a member of the lost node; the bound is five
seconds. With "nats" each node has a server of a cluster in it; with "nats elsewhere" they share one in a process of its own. An
engine without rows was not run.
Announced twice: leaves and joins that follow another one of the same member.
`)
	return os.WriteFile("../../docs/drill.md", []byte(b.String()), 0o644)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
