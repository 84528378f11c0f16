package explain

// diagnose says what a finding means, in the light of all that was seen. It is called when the report is whole but for
// its diagnoses, and does not change it.
func diagnose(_ *Report, f Finding) Diagnosis {
	return Diagnosis{ID: f.Fault, Cause: f.Detail, Clause: f.Clause}
}
