package explain_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/handfast/handfast/explain/internal/faults"
)

// The summary of every server has ten lines at most, and names its fault.
func TestSummaryAndMarkdown(t *testing.T) {
	t.Parallel()
	for _, f := range faults.All() {
		if f.Family != "status" && f.Family != "switching" {
			continue // the same for these as for the rest, some of which take their time
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			r := run(t, f)
			var b bytes.Buffer
			if err := r.WriteSummary(&b); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(b.String(), "\n"); n > 10 || n < 3 || !strings.Contains(b.String(), string(f.ID)) {
				t.Errorf("%d lines:\n%s", n, &b)
			}
			b.Reset()
			if err := r.WriteMarkdown(&b); err != nil {
				t.Fatal(err)
			}
			if text := b.String(); !strings.Contains(text, ": "+string(f.ID)+"\n") || strings.Count(text, "```")%2 != 0 || !strings.Contains(text, "\n## Steps\n") {
				t.Errorf("Markdown:\n%s", text)
			}
		})
	}
}

// A peer cannot end the block of code that quotes it.
func TestMarkdownQuotesAFence(t *testing.T) {
	for _, f := range faults.All() {
		if f.Name != "400" {
			continue
		}
		r := run(t, f)
		r.Diagnosis.Evidence = append(r.Diagnosis.Evidence, "body: ``` <script>")
		var b bytes.Buffer
		if err := r.WriteMarkdown(&b); err != nil || !strings.Contains(b.String(), "\n````text\n") || !strings.Contains(b.String(), "\n````\n") {
			t.Errorf("%v\n%s", err, &b)
		}
	}
}
