package explain_test

import (
	"bytes"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/explain/internal/faults"
)

// The summary for every server has at most ten lines, and names the server's fault.
func TestSummaryAndMarkdown(t *testing.T) {
	t.Parallel()
	for _, f := range faults.All() {
		if f.Family != "status" && f.Family != "switching" {
			continue // tests nothing else, and takes long for some servers
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
			b.Reset()
			if err := r.WriteHTML(&b); err != nil {
				t.Fatal(err)
			}
			sameContent(t, b.String(), r)
		})
	}
}

// The summary contains the addresses that were tried, even if no connection could be opened: of the server, or of the proxy.
func TestSummaryOfUnreachable(t *testing.T) {
	t.Parallel()
	for _, f := range faults.All() {
		if f.ID != explain.FaultRefused && f.ID != explain.FaultProxyUnreachable {
			continue
		}
		r := run(t, f)
		var b bytes.Buffer
		if err := r.WriteSummary(&b); err != nil {
			t.Fatal(err)
		}
		if r.Address != "" && f.ID == explain.FaultRefused || !regexp.MustCompile(`(?m)^address +(127\.0\.0\.1|\[::1\]):\d+`).MatchString(b.String()) {
			t.Errorf("%s: address %q in\n%s", f.Name, r.Address, &b)
		}
	}
	connect := func(n int) (steps []explain.Step) {
		for i := range n {
			steps = append(steps, explain.Step{Stage: explain.StageTCP, Title: "connect to 10.0.0." + strconv.Itoa(i) + ":80"})
		}
		return steps
	}
	for n, want := range map[int]string{
		2: "10.0.0.0:80, 10.0.0.1:80\n", 3: "10.0.0.0:80, 10.0.0.1:80, 10.0.0.2:80\n", 5: "10.0.0.0:80, 10.0.0.1:80, 10.0.0.2:80 and 2 more\n",
	} {
		var b bytes.Buffer
		if err := (&explain.Report{Steps: connect(n)}).WriteSummary(&b); err != nil || !strings.HasSuffix(b.String(), want) {
			t.Errorf("%v, %s", err, &b)
		}
	}
}

// The summary contains the first step for each side, with its lines of configuration.
func TestSummaryOfConfiguration(t *testing.T) {
	for _, d := range explain.Diagnoses() {
		var b bytes.Buffer
		if err := (&explain.Report{Diagnosis: &d}).WriteSummary(&b); err != nil {
			t.Fatal(err)
		}
		for _, steps := range [][]string{d.ForOwner, d.ForClient} {
			for i, s := range steps {
				if config := strings.HasPrefix(s, "    "); i > 0 && !config {
					break // the second step
				} else if config && !strings.Contains(b.String(), strings.TrimSpace(s)) {
					t.Errorf("%s: no %q in\n%s", d.ID, s, &b)
				}
			}
		}
	}
}

// sameContent checks that a page contains everything in the Markdown, escaped.
func sameContent(t *testing.T, page string, r *explain.Report) {
	t.Helper()
	text := html.UnescapeString(page)
	all := slices.Clone(r.Warnings)
	if r.Diagnosis != nil {
		all = append(all, *r.Diagnosis)
	}
	for _, d := range all {
		for _, want := range slices.Concat([]string{string(d.ID), d.Cause, d.Clause}, d.Evidence, d.ForOwner, d.ForClient) {
			if !strings.Contains(text, strings.TrimPrefix(want, "    ")) {
				t.Errorf("%q is not on the page", want)
			}
		}
	}
	for _, s := range r.Steps {
		want := []string{s.Title, s.Result}
		for _, l := range append(s.Sent, s.Received...) {
			want = append(want, l.Text, l.Note)
		}
		for _, f := range s.Facts {
			want = append(want, f.Name, f.Value)
		}
		for _, c := range s.Rules {
			want = append(want, c.Clause, c.Text, c.Detail)
		}
		for _, want := range want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not on the page", s.Stage, want)
			}
		}
	}
	if refers := regexp.MustCompile(`<[a-z]+[^>]* (src|href)=|url\(|@import`).FindString(page); refers != "" {
		t.Errorf("the page refers to something: %s", refers)
	}
}

// A page shows the lines of configuration in a step unchanged.
func TestHTMLKeepsConfiguration(t *testing.T) {
	r := &explain.Report{Diagnosis: &explain.Diagnosis{ID: "x", ForOwner: []string{"Add this:", "    location / {", "      proxy_pass x;", "    }", "Reload."}}}
	var b bytes.Buffer
	const want = "<li>Add this:<pre>location / {\n  proxy_pass x;\n}\n</pre></li>\n<li>Reload.</li>"
	if err := r.WriteHTML(&b); err != nil || !strings.Contains(b.String(), want) {
		t.Errorf("%v, %s", err, &b)
	}
}

// A peer cannot close the code block that quotes it.
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
