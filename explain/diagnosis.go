package explain

import "slices"

//go:generate go run ./internal/faults/gen

// explanation says what a fault means wherever it is seen. What one report adds is appended by its detail.
type explanation struct {
	fault  Fault
	cause  string // one sentence
	clause string // the rule that was broken, or the one that says what this answer means; "" when there is none
	owner  []string
	client []string

	// general says that the fault stands for several rules: the clause of the finding is better than the one here.
	general bool
	// detail adds what one report tells. It may be nil.
	detail func(r *Report, f Finding, d *Diagnosis)
}

// explanations holds what is known of every fault.
var explanations = func() map[Fault]explanation {
	all := map[Fault]explanation{}
	for _, table := range [][]explanation{
		networkAdvice, tlsAdvice, certAdvice, silenceAdvice, statusAdvice, refusalAdvice, switchingAdvice, openAdvice,
	} {
		for _, e := range table {
			all[e.fault] = e
		}
	}
	return all
}()

// Diagnoses returns what is known of every fault, whatever the server: no evidence, nothing that one report would add. It is
// in the order of [Faults], and the caller's. In ForOwner and ForClient a line of configuration begins with four spaces.
func Diagnoses() []Diagnosis {
	var all []Diagnosis
	for _, f := range Faults() {
		all = append(all, explanations[f].diagnosis())
	}
	return all
}

func (e explanation) diagnosis() Diagnosis {
	return Diagnosis{ID: e.fault, Cause: e.cause, Clause: e.clause, ForOwner: slices.Clone(e.owner),
		ForClient: slices.Clone(e.client)}
}

// diagnose says what a finding means, in the light of all that was seen. It is called when the report is whole but for
// its diagnoses, and does not change it.
func diagnose(r *Report, f Finding) Diagnosis {
	e, ok := explanations[verdict(r, f)]
	if !ok {
		return Diagnosis{ID: f.Fault, Cause: f.Detail, Clause: f.Clause}
	}
	d := e.diagnosis()
	if f.Clause != "" && (e.general || d.Clause == "") {
		d.Clause = f.Clause
	}
	d.Evidence = evidence(r, f)
	if e.detail != nil {
		e.detail(r, f, &d)
	}
	hear(r, f, &d)
	if f.Stage == StageResponse && forgot101(r) {
		explainForgotten101(r, &d)
	}
	return d
}

// forOwner adds steps for the server's owner.
func (d *Diagnosis) forOwner(steps ...string) { d.ForOwner = append(d.ForOwner, steps...) }

// forClient adds steps for the client's author.
func (d *Diagnosis) forClient(steps ...string) { d.ForClient = append(d.ForClient, steps...) }
