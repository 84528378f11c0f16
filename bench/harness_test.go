//go:build linux

package bench_test

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/bench/internal/compare"
	"github.com/handfast/handfast/bench/internal/peers"
)

// Every server either passes the checks of the load in a mode, or declares that it does not support the mode.
func TestCompareRunsEveryServerInEveryMode(t *testing.T) {
	b, err := compare.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := compare.Options{Servers: peers.All(), Rounds: 1, Tell: func(string) {}}
	for _, m := range compare.Modes() {
		o.Modes = append(o.Modes, m.Tiny())
	}
	table, err := b.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range table.Modes {
		for j, p := range table.Servers {
			if c := table.Cells[i][j]; c.Does && (c.Err != nil || c.Rounds != 1) {
				t.Errorf("%s, %s: %d rounds, %v", m.Name, p.Name, c.Rounds, c.Err)
			}
		}
		if ours := table.Cells[i][0]; !ours.Does {
			t.Errorf("%s: not measured for handfast", m.Name)
		}
	}
	checkTable(t, table)
}

// checkTable checks the form of the printed table.
func checkTable(t *testing.T, table *compare.Table) {
	t.Helper()
	var out strings.Builder
	if err := table.Markdown(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(table.Modes)+2 {
		t.Errorf("%d lines for %d modes", len(lines), len(table.Modes))
	}
	for _, p := range table.Servers {
		if !strings.Contains(lines[0], " "+p.Name+" |") {
			t.Errorf("no column for %s: %s", p.Name, lines[0])
		}
	}
	for _, line := range lines {
		if strings.Count(line, "|") != strings.Count(lines[0], "|") {
			t.Errorf("columns differ: %s", line)
		}
	}
}
