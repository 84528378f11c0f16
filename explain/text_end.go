package explain

import (
	"fmt"
	"strings"
)

// End writes the outcome: that the connection opened, or the diagnosis of the failure. It returns the first error of the writer.
func (x *Text) End(r *Report) error {
	x.printf("\n")
	switch {
	case r.OK():
		x.printf("%s %s\n", x.paint(green, "✓"), x.paint(bold, x.opened(r)))
	case r.Opened:
		x.printf("%s %s\n", x.paint(red, "✗"), x.paint(bold, "It opened, and then failed."))
	default:
		x.printf("%s %s\n", x.paint(red, "✗"), x.paint(bold, "It did not open."))
	}
	if r.Diagnosis != nil {
		x.diagnosis(x.paint(red, "✗"), "why", r.Diagnosis)
		x.more(r)
	}
	for _, w := range r.Warnings {
		x.diagnosis(x.paint(yellow, "!"), "warning", &w)
	}
	return x.err
}

// more writes the faults other than the decisive fault.
func (x *Text) more(r *Report) {
	for _, f := range r.also() {
		x.printf("\n%s %s%s\n", x.paint(red, "✗"), x.paint(bold, pad("also", stageColumn)), x.paint(bold, string(f.Fault)))
		x.paragraph("clause", f.Clause)
		x.paragraph("seen", f.Detail)
	}
}

// also returns the findings except for the decisive fault and the warnings.
func (r *Report) also() []Finding {
	var also []Finding
	for i, f := range r.Findings {
		if i > 0 && !f.Warning {
			also = append(also, f)
		}
	}
	return also
}

// opened describes the open connection in one line.
func (x *Text) opened(r *Report) string {
	parts := []string{"It opened in " + openedAfter(r).String()}
	if r.TLS != nil {
		parts = append(parts, r.TLS.Version)
	}
	if r.Subprotocol != "" {
		parts = append(parts, "subprotocol "+r.Subprotocol)
	}
	if r.Extensions != "" {
		name, _, _ := strings.Cut(r.Extensions, ";")
		parts = append(parts, name)
	}
	if r.Ping > 0 {
		parts = append(parts, "round trip "+r.Ping.String())
	}
	return joined(parts...) + "."
}

// openedAfter returns the time from the start until the handshake was complete.
func openedAfter(r *Report) Duration {
	for _, s := range r.Steps {
		if s.Stage == StageAgreed {
			return s.Start + s.Duration
		}
	}
	return r.Duration
}

// diagnosis writes a diagnosis: the cause, the clause, the evidence, and the steps for each side.
func (x *Text) diagnosis(mark, title string, d *Diagnosis) {
	x.printf("\n%s %s%s\n", mark, x.paint(bold, pad(title, stageColumn)), x.paint(bold, string(d.ID)))
	x.paragraph("cause", d.Cause)
	if d.Clause != "" {
		x.paragraph("clause", d.Clause)
	}
	for i, e := range d.Evidence {
		x.paragraph(map[bool]string{true: "seen"}[i == 0], e)
	}
	x.todo("What the server's owner can do", d.ForOwner)
	x.todo("What the client can do", d.ForClient)
}

// paragraph writes a name and a wrapped text, unless the text is empty.
func (x *Text) paragraph(name, text string) {
	for i, line := range wrap(text, x.width-2-stageColumn) {
		if i > 0 {
			name = ""
		}
		x.printf("  %s%s\n", x.paint(dim, pad(name, stageColumn)), line)
	}
}

// todo writes the steps for one side. Lines of configuration are not wrapped.
func (x *Text) todo(title string, steps []string) {
	if len(steps) == 0 {
		return
	}
	x.printf("  %s\n", x.paint(bold, title+":"))
	for n, s := range todoSteps(steps) {
		number := fmt.Sprintf("%d. ", n+1)
		for i, line := range wrap(s.Text, x.width-4-len(number)) {
			if i > 0 {
				number = strings.Repeat(" ", len(number))
			}
			x.printf("    %s%s\n", number, line)
		}
		for line := range strings.Lines(s.Config) {
			x.printf("       %s%s", inset, line)
		}
	}
}
