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
	duplicates          int // number of duplicate announcements
	failed              bool
}

// protocolsResult is a row of the table about a killed node with clients of all protocols.
type protocolsResult struct {
	engine             string
	acked              int
	native, centrifugo int // number of received messages
	extended           int // number of messages received by the Pusher client that recovers
	pusher             int
	presence           time.Duration
	failed             bool
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

// writeProtocols writes the table about a killed node with clients of all protocols.
func writeProtocols() error {
	if !*drill || len(results.protocols) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# A killed node with clients of all protocols

There are three nodes with one engine. One of them, with clients of `+"`handfast.v1.json`"+`, of Centrifugo's protocol and of Pusher's, is killed with
kill -9, while a publisher at another node publishes numbered messages, each as soon as the previous one is acknowledged. One client of each
protocol reconnects to another node, and one does not. For Pusher's protocol there are clients that ask for
[recovery](pusher.md#recover-missed-events) and clients that do not.

`+"`go test -tags e2e -v ./e2e/cluster -run TestProtocolsOfAKilledNode -drill`"+` runs this drill and writes this file, and so does `+"`make drill`"+`. Without `+"`-drill`"+` it
is an ordinary test. This run: %s %s/%s, %d processors, clients and servers on the same machine, %s.

| engine | acknowledged | received: handfast.v1.json | Centrifugo | Pusher with recovery | Pusher | members gone after | |
|---|--:|--:|--:|--:|--:|--:|---|
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	slices.SortFunc(results.protocols, func(a, b protocolsResult) int { return strings.Compare(a.engine, b.engine) })
	for _, r := range results.protocols {
		verdict := "passed"
		if r.failed {
			verdict = "failed"
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %s | %s |\n", r.engine, r.acked, r.native, r.centrifugo, r.extended, r.pusher, seconds(r.presence), verdict)
	}
	b.WriteString(`
A row has passed if the clients with recovery received each acknowledged message once and in order, without a gap. The Pusher protocol alone
cannot recover messages: its client misses the messages that were published while it was disconnected, and receives every message once and
in order after it has subscribed again. Users who reconnect are not reported as having left. Those who do not reconnect are reported once, within five
seconds of the kill, to a client of Pusher's protocol at another node.
`)
	return os.WriteFile("../../docs/drill-protocols.md", []byte(b.String()), 0o644)
}

func record(r result) {
	results.mu.Lock()
	defer results.mu.Unlock()
	results.all = append(results.all, r)
}

// writeResults writes the results of the long form as a table.
func writeResults() error {
	if !*drill || len(results.all) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Faults in a cluster

The cluster has three nodes with one engine, %d subscribers spread over them, and two publishers of numbered messages for each channel of 100
subscribers. All clients keep running during each fault. Every node is in two networks: one for its clients, and one for the other nodes and
the engine. The fault that cuts a node off cuts the second network.

`+"`make drill`"+` runs this drill and writes this file; it must run as root, because it creates networks. This run: %s %s/%s, %d processors, clients and
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
			r.sum.lost, r.sum.duplicates, r.sum.gaps, seconds(r.sum.slowest), seconds(r.recovered), gone, r.duplicates, verdict)
	}
	b.WriteString(`
Each publisher publishes once a second, but only after its previous message was acknowledged.

- Published: acknowledged messages. Delivered: received messages, summed over all subscribers.
- Lost: messages that a subscriber did not get although no gap was reported to it.
- Caught up after: the time from the end of the fault until every publisher had received another acknowledgement and every subscriber all
  acknowledged messages.
- Members gone after: the time from the fault until no other node listed a member of the lost node; the limit is five seconds.
- Announced twice: leaves that follow a leave, and joins that follow a join, of the same member.

With "nats", each node contains a NATS server, and these form a cluster; with "nats elsewhere", the nodes share a NATS server in a separate
process. An engine without rows was not part of the run.
`)
	return os.WriteFile("../../docs/drill.md", []byte(b.String()), 0o644)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
