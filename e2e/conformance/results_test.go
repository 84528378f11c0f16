package conformance

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write results.md anew")

const resultsFile = "results.md"

// table contains the results of a run.
type table struct {
	families []family
	subjects []subject

	mu sync.Mutex
	ok map[outcomeKey]bool // contains only the cases that were run
}

type outcomeKey struct {
	id   string
	name string // name of the subject
}

func newTable(families []family, subjects []subject) *table {
	for _, f := range families {
		slices.SortFunc(f.cases, func(a, b testCase) int { return compareNumbers(a.id, b.id) })
	}
	return &table{families: families, subjects: subjects, ok: map[outcomeKey]bool{}}
}

// compareNumbers compares the numbers of cases: 9.2 is before 9.10, and 9.h.1 after both.
func compareNumbers(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		m, errX := strconv.Atoi(x)
		n, errY := strconv.Atoi(y)
		if errX == nil && errY == nil {
			return cmp.Compare(m, n)
		}
		return strings.Compare(x, y) // a digit sorts before a letter
	})
}

func (t *table) record(id string, s subject, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ok[outcomeKey{id, s.name}] = ok
}

func itoa(n int) string { return strconv.Itoa(n) }

// compare compares the results with results.md, or writes that file. It does nothing if only some cases were run.
func (t *table) compare(test *testing.T) {
	for _, f := range t.families {
		for _, c := range f.cases {
			for _, s := range t.subjects {
				if s.skips(c) {
					t.record(c.id, s, true) // assume success: results.md contains all cases
				}
				if _, played := t.ok[outcomeKey{c.id, s.name}]; c.tests(s.role) && !played {
					test.Logf("not all cases were played: %s is left as it is", resultsFile)
					return
				}
			}
		}
	}
	got := t.render()
	if *rewrite {
		if underRace {
			test.Fatal("-rewrite is for a run without the race detector: that one plays all cases")
		}
		if err := os.WriteFile(resultsFile, []byte(got), 0o644); err != nil {
			test.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(resultsFile)
	if err != nil {
		test.Fatal(err)
	}
	want := strings.Split(string(committed), "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(want) || line != want[i] {
			test.Fatalf("line %d of %s differs from the results (-rewrite writes the file anew):\n%s", i+1, resultsFile, line)
		}
	}
	if len(want) > strings.Count(got, "\n")+1 {
		test.Fatalf("%s has more lines than came out (-rewrite writes the file anew)", resultsFile)
	}
}

// render writes the table as Markdown.
func (t *table) render() string {
	var b strings.Builder
	b.WriteString(`# Conformance to RFC 6455

This file is written by ` + "`go test ./e2e/conformance -rewrite`" + `; doc.go describes how the cases run. A case has the number
of the corresponding case of the Autobahn test suite, whose strict result is required; cases with an h in their number are
our own. "server" is websocket.Accept, "service" is websocket.Server, "run" is Conn.Run on it and "events" is its event loop,
each tested by a raw client; "client" is websocket.Dial, tested by a raw server. A dash means that the case does not apply. "late" means that
the event loop, which inflates only complete messages, fails the connection at the end of the message instead of at its
first invalid byte. Clauses are of RFC 6455 unless another RFC is named. Families 12 and 13 send fewer messages than
Autobahn does, with data of our own.

`)
	var names []string
	for _, s := range t.subjects {
		names = append(names, s.name)
	}
	row(&b, "family", "cases", "of Autobahn", strings.Join(names, " OK | ")+" OK")
	rule(&b, 3+len(names))
	all := newCount(t)
	for _, f := range t.families {
		n := newCount(t)
		for _, c := range f.cases {
			n.add(t, c)
			all.add(t, c)
		}
		row(&b, itoa(f.number)+" "+f.name, n.cells()...)
	}
	row(&b, "all", all.cells()...)
	for _, f := range t.families {
		fmt.Fprintf(&b, "\n## %d %s\n\n", f.number, f.name)
		row(&b, "case", append([]string{"what happens", "clause"}, names...)...)
		rule(&b, 3+len(names))
		for _, c := range f.cases {
			cells := []string{strings.ReplaceAll(c.title, "|", `\|`), c.clause}
			for _, s := range t.subjects {
				cells = append(cells, t.outcome(c, s))
			}
			row(&b, c.id, cells...)
		}
	}
	return b.String()
}

func row(b *strings.Builder, first string, others ...string) {
	fmt.Fprintf(b, "| %s | %s |\n", first, strings.Join(others, " | "))
}

func rule(b *strings.Builder, columns int) {
	b.WriteString(strings.Repeat("|---", columns) + "|\n")
}

// count contains the number of cases, the number of Autobahn's cases, and for each subject the number of its successful cases and of
// all its cases.
type count struct {
	cases, autobahn int
	ok, there       []int
}

func newCount(t *table) count {
	return count{ok: make([]int, len(t.subjects)), there: make([]int, len(t.subjects))}
}

func (n *count) add(t *table, c testCase) {
	n.cases++
	if !strings.Contains(c.id, "h") {
		n.autobahn++
	}
	for i, s := range t.subjects {
		if t.outcome(c, s) == "OK" {
			n.ok[i]++
		}
		if c.tests(s.role) {
			n.there[i]++
		}
	}
}

func (n *count) cells() []string {
	cells := []string{itoa(n.cases), itoa(n.autobahn)}
	for i := range n.ok {
		cells = append(cells, fmt.Sprintf("%d of %d", n.ok[i], n.there[i]))
	}
	return cells
}

func (t *table) outcome(c testCase, s subject) string {
	switch ok := t.ok[outcomeKey{c.id, s.name}]; {
	case !c.tests(s.role):
		return "–"
	case ok && s.isLate(c):
		return "late"
	case ok:
		return "OK"
	}
	return "FAIL"
}
