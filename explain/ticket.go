package explain

import (
	"bytes"
	_ "embed" // for ticket.html
	"fmt"
	"html/template"
	"io"
	"strings"
)

// ticket is the content of a Markdown or HTML file for a ticket, about one report or a comparison of two reports.
type ticket struct {
	Title    string
	Compared *Comparison // nil if there is only one report
	Reports  []ticketReport
}

// ticketReport is one report of a ticket.
type ticketReport struct {
	Title    string
	URL      string
	Summary  []Fact
	Sections []ticketSection
	Begun    string
	Steps    []Step
}

// ticketSection is a diagnosis with a title that says whether it is the reason for a failure, another fault or a warning.
type ticketSection struct {
	Title string
	Diagnosis
}

// ticket returns the content of a ticket about r.
func (r *Report) ticket() *ticket {
	t := ticketReport{Title: "WebSocket handshake, explained", URL: r.URL, Summary: r.summary(), Steps: r.Steps,
		Begun: r.Started.UTC().Format("2006-01-02 15:04:05 UTC")}
	if r.Diagnosis != nil {
		t.Sections = append(t.Sections, ticketSection{"Why", *r.Diagnosis})
		for _, f := range r.also() {
			t.Sections = append(t.Sections, ticketSection{"Also", Diagnosis{ID: f.Fault, Clause: f.Clause, Evidence: []string{f.Detail}}})
		}
	}
	for _, d := range r.Warnings {
		t.Sections = append(t.Sections, ticketSection{"Warning", d})
	}
	return &ticket{Title: t.Title, Reports: []ticketReport{t}}
}

// ticket returns the content of a ticket about c: the differences and both reports.
func (c *Comparison) ticket() *ticket {
	return &ticket{Title: "Two WebSocket handshakes, compared", Compared: c, Reports: append(c.A.ticket().Reports, c.B.ticket().Reports...)}
}

// WriteMarkdown writes the report as Markdown for a ticket: the summary, each diagnosis, and the steps. Secrets are redacted as in every
// form of a report, and data from the peer is only in code blocks.
func (r *Report) WriteMarkdown(w io.Writer) error { return r.ticket().writeMarkdown(w) }

// WriteHTML writes the content of WriteMarkdown as one HTML page without scripts or external resources.
func (r *Report) WriteHTML(w io.Writer) error { return r.ticket().writeHTML(w) }

// WriteMarkdown writes the differences and both reports as Markdown for a ticket.
func (c *Comparison) WriteMarkdown(w io.Writer) error { return c.ticket().writeMarkdown(w) }

// WriteHTML writes the content of WriteMarkdown as one HTML page without scripts or external resources.
func (c *Comparison) WriteHTML(w io.Writer) error { return c.ticket().writeHTML(w) }

func (t *ticket) writeMarkdown(w io.Writer) error {
	var b, text bytes.Buffer
	if t.Compared != nil {
		fmt.Fprintf(&b, "# %s\n\n", t.Title)
		if err := t.Compared.WriteText(&text); err != nil {
			return err
		}
		fenced(&b, text.String())
		b.WriteString("\n")
	}
	for i, r := range t.Reports {
		if i > 0 {
			b.WriteString("\n")
		}
		if err := r.writeMarkdown(&b); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r *ticketReport) writeMarkdown(b *bytes.Buffer) error {
	fmt.Fprintf(b, "# %s\n\n", r.Title)
	var text bytes.Buffer
	writeFacts(&text, r.Summary)
	fenced(b, text.String())
	for _, s := range r.Sections {
		fmt.Fprintf(b, "\n## %s: %s\n\n", s.Title, s.ID)
		fenced(b, strings.Join(s.lines(), "\n"))
	}
	text.Reset()
	x := NewText(&text, nil)
	for _, s := range r.Steps {
		x.Step(s)
	}
	fmt.Fprintf(b, "\n## Steps\n\nStarted %s.\n\n", r.Begun)
	fenced(b, text.String())
	return x.err
}

// lines formats a diagnosis as lines. Each line begins with the name of a part of the diagnosis.
func (d *Diagnosis) lines() []string {
	var lines []string
	add := func(name string, texts ...string) {
		for _, text := range texts {
			if text != "" {
				lines = append(lines, name+": "+text)
			}
		}
	}
	add("cause", d.Cause)
	add("clause", d.Clause)
	add("seen", d.Evidence...)
	add("owner", d.ForOwner...)
	add("client", d.ForClient...)
	return lines
}

// fenced writes text as a code block, with a fence that does not occur in the text (CommonMark §4.5).
func fenced(b *bytes.Buffer, text string) {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	fmt.Fprintf(b, "%stext\n%s\n%s\n", fence, strings.TrimRight(text, "\n"), fence)
}

//go:embed ticket.html
var ticketPage string

// ticketHTML is the template of the page. html/template escapes every value.
var ticketHTML = template.Must(template.New("ticket").Funcs(template.FuncMap{
	"cells": cellsOf, "none": orNone, "rule": ruleText, "title": stepTitle, "todo": todoSteps,
}).Parse(ticketPage))

func (t *ticket) writeHTML(w io.Writer) error {
	var b bytes.Buffer
	if err := ticketHTML.Execute(&b, t); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// todoStep is a step of a diagnosis with the lines of configuration that belong to it.
type todoStep struct{ Text, Config string }

// todoSteps joins each step with the lines of configuration after it, which begin with four spaces.
func todoSteps(steps []string) []todoStep {
	var joined []todoStep
	for _, s := range steps {
		line, config := strings.CutPrefix(s, inset)
		if !config || len(joined) == 0 {
			joined = append(joined, todoStep{Text: line})
			continue
		}
		last := &joined[len(joined)-1]
		last.Config += line + "\n"
	}
	return joined
}
