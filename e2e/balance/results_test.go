//go:build e2e

package balance

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// result is a row of the table.
type result struct {
	name, want string
	clients    int
	took       time.Duration
	recovery   time.Duration // from the end of the event until each client has received another echo
	seen       tally
	notes      []string
	spread     []sample
	failed     bool
}

// sample is the number of connections of each server at one time.
type sample struct {
	at   time.Duration // time since the start of the trial
	live []int
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

// sample records and returns the servers' numbers of connections.
func (s *stage) sample() []int {
	s.t.Helper()
	all := s.status()
	live := make([]int, len(s.servers))
	for i := range s.servers {
		live[i] = all[s.id(i)].Live
	}
	s.spread = append(s.spread, sample{time.Since(s.began), live})
	return live
}

// writeResults writes the results of the long form as a table.
func writeResults() error {
	if !*drill || len(results.all) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Faults behind the balancer

This drill shows what thousands of clients see when servers behind the balancer fail, restart or are added. Echo clients are connected
through `+"`handfast serve`"+` with the target `+"`balance`"+` to three servers, which use different WebSocket libraries: handfast, gorilla (Go) and
ws (Node). In the row "two servers become four", a server with websockets (Python) is the fourth. Each client sends two messages with
sequence numbers, waits for both answers, and sends the next two messages 2 s later. A client reconnects as soon as its connection has
ended. Only one kind of event happens at a time. A row fails if its requirement is not met.

`+"`make drill`"+` runs this drill and writes this file. Clients, balancer and servers run on the same machine. This run: %s %s/%s, %d
processors, %s.

| what happens | clients | closed | cut | lost or duplicated | failed handshakes | asked to wait | duration | all back after | longest away | requirement | |
|---|--:|---|--:|--:|--:|--:|--:|--:|--:|---|---|
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	for _, r := range results.all {
		verdict := "passed"
		if r.failed {
			verdict = "failed"
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %d | %d | %d | %d | %s | %s | %s | %s | %s |\n", r.name, r.clients, codes(r.seen.closed), r.seen.cut,
			r.seen.lost+r.seen.duplicated, r.seen.failed, r.seen.refused, seconds(r.took), seconds(r.recovery), seconds(r.seen.maxDowntime), r.want, verdict)
	}
	b.WriteString(`
- Closed: connections that ended with a close frame and a complete closing handshake, by close code.
- Cut: connections that ended without a close frame.
- Lost or duplicated: messages that were lost on a connection that stayed open, or were echoed twice, according to their sequence numbers.
- Asked to wait: handshakes that were answered with 503 and ` + "`Retry-After`" + `. Failed handshakes: all other handshakes that did not succeed.
- Duration: the duration of the event. All back after: the time from the end of the event until each client has received another answer.
- Longest away: the longest time from the end of a client's connection to the first answer on the client's next connection.

Every row also requires that no message is lost or arrives twice, and that no handshake fails.

In the rows with ` + "`hold`" + `, the balancer moves clients to another server without closing their connections. In the rows for clients of
channels, three handfast servers share one Redis. Each channel has 50 subscribers and a publisher that numbers its messages. These clients
do not report close codes, so a connection that had been closed would be counted in the column "closed" as "unknown".

`)
	for _, r := range results.all {
		if len(r.notes) > 0 {
			fmt.Fprintf(&b, "- **%s**: %s\n", r.name, strings.Join(r.notes, ", "))
		}
	}
	for _, r := range results.all {
		writeSpread(&b, r)
	}
	return os.WriteFile("../../docs/balance-drill.md", []byte(b.String()), 0o644)
}

// writeSpread writes each server's number of connections over time, at ten of the recorded times.
func writeSpread(b *strings.Builder, r result) {
	if len(r.spread) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\nThe table shows the connections of each server over time, and the largest ratio of a server's connections to its fair share.\n\n| after | %s | largest ratio |\n|--:|%s--:|\n",
		strings.ToUpper(r.name[:1])+r.name[1:], strings.Join([]string{"handfast", "gorilla", "Node's ws", "Python's websockets"}, " | "), strings.Repeat("--:|", 4))
	const rows = 10
	for i := range rows + 1 {
		s := r.spread[i*(len(r.spread)-1)/rows]
		sum := 0
		for _, n := range s.live {
			sum += n
		}
		fmt.Fprintf(b, "| %s |", seconds(s.at))
		for _, n := range s.live {
			fmt.Fprintf(b, " %d |", n)
		}
		fmt.Fprintf(b, " %.2f |\n", float64(slices.Max(s.live)*len(s.live))/float64(max(1, sum)))
	}
}

// codes formats the number of closed connections for each close code.
func codes(closed map[string]int) string {
	var all []string
	for _, code := range slices.Sorted(maps.Keys(closed)) {
		all = append(all, fmt.Sprintf("%s: %d", code, closed[code]))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
