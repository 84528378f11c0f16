package explain

import "slices"

//go:generate go run ./internal/faults/gen

// explanation describes a fault in general. detail adds what is specific to a report.
type explanation struct {
	fault  Fault
	cause  string // the general cause
	clause string // the violated rule, or the definition of the response's meaning; "" if there is none
	owner  []string
	client []string

	// general means that the fault covers several rules: the clause of the finding replaces clause.
	general bool
	// detail adds the details of a report to the diagnosis. It may be nil.
	detail func(r *Report, f Finding, d *Diagnosis)
}

// explanations contains the explanation of each fault.
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

// Diagnoses returns the general diagnosis of every fault, without evidence or details of a report. The diagnoses are in the
// order of [Faults], and the caller owns the slice. In ForOwner and ForClient, lines of configuration begin with four spaces.
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

// diagnose explains a finding, based on the whole report, which must be complete except for its diagnoses. It does not change the report.
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
	if f.Stage == StageResponse && !f.Warning && responsesVary(r) {
		explainVaryingResponses(r, &d)
	}
	noteHostMismatch(r, f, &d)
	return d
}

// forOwner adds steps for the server's owner.
func (d *Diagnosis) forOwner(steps ...string) { d.ForOwner = append(d.ForOwner, steps...) }

// forClient adds steps for the client's author.
func (d *Diagnosis) forClient(steps ...string) { d.ForClient = append(d.ForClient, steps...) }
