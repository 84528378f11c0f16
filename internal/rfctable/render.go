package rfctable

import (
	"fmt"
	"strings"
)

// The files of the table, relative to the root of the repository.
const (
	Source = "docs/rfc6455.txt" // written by hand
	Target = "docs/rfc.md"      // generated
)

// head is the beginning of docs/rfc.md.
const head = `<!-- Generated from docs/rfc6455.txt by "make docs". Do not edit. -->

# RFC 6455, requirement by requirement

The tables list every MUST, MUST NOT, REQUIRED, SHALL and SHALL NOT of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455) in
the order of the RFC. Each row has the code that enforces the requirement and the test that verifies it. If a requirement is
not implemented, or does not apply to a library, a server or a client such as this one, the row has the reason instead. If a
MUST introduces the steps of an algorithm, each step has its own row, marked with "step".

A test fails in four cases: a requirement has no code or no test, a name in a table is not declared, the file with the code
does not quote the section (or the section after "as", which says the same), or the number of requirements differs from the
number in the RFC. The packages handshake, protocol and frame enforce the requirements of §4 and §5, except for requirements
about sockets, TLS or randomness, which package websocket enforces. A test lists each of these exceptions with its reason.

`

// Render returns docs/rfc.md for rows, in their order.
func Render(rows []Row) []byte {
	var b strings.Builder
	b.WriteString(head)
	var held, free, not, steps int
	for _, r := range rows {
		switch {
		case r.Word == "step":
			steps++
		case r.Why != "":
			free++
		case r.Not != "":
			not++
		default:
			held++
		}
	}
	fmt.Fprintf(&b, "%d requirements: %d are enforced, %d do not apply to this code, %d are deliberately not implemented. %d steps are "+
		"listed in addition.\n", held+free+not, held, free, not, steps)
	section := ""
	for _, r := range rows {
		if s := r.Section(); s != section {
			section = s
			fmt.Fprintf(&b, "\n## §%s\n\n| id | applies to | requirement | enforced by | verified by |\n|---|---|---|---|---|\n", s)
		}
		b.WriteString(r.markdown())
	}
	return []byte(b.String())
}

// markdown formats r as a line of its section's table.
func (r Row) markdown() string {
	id := strings.TrimPrefix(r.ID, "6455-")
	code, tests := symbols(r.Code), symbols(r.Tests)
	for _, c := range r.Cases {
		if tests != "" {
			tests += "<br>"
		}
		tests += fmt.Sprintf("[transcript %s](../%s/%s) `%s`", strings.TrimSuffix(c.Dir, ".txt"), Transcripts, c.Dir, c.Name)
	}
	switch {
	case r.Why != "":
		code, tests = cell(r.Why), "n/a"
	case r.Not != "":
		code, tests = "**Not implemented.** "+cell(r.Not), "n/a"
	}
	if r.As != "" && r.As != r.Section() {
		code += " (as §" + r.As + ")"
	}
	if r.Note != "" {
		code += "<br>" + cell(r.Note)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", id, cell(r.Who), quote(r), code, tests)
}

// quote returns the requirement with its keyword in bold.
func quote(r Row) string {
	q := cell(r.Quote)
	if r.Word == "step" {
		return q + " *(step)*"
	}
	return strings.Replace(q, r.Word, "**"+r.Word+"**", 1)
}

// symbols formats declarations as links, with each package named once.
func symbols(list []Symbol) string {
	var b strings.Builder
	dir := ""
	for _, s := range list {
		switch {
		case s.Dir == dir:
			b.WriteString(",")
		case dir != "":
			b.WriteString("<br>")
		}
		if s.Dir != dir {
			fmt.Fprintf(&b, "[%s](../%s)", short(s.Dir), s.Dir)
			dir = s.Dir
		}
		fmt.Fprintf(&b, " `%s`", s.Name)
	}
	return b.String()
}

// short returns a folder without the prefix that all packages of the library share.
func short(dir string) string {
	return strings.TrimPrefix(strings.TrimPrefix(dir, "websocket/"), "internal/")
}

// cell escapes characters that would end a cell or be markup.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "_", "\\_", "*", "\\*").Replace(s)
}
