package faults

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/handfast/handfast/explain"
)

// Target is the document that Document writes, relative to the root of the repository.
const Target = "docs/diagnoses.md"

// sections lists the sections of the document. A section starts with the fault in its first field.
var sections = []struct {
	first explain.Fault
	title string
}{
	{explain.FaultURL, "On the way to the server"},
	{explain.FaultTLSToPlain, "TLS"},
	{explain.FaultCertExpired, "Certificates"},
	{explain.FaultReset, "Something other than an HTTP response"},
	{explain.FaultStatus200, "A response other than 101"},
	{explain.FaultHTTP10, "A 101 that breaks a rule"},
	{explain.FaultGarbage, "After the handshake"},
}

const intro = `<!-- Generated from package explain by "go generate ./explain". Do not edit. -->

# Diagnoses

These are the faults that ` + "`handfast explain`" + ` can find. For each fault, the table has the cause, the clause of the
specification, and what the server's owner and the client's author can do. A report adds the details: the evidence, names, times, and
the product in front of the server. The tests have at least one server with exactly this fault for each row (%d servers for %d
faults), and fail unless ` + "`explain`" + ` reports this fault and no other. A warning is a fault that does not prevent the connection from opening.
`

// Document returns the table of all diagnoses in Markdown.
func Document() []byte {
	warnings, failures := map[explain.Fault]bool{}, map[explain.Fault]bool{}
	for _, f := range All() {
		if f.Warning {
			warnings[f.ID] = true
		} else {
			failures[f.ID] = true
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, intro, len(All()), len(explain.Faults()))
	next := 0
	for _, d := range explain.Diagnoses() {
		if next < len(sections) && sections[next].first == d.ID {
			fmt.Fprintf(&b, "\n## %s\n\n| fault | cause | clause | for the server's owner | for the client's author |\n|---|---|---|---|---|\n",
				sections[next].title)
			next++
		}
		id := "`" + string(d.ID) + "`"
		switch {
		case warnings[d.ID] && failures[d.ID]:
			id += " (also as a warning)"
		case warnings[d.ID]:
			id += " (warning)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", id, cell(d.Cause), clause(d.Clause), steps(d.ForOwner), steps(d.ForClient))
	}
	return b.Bytes()
}

// cell escapes characters that have a meaning in Markdown or in a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`).Replace(s)
}

// steps formats each step on a line. A line of configuration is formatted as code.
func steps(all []string) string {
	var lines []string
	for _, s := range all {
		if code, ok := strings.CutPrefix(s, "    "); ok {
			lines = append(lines, "`"+strings.ReplaceAll(code, "|", `\|`)+"`")
		} else {
			lines = append(lines, cell(s))
		}
	}
	return strings.Join(lines, "<br>")
}

// clause links a clause of an RFC to its text.
func clause(s string) string {
	number, section, ok := strings.Cut(strings.TrimPrefix(s, "RFC "), " §")
	switch {
	case s == "":
		return "none"
	case !ok || !strings.HasPrefix(s, "RFC "):
		return cell(s)
	}
	return fmt.Sprintf("[%s](https://www.rfc-editor.org/rfc/rfc%s#section-%s)", s, number, section)
}
