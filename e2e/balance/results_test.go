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

Echo clients are connected through `+"`handfast serve`"+` with the target `+"`balance`"+` to three kinds of servers: handfast, gorilla and Node's ws.
In the row "two servers become four", the fourth server is Python's websockets. Each client sends two messages with sequence numbers, and two
more 2 s after the answers. A client reconnects as soon as its connection has ended. Only one kind of event happens at a time. A row fails
if its requirement is not met.

`+"`make drill`"+` runs this drill and writes this file. This run: %s %s/%s, %d processors, clients, balancer and servers on the same machine, %s.

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
- Closed: connections that ended with a close frame and a complete closing handshake, by code. Cut: connections that ended without one.
- Lost or duplicated: messages on connections that were not closed, by their sequence numbers.
- Failed handshakes: handshakes that failed for the client. Asked to wait: handshakes that were answered with 503 and ` + "`Retry-After`" + `.
- All back after: the time from the end of the event until each client has received another answer.
- Longest away: the longest time that a client needed from the end of its connection to the first answer on the next one.

In every row, no message may be lost or arrive twice, and no handshake may fail. In the rows for clients of channels, 50 clients subscribe to
each channel, through three handfast servers with one Redis, and a publisher for each channel numbers its messages. These clients do not report
why they had to reconnect.

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
