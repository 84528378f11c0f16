//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"runtime"
	"slices"
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

// protocolsResult is a row of the table of a killed node with clients of all protocols.
type protocolsResult struct {
	engine          string
	acked           int
	own, centrifugo int // messages that were received
	extended        int // those of the Pusher client that recovers
	pusher          int
	presence        time.Duration
	failed          bool
}

var results struct {
	mu        sync.Mutex
	all       []result
	protocols []protocolsResult
}

func recordProtocols(r protocolsResult) {
	results.mu.Lock()
	defer results.mu.Unlock()
	results.protocols = append(results.protocols, r)
}

// writeProtocols writes the table of a killed node with clients of all protocols.
func writeProtocols() error {
	if !*drill || len(results.protocols) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# A killed node with clients of all protocols

Three nodes with one engine. One of them, with clients of `+"`handfast.v1.json`"+`, of Centrifugo's protocol and of Pusher's, gets kill -9 while a publisher
at another node numbers what it publishes, each message when the one before is acknowledged. One client of each protocol comes back to another
node, and one does not; of Pusher's, one each that asks for [recovery](pusher.md#recover-missed-events) and that does not.

`+"`go test -tags e2e -v ./e2e/cluster -run TestProtocolsOfAKilledNode -drill`"+` runs this and writes this file; `+"`make drill`"+` does, too. Without `+"`-drill`"+` the same
is a test. This run: %s %s/%s, %d processors, clients and servers on the same machine, %s.

| engine | acknowledged | received: handfast.v1.json | Centrifugo | Pusher with recovery | Pusher | members gone after | |
|---|--:|--:|--:|--:|--:|--:|---|
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	slices.SortFunc(results.protocols, func(a, b protocolsResult) int { return strings.Compare(a.engine, b.engine) })
	for _, r := range results.protocols {
		verdict := "passed"
		if r.failed {
			verdict = "failed"
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %s | %s |\n", r.engine, r.acked, r.own, r.centrifugo, r.extended, r.pusher, seconds(r.presence), verdict)
	}
	b.WriteString(`
Passed: the clients that recover have each acknowledged message once and in order, without a gap. The
Pusher protocol alone cannot recover: its client lacks what was published while it was away, and has every message once and in order from
its new subscription on. Users who come back do not leave. Those who do not have left once, within five seconds of the kill, as a client of
Pusher's protocol at another node sees it.
`)
	return os.WriteFile("../../docs/drill-protocols.md", []byte(b.String()), 0o644)
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
