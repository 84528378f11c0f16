package explain

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
)

// WriteSummary writes the outcome in at most ten lines: the URL, whether the connection opened, the address, the reason for a failure, and
// the first step for each side. Lines are not wrapped.
func (r *Report) WriteSummary(w io.Writer) error {
	var b bytes.Buffer
	writeFacts(&b, r.summary())
	_, err := w.Write(b.Bytes())
	return err
}

// summary returns the outcome as names and values.
func (r *Report) summary() []Fact {
	var facts []Fact
	line := func(name, text string) {
		if text != "" {
			facts = append(facts, Fact{name, text})
		}
	}
	line("url", r.URL)
	line("outcome", outcome(r))
	line("address", cmp.Or(r.Address, r.tried()))
	if r.TLS != nil {
		line("tls", joined(r.TLS.Version, r.TLS.Reason))
	}
	if a := r.Response; a != nil {
		line("answer", strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, a.Reason)))
	}
	if d := r.Diagnosis; d != nil {
		line("why", string(d.ID)+": "+d.Cause)
		line("owner", firstStep(d.ForOwner))
		line("client", firstStep(d.ForClient))
	}
	var warnings []string
	for _, d := range r.Warnings {
		warnings = append(warnings, string(d.ID))
	}
	line("warnings", strings.Join(warnings, ", "))
	return facts
}

// mostTried is the maximum number of addresses that a summary lists.
const mostTried = 3

// tried returns the addresses to which no connection could be opened.
func (r *Report) tried() string {
	var addrs []string
	for _, s := range r.Steps {
		if addr, ok := strings.CutPrefix(s.Title, connectTo); ok && !s.OK {
			addrs = append(addrs, addr)
		}
	}
	list := strings.Join(addrs[:min(len(addrs), mostTried)], ", ")
	if more := len(addrs) - mostTried; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// writeFacts writes one line for each name and value.
func writeFacts(b *bytes.Buffer, facts []Fact) {
	for _, f := range facts {
		fmt.Fprintf(b, "%s%s\n", pad(f.Name, stageColumn), f.Value)
	}
}

// outcome says whether the connection opened and whether it failed afterwards.
func outcome(r *Report) string {
	switch {
	case r.OK():
		return strings.TrimSuffix((&Text{}).opened(r), ".")
	case r.Opened:
		return "It opened, and then failed"
	}
	return "It did not open"
}

// firstStep returns the first step and its lines of configuration as one line, or "" if there is no step.
func firstStep(steps []string) string {
	if len(steps) == 0 {
		return ""
	}
	first := todoSteps(steps)[0]
	line := first.Text
	for config := range strings.Lines(first.Config) {
		line += "  " + strings.TrimSpace(config)
	}
	return line
}
