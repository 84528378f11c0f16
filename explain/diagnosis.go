package explain

import "slices"

//go:generate go run ./internal/faults/gen

// explanation describes a fault in general. Its detail adds what is specific to one report.
type explanation struct {
	fault  Fault
	cause  string // one sentence
	clause string // the violated rule, or the one that defines the meaning of this response; "" if there is none
	owner  []string
	client []string

	// general means that the fault covers several rules: the clause of the finding replaces the one here.
	general bool
	// detail adds the details of a report. It may be nil.
	detail func(r *Report, f Finding, d *Diagnosis)
}

// explanations has one entry for each fault.
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

// Diagnoses returns the general diagnosis of every fault, without evidence or details of a report. They are in the order of
// [Faults], and the caller owns the slice. In ForOwner and ForClient, lines of configuration begin with four spaces.
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

// diagnose explains a finding, based on the whole report. It is called when the report is complete except for its diagnoses, and
// does not change it.
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
	applySignature(r, f, &d)
	if f.Stage == StageResponse && acceptWithout101(r) {
		explainAcceptWithout101(r, &d)
	}
	remarkHost(r, f, &d)
	return d
}

// forOwner adds steps for the server's owner.
func (d *Diagnosis) forOwner(steps ...string) { d.ForOwner = append(d.ForOwner, steps...) }

// forClient adds steps for the client's author.
func (d *Diagnosis) forClient(steps ...string) { d.ForClient = append(d.ForClient, steps...) }
