package explain_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/explain/internal/faults"
)

// run starts the server f of package faults and explains it.
func run(t *testing.T, f faults.Fault) *explain.Report {
	t.Helper()
	site, err := f.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	ctx := t.Context()
	if site.Context != nil {
		ctx = site.Context
	}
	explain.SetRand(&site.Options, bytes.NewReader(bytes.Repeat([]byte("handfast"), 1000)))
	return explain.Explain(ctx, site.URL, &site.Options)
}

// Each server has one fault, and only this fault is reported. The expected reports are in testdata/faults.
func TestEveryFaultIsNamed(t *testing.T) {
	t.Parallel()
	var all reports
	t.Cleanup(func() { all.compare(t) })
	for _, f := range faults.All() {
		t.Run(string(f.ID)+"/"+f.Name, func(t *testing.T) {
			t.Parallel()
			r := run(t, f)
			if r.Opened != f.Warning && !afterHandshake(f.ID) {
				t.Errorf("opened is %v", r.Opened)
			}
			var got []explain.Diagnosis
			if r.Diagnosis != nil {
				got = append(got, *r.Diagnosis)
			}
			if wrong := r.Diagnosis != nil; wrong == f.Warning {
				t.Errorf("it failed: %v, and is a warning: %v", wrong, f.Warning)
			}
			got = append(got, r.Warnings...)
			if len(got) != 1 || got[0].ID != f.ID {
				t.Fatalf("it is named %v, want %s alone; findings: %+v", names(got), f.ID, r.Findings)
			}
			checkDiagnosis(t, got[0])
			checkSteps(t, r)
			if len(got[0].Evidence) == 0 || strings.TrimSpace(strings.Join(got[0].Evidence, "")) == "" {
				t.Error("no evidence")
			}
			all.add(t, f, r)
		})
	}
}

// checkSteps checks that every step has a result, and that the report contains an alert that the diagnosis mentions.
func checkSteps(t *testing.T, r *explain.Report) {
	t.Helper()
	for _, s := range r.Steps {
		if s.Result == "" {
			t.Errorf("step %q of stage %s has no end", s.Title, s.Stage)
		}
	}
	if r.Diagnosis != nil && strings.Contains(strings.Join(append(r.Diagnosis.Evidence, r.Diagnosis.Cause), " "), "TLS alert") && (r.TLS == nil || r.TLS.Alert == "") {
		t.Errorf("the alert is not in the report: %+v", r.TLS)
	}
}

// afterHandshake reports whether a fault can only be found after the handshake has succeeded.
func afterHandshake(f explain.Fault) bool {
	return slices.Contains([]explain.Fault{
		explain.FaultBody101, explain.FaultGarbage, explain.FaultMasked, explain.FaultFrame, explain.FaultClosedAtOnce, explain.FaultNoCloseFrame,
	}, f)
}

func names(all []explain.Diagnosis) []explain.Fault {
	var ids []explain.Fault
	for _, d := range all {
		ids = append(ids, d.ID)
	}
	return ids
}

// A server without a fault gets no diagnosis and no warning.
func TestHealthyServersHaveNoDiagnosis(t *testing.T) {
	t.Parallel()
	for _, f := range faults.Healthy() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			r := run(t, f)
			if !r.OK() || r.Diagnosis != nil || len(r.Warnings) != 0 || len(r.Findings) != 0 {
				t.Errorf("opened %v, diagnosis %+v, warnings %+v, findings %+v", r.Opened, r.Diagnosis, r.Warnings, r.Findings)
			}
		})
	}
}

// noRule lists the faults that violate no rule.
var noRule = []explain.Fault{explain.FaultInterrupted, explain.FaultTimeout, explain.FaultNoEcho}

// checkDiagnosis checks what every diagnosis must contain.
func checkDiagnosis(t *testing.T, d explain.Diagnosis) {
	t.Helper()
	if !strings.HasSuffix(d.Cause, ".") || len(d.Cause) < 30 || strings.Contains(d.Cause, "\n") || strings.Contains(d.Cause, "%!") {
		t.Errorf("the cause is not a sentence: %q", d.Cause)
	}
	if (d.Clause == "") != slices.Contains(noRule, d.ID) {
		t.Errorf("the clause is %q", d.Clause)
	}
	if d.Clause != "" && !strings.HasPrefix(d.Clause, "RFC ") && !strings.HasPrefix(d.Clause, "WHATWG ") {
		t.Errorf("the clause is %q", d.Clause)
	}
	for who, steps := range map[string][]string{"owner": d.ForOwner, "client": d.ForClient} {
		if len(steps) == 0 {
			t.Errorf("nothing for the %s", who)
		}
		for _, s := range steps {
			if len(s) < 10 || strings.Contains(s, "\n") || strings.Contains(s, "%!") || s != strings.TrimRight(s, " ") {
				t.Errorf("a step for the %s is %q", who, s)
			}
		}
	}
}

// Every fault has an explanation and a server, and every explanation and server has a known fault.
func TestEveryFaultHasTextAndServer(t *testing.T) {
	all := explain.Faults()
	texts := explain.Diagnoses()
	if len(texts) != len(all) {
		t.Errorf("%d texts, want %d", len(texts), len(all))
	}
	for i, d := range texts {
		if i < len(all) && d.ID != all[i] {
			t.Errorf("the text of %s is that of %q", all[i], d.ID)
		}
		checkDiagnosis(t, d)
	}
	named := map[string]bool{}
	served := map[explain.Fault]bool{}
	for _, f := range faults.All() {
		if f.Name == "" || named[f.Name] {
			t.Errorf("the name %q occurs twice", f.Name)
		}
		named[f.Name], served[f.ID] = true, true
		if !slices.Contains(all, f.ID) {
			t.Errorf("%q commits %q, which is not a fault", f.Name, f.ID)
		}
	}
	for _, id := range all {
		if !served[id] {
			t.Errorf("no server commits %s", id)
		}
	}
}

// Explain tries both addresses of localhost. A connection to a server that listens only on ::1 succeeds, and the report shows the address
// that refused the connection.
func TestServerOnIPv6LoopbackAlone(t *testing.T) {
	t.Parallel()
	for _, f := range faults.Healthy() {
		if !strings.Contains(f.Name, "::1 alone") {
			continue
		}
		r := run(t, f)
		if !r.OK() || !strings.HasPrefix(r.Address, "[::1]:") || len(r.Warnings) != 0 {
			t.Errorf("%s: address %q, opened %v, warnings %+v", f.Name, r.Address, r.Opened, r.Warnings)
		}
		var facts []string
		for _, s := range r.Steps {
			if s.Stage == explain.StageDNS {
				for _, fact := range s.Facts {
					facts = append(facts, fact.Value)
				}
			}
		}
		if text := strings.Join(facts, "\n"); !strings.Contains(text, "::1") || !strings.Contains(text, "127.0.0.1") {
			t.Errorf("%s: the addresses are %q", f.Name, facts)
		}
	}
}
