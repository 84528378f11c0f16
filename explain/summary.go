package explain

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// WriteSummary writes the outcome in ten lines at most: where it went, how far it got, why it failed, and the first step for each
// side. Lines are not broken.
func (r *Report) WriteSummary(w io.Writer) error {
	var b bytes.Buffer
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s%s\n", pad(name, stageColumn), text)
		}
	}
	line("url", r.URL)
	line("outcome", outcome(r))
	line("address", r.Address)
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
	_, err := w.Write(b.Bytes())
	return err
}

// outcome says how far a connection got.
func outcome(r *Report) string {
	switch {
	case r.OK():
		return strings.TrimSuffix((&Text{}).opened(r), ".")
	case r.Opened:
		return "It opened, and then failed"
	}
	return "It did not open"
}

func firstStep(steps []string) string {
	if len(steps) == 0 {
		return ""
	}
	return strings.TrimSpace(steps[0])
}

// WriteMarkdown writes the whole report as Markdown, for a ticket: the summary, each diagnosis, and the steps as a block of text.
// Secrets are redacted as in every form of a report, and what the peer sent stands only inside blocks of code.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b, text bytes.Buffer
	if err := r.WriteSummary(&text); err != nil {
		return err
	}
	b.WriteString("# WebSocket handshake, explained\n\n")
	fenced(&b, text.String())
	if r.Diagnosis != nil {
		markdownDiagnosis(&b, "Why", r.Diagnosis)
	}
	for _, d := range r.Warnings {
		markdownDiagnosis(&b, "Warning", &d)
	}
	text.Reset()
	x := NewText(&text, nil)
	for _, s := range r.Steps {
		x.Step(s)
	}
	fmt.Fprintf(&b, "\n## Steps\n\nBegun %s.\n\n", r.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	fenced(&b, text.String())
	if x.err != nil {
		return x.err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// markdownDiagnosis writes what a fault means.
func markdownDiagnosis(b *bytes.Buffer, title string, d *Diagnosis) {
	fmt.Fprintf(b, "\n## %s: %s\n\n", title, d.ID)
	var lines []string
	lines = append(lines, "cause: "+d.Cause)
	if d.Clause != "" {
		lines = append(lines, "clause: "+d.Clause)
	}
	for _, e := range d.Evidence {
		lines = append(lines, "seen: "+e)
	}
	for _, s := range d.ForOwner {
		lines = append(lines, "owner: "+s)
	}
	for _, s := range d.ForClient {
		lines = append(lines, "client: "+s)
	}
	fenced(b, strings.Join(lines, "\n"))
}

// fenced writes text as a block of code whose fence is longer than any in the text (CommonMark §4.5).
func fenced(b *bytes.Buffer, text string) {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	fmt.Fprintf(b, "%stext\n%s\n%s\n", fence, strings.TrimRight(text, "\n"), fence)
}
