//go:build linux

package compare

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/handfast/handfast/bench/internal/peers"
)

// ours reports whether p is a server of this project.
func ours(p peers.Peer) bool { return strings.HasPrefix(p.Name, "handfast") }

// best returns the minimum cost of the peers in a row, and that of plain TCP; NaN if there is none.
func (t *Table) best(row int) (best, tcp float64) {
	best, tcp = math.NaN(), math.NaN()
	for i, p := range t.Servers {
		c := t.Cells[row][i]
		switch {
		case !c.ok() || ours(p):
		case p.Raw:
			tcp = c.Cost
		case !(best <= c.Cost):
			best = c.Cost
		}
	}
	return best, tcp
}

func (c Cell) ok() bool { return c.Does && c.Err == nil && len(c.costs) > 0 }

// Markdown writes the table: the cost per operation for each server. Our servers' costs are followed by their ratios to the best
// peer and to plain TCP, in parentheses. The best peer is in bold.
func (t *Table) Markdown(w io.Writer) error {
	var b strings.Builder
	head, line := "| |", "|---|"
	for _, p := range t.Servers {
		head += " " + p.String() + " |"
		line += "---:|"
	}
	fmt.Fprintln(&b, head)
	fmt.Fprintln(&b, line)
	for row, m := range t.Modes {
		best, tcp := t.best(row)
		name := m.Name
		if m.memory() {
			name += ", KiB"
		}
		fmt.Fprintf(&b, "| %s |", name)
		for i, p := range t.Servers {
			c := t.Cells[row][i]
			switch {
			case !c.Does:
				b.WriteString(" |")
			case !c.ok():
				b.WriteString(" failed |")
			case ours(p):
				fmt.Fprintf(&b, " %s (%s; %s) |", figure(c.Cost), ratio(c, best), ratio(c, tcp))
			case c.Cost == best:
				fmt.Fprintf(&b, " **%s** |", figure(c.Cost))
			default:
				fmt.Fprintf(&b, " %s |", figure(c.Cost))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Details writes what Markdown omits: operations per second, response times, bytes of an answer, and the range of the cost.
func (t *Table) Details(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| | server | operations a second | p50 | p99 | bytes of an answer | least and most cost of the rounds |\n")
	b.WriteString("|---|---|---:|---:|---:|---:|---:|\n")
	for row, m := range t.Modes {
		for i, p := range t.Servers {
			c := t.Cells[row][i]
			if !c.ok() || m.memory() {
				continue
			}
			least, most := math.Inf(1), 0.0
			for _, v := range c.costs {
				least, most = min(least, v), max(most, v)
			}
			fmt.Fprintf(&b, "| %s | %s | %.0f | %v | %v | %.0f | %s to %s |\n", m.Name, p, c.PerSec,
				c.P50.Round(time.Microsecond), c.P99.Round(time.Microsecond), c.Answer, figure(least), figure(most))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// figure formats a number with three digits, or more if its integer part has more.
func figure(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func ratio(c Cell, to float64) string {
	if !c.ok() || math.IsNaN(to) || to <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", c.Cost/to)
}
