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

This drill shows which messages clients of each protocol receive when their node is killed. The cluster has three nodes with one engine.
One node has clients of `+"`handfast.v1.json`"+`, of Centrifugo's protocol and of Pusher's protocol, and is killed with kill -9. Meanwhile, a
publisher at another node publishes numbered messages, each as soon as the previous message is acknowledged. For each protocol, one client
reconnects to another node after the kill, and a second client does not reconnect. Pusher's protocol is tested both with clients that ask
for [recovery](pusher.md#recover-missed-events) and with clients that do not.

`+"`make drill`"+` runs this drill and writes this file. So does `+"`go test -tags e2e -v ./e2e/cluster -run TestProtocolsOfAKilledNode -drill`"+`,
which runs no other drill. Without `+"`-drill`"+`, the test makes the same checks, but writes no file. Clients and servers run on the same
machine. This run: %s %s/%s, %d processors, %s.

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
A row has passed if all of the following are true:

- The reconnecting clients of ` + "`handfast.v1.json`" + `, of Centrifugo's protocol and of Pusher's protocol with recovery received each
  acknowledged message once and in order, without a gap.
- The reconnecting Pusher client without recovery missed only messages that were published while it was disconnected, and received every
  later message once and in order after it had subscribed again.
- No user who reconnected was reported as having left. Each user who did not reconnect was reported once, within five seconds of the kill,
  to a client of Pusher's protocol at another node.

"Acknowledged" is the number of acknowledged messages. "Members gone after" is the time from the kill until the leaves of the users who
did not reconnect were reported.
`)
	return os.WriteFile("../../docs/drill-protocols.md", []byte(b.String()), 0o644)
}

func record(r result) {
	results.mu.Lock()
	defer results.mu.Unlock()
	results.all = append(results.all, r)
}

// writeResults writes the results of a run with -drill as a table.
func writeResults() error {
	if !*drill || len(results.all) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Faults in a cluster

This drill shows what the clients of channels see when a node or the engine of a cluster fails. The cluster has three nodes with one
engine, and %d subscribers, which are spread over the nodes. Each channel has 100 subscribers and two publishers, which number their
messages. All clients keep running during each fault. Every node is in two networks: one for its clients, and one for the other nodes and
the engine. The fault that cuts a node off cuts the second network only, so the node's clients stay connected.

`+"`make drill`"+` runs this drill and writes this file; it must run as root, because it creates networks. Clients and servers run on the same
machine. This run: %s %s/%s, %d processors, %s.

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
With the engine "nats", each node contains a NATS server, and the three NATS servers form a cluster. With "nats elsewhere", the nodes
share a NATS server in a separate process. An engine without rows was not part of the run.

Each publisher publishes once a second, but only after its previous message was acknowledged.

- Published: acknowledged messages. Delivered: received messages, summed over all subscribers.
- Lost: messages that a subscriber did not get although the subscriber was not notified of a gap.
- Twice or late: messages that a subscriber got a second time or out of order.
- Gaps: notifications to subscribers that messages may be missing.
- Slowest acknowledgement: the longest time from a publication to its acknowledgement.
- Caught up after: the time from the end of the fault until every publisher had received another acknowledgement, and every subscriber had
  received all acknowledged messages.
- Members gone after: the time from the fault until no other node listed a member of the lost node. The limit is five seconds.
- Announced twice: announcements of a leave after a leave, or of a join after a join, for the same member.
`)
	return os.WriteFile("../../docs/drill.md", []byte(b.String()), 0o644)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
