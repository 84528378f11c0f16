package behave

import (
	"context"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// seen contains the observations of handfast's clients in each row.
var seen = map[string]string{
	"reload: another weight and header":                 `^all kept$`,
	"the same reload, old connections may stay":         `^all kept`,
	"the program is replaced, old connections may stay": `^all kept; processes: 1 before, 2 now$`,
	"reload: one more server":                           `^all kept$`,
	"reload: one server less":                           `^all kept$`,
	"drain of one server":                               `: [0-9]+ closed with 1012 [^,;]*; 0 left on it$`,
	"a server answers its checks with 503":              `^[0-9]+ closed with 1012 [^,;]*; 0 left on it$`,
	"scale-out from 2 to 4, old connections may stay":   `^[0-9]+/[0-9]+/0/0`,
	"a server is killed (-9)":                           `^[0-9]+ closed with 1012 [^,;]*$`,
	"a server restarts and sends 1001":                  `^[0-9]+ closed with 1001 [^,;]*; then `,
	"the balancer's program is replaced":                `^20 closed with 1001 `,
	"one of two servers answers 503":                    `^all 20 handshakes succeed$`,
	"one of two servers refuses TCP":                    `^all 20 handshakes succeed$`,
	"the server answers 200 to an upgrade":              `^the client gets: 502$`,
	"the server answers 101 with a wrong key":           `^the client gets: 502$`,
	"clients and server are silent, limits as packaged": `^within [^:]*: all kept`,

	// After the drain, a health check may still be connected.
	"a server is drained, clients that can resume":                           `: all kept; no message is missed; [01] left on it$`,
	"a server is killed (-9), clients that can resume":                       `^all kept; no message is missed$`,
	"a server restarts, clients that can resume":                             `^all kept; no message is missed$`,
	"clients are silent behind a proxy that cuts such connections after 3 s": `^within [^:]*: all kept; [1-9][0-9]* pings$`,
}

// slow lists the additional results that a row may contain on a busy machine.
var slow = regexp.MustCompile(`; the slowest handshake took [0-9.]+ s`)

// The rows of handfast are run, each in a short form.
func TestHandfast(t *testing.T) { observed(t, func(r row) bool { return !r.held }) }

// observed runs the wanted rows, and compares the results with seen. If a result differs, the row runs again with a longer observation
// time, because the machine may be busy.
func observed(t *testing.T, wanted func(row) bool) {
	t.Helper()
	dir := t.TempDir()
	build := func(pkg string) string {
		file := filepath.Join(dir, path.Base(pkg))
		if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "github.com/handfast/handfast/"+pkg).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		return file
	}
	handfast, upstream := build("cmd/handfast"), build("bench/cmd/upstream")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var all sync.WaitGroup // all rows run concurrently, because they mostly wait
	for _, r := range rows {
		if !wanted(r) {
			continue
		}
		all.Go(func() {
			want := regexp.MustCompile(seen[r.name])
			for window := time.Second; ; window *= 2 {
				o := &Options{Dir: t.TempDir(), Handfast: handfast, Upstream: upstream, Clients: 20, Window: window, Bound: time.Second, Silence: time.Second}
				text, err := o.play(ctx, tools[0], handfast, r)
				if err != nil {
					t.Errorf("%s: %v", r.name, err)
					return
				}
				text = slow.ReplaceAllString(text, "")
				if want.MatchString(text) {
					return
				}
				if window > 30*time.Second {
					t.Errorf("%s: %q, want %s", r.name, text, want)
					return
				}
			}
		})
	}
	all.Wait()
}

// A table has one row per event, one column per balancer, and the clients' observations in the cells.
func TestTable(t *testing.T) {
	var out strings.Builder
	o := &Options{Rows: regexp.MustCompile(`killed \(-9\)$`), Progress: io.Discard}
	cells := make([]string, len(rows))
	for i, r := range rows {
		cells[i] = "what is seen when " + r.name
	}
	o.table(&out, []*column{{"one 1.0", cells}, {"two 2.0", make([]string, len(rows))}})
	want := "| what happens | one 1.0 | two 2.0 |\n|---|---|---|\n| a server is killed (-9) | what is seen when a server is killed (-9) |  |\n"
	if out.String() != want {
		t.Errorf("%s, want %s", &out, want)
	}
}

// Events are counted and reported with their times since the start.
func TestWords(t *testing.T) {
	start := time.Now()
	at := func(what string, times ...time.Duration) (all []event) {
		for _, d := range times {
			all = append(all, event{at: start.Add(d), what: what, took: d})
		}
		return all
	}
	ms := time.Millisecond
	for _, tt := range []struct{ got, want string }{
		{ended(nil, start), "all kept"},
		{ended(at("cut", 100*ms, 200*ms), start), "2 cut together after 0.1 s"},
		{ended(at("closed with 1012", 0, 400*ms, 900*ms, 1500*ms), start), "4 closed with 1012 from 0.0 s to 1.5 s, at most 3 in a second"},
		{ended(append(at("cut", 0), at("closed with 1001", 0, 0)...), start), "2 closed with 1001 together after 0.0 s, 1 cut together after 0.0 s"},
		{met(at("", 100*ms, 200*ms), start), ""},
		{met(append(at("", 0), at("503", 300*ms)...), start), "1 of 2 handshakes failed (1 503), the last after 0.3 s"},
		{met(at("", 1200*ms), start), "the slowest handshake took 1.2 s"},
		{share([]int{100, 0}), "100/0"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
