package conformance

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// family is a group of cases with the same first number, as in Autobahn.
type family struct {
	number int
	name   string
	cases  []testCase
}

func families() []family {
	return []family{
		{1, "Framing", framingCases()},
		{2, "Pings and pongs", pingCases()},
		{3, "Reserved bits", reservedCases()},
		{4, "Opcodes", opcodeCases()},
		{5, "Fragmentation", fragmentCases()},
		{6, "UTF-8", utf8Cases()},
		{7, "Closing", closeCases()},
		{9, "Limits and sizes", sizeCases()},
		{10, "Many messages", manyCases()},
		{12, "Compression, different payloads", deflateCases()},
		{13, "Compression, different parameters", parameterCases()},
	}
}

// TestRFC6455_Conformance runs every case with every implementation, and compares the results with results.md.
func TestRFC6455_Conformance(t *testing.T) {
	table := newTable(families(), subjects(t))
	heavy := make(chan struct{}, 2) // maximum number of heavy cases that run concurrently
	t.Run("cases", func(t *testing.T) {
		for _, f := range table.families {
			for _, c := range f.cases {
				for _, s := range table.subjects {
					if c.tests(s.role) && s.play != nil && !s.skips(c) {
						t.Run(s.name+"/"+c.id, func(t *testing.T) {
							t.Parallel()
							if c.heavy {
								heavy <- struct{}{}
								defer func() { bounded.Receive(t, heavy) }()
							}
							playCase(t, table, c, s)
						})
					}
				}
			}
		}
	})
	table.compare(t)
}

// playCase runs one case with all cuts of a subject, and records the result.
func playCase(t *testing.T, table *table, c testCase, s subject) {
	for _, how := range s.cuts(c) {
		if err := run(t.Context(), c, s, how); err != nil {
			t.Errorf("%s (%s, %s): %v", c.id, c.title, c.clause, err)
			table.record(c.id, s, false)
			return
		}
	}
	table.record(c.id, s, true)
}

// TestCaseNumbers checks that each case has a unique number in its family, and that all of Autobahn's numbers are used.
func TestCaseNumbers(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range families() {
		for _, c := range f.cases {
			if seen[c.id] {
				t.Errorf("two cases have the number %s", c.id)
			}
			seen[c.id] = true
			if number, _, _ := strings.Cut(c.id, "."); number != itoa(f.number) {
				t.Errorf("case %s is in family %d", c.id, f.number)
			}
			if c.title == "" || c.clause == "" {
				t.Errorf("case %s has no title or no clause", c.id)
			}
		}
	}
	own := 0
	for id := range seen {
		if !strings.Contains(id, "h") {
			own++
		}
	}
	if own != 517 {
		t.Errorf("%d cases have a number of Autobahn's, want all 517", own)
	}
}

// TestRFC6455_10_4_DeclaredLengthCostsNothing opens many connections and announces frames of 16 MiB on them, but sends only a few
// bytes of each frame.
func TestRFC6455_10_4_DeclaredLengthCostsNothing(t *testing.T) {
	const conns, length = 64, 16 << 20
	c := testCase{script: func(p *peer) {
		// The invalid byte ensures that the header and the data after it have been processed before the memory is measured.
		p.send(text("abc\xff").declaring(length))
		p.failed(1007)
	}}
	for _, s := range subjects(t) {
		if s.play == nil {
			continue
		}
		for _, how := range []cut{asWritten, bytewise, joined} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range conns {
				if err := run(t.Context(), c, s, how); err != nil {
					t.Fatal(err)
				}
			}
			runtime.ReadMemStats(&after)
			// The peer itself allocates 64 KiB per connection. Buffers for the announced messages would need 1 GiB in total.
			if got := after.TotalAlloc - before.TotalAlloc; got > conns*length/16 {
				t.Errorf("%s, %v: %d connections that declared %d bytes each cost %d bytes", s.name, how, conns, length, got)
			}
		}
	}
}
