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

// table is the outcome of a run.
type table struct {
	families []family

	mu sync.Mutex
	ok map[outcomeKey]bool // what has been played
}

type outcomeKey struct {
	id   string
	role role
}

func newTable(families []family) *table {
	for _, f := range families {
		slices.SortFunc(f.cases, func(a, b testCase) int { return compareNumbers(a.id, b.id) })
	}
	return &table{families: families, ok: map[outcomeKey]bool{}}
}

// compareNumbers puts 9.2 before 9.10, and cases of our own behind those of Autobahn.
func compareNumbers(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		m, errX := strconv.Atoi(x)
		n, errY := strconv.Atoi(y)
		if errX == nil && errY == nil {
			return cmp.Compare(m, n)
		}
		return strings.Compare(x, y) // a digit comes before a letter
	})
}

func (t *table) record(id string, r role, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ok[outcomeKey{id, r}] = ok
}

func itoa(n int) string { return strconv.Itoa(n) }

// compare holds the outcome against results.md, or writes that file. It does nothing where only some cases were played.
func (t *table) compare(test *testing.T) {
	for _, f := range t.families {
		for _, c := range f.cases {
			for _, r := range []role{testServer, testClient} {
				if _, played := t.ok[outcomeKey{c.id, r}]; c.tests(r) && !played {
					test.Logf("not all cases were played: %s is left as it is", resultsFile)
					return
				}
			}
		}
	}
	got := t.render()
	if *rewrite {
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
			test.Fatalf("line %d of %s is not what came out (-rewrite writes the file anew):\n%s", i+1, resultsFile, line)
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

Written by ` + "`go test ./e2e/conformance -rewrite`" + `; doc.go says how the cases are played. Numbers are those of the Autobahn test
suite, and its strict results are asked for; numbers with an h are cases of our own. "server" is websocket.Accept against
a raw client, "client" is websocket.Dial against a raw server; a dash is where a case has no meaning. Clauses are of
RFC 6455 where no other is named. Families 12 and 13 send fewer messages than Autobahn does, of data of our own.

| family | cases | of Autobahn | server OK | client OK |
|---|---|---|---|---|
`)
	var sum [6]int
	for _, f := range t.families {
		n := t.count(f)
		for i := range n {
			sum[i] += n[i]
		}
		fmt.Fprintf(&b, "| %d %s | %d | %d | %d of %d | %d of %d |\n", f.number, f.name, n[0], n[1], n[2], n[3], n[4], n[5])
	}
	fmt.Fprintf(&b, "| all | %d | %d | %d of %d | %d of %d |\n", sum[0], sum[1], sum[2], sum[3], sum[4], sum[5])
	for _, f := range t.families {
		fmt.Fprintf(&b, "\n## %d %s\n\n| case | what happens | clause | server | client |\n|---|---|---|---|---|\n", f.number, f.name)
		for _, c := range f.cases {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.id, strings.ReplaceAll(c.title, "|", `\|`), c.clause,
				t.outcome(c, testServer), t.outcome(c, testClient))
		}
	}
	return b.String()
}

// count returns of a family: cases, those of Autobahn, and for each role those that are OK and those there are.
func (t *table) count(f family) (n [6]int) {
	for _, c := range f.cases {
		n[0]++
		if !strings.Contains(c.id, "h") {
			n[1]++
		}
		for i, r := range []role{testServer, testClient} {
			if t.outcome(c, r) == "OK" {
				n[2+2*i]++
			}
			if c.tests(r) {
				n[3+2*i]++
			}
		}
	}
	return n
}

func (t *table) outcome(c testCase, r role) string {
	switch ok := t.ok[outcomeKey{c.id, r}]; {
	case !c.tests(r):
		return "–"
	case ok:
		return "OK"
	}
	return "FAIL"
}
