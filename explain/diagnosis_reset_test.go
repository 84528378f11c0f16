package explain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/explain/internal/faults"
)

// A length in characters has its own step for the owner.
func TestStepForALengthInCharacters(t *testing.T) {
	for _, f := range faults.All() {
		if !strings.HasPrefix(f.Name, "a length in ") {
			continue
		}
		r := run(t, f)
		if r.Diagnosis == nil || !slices.ContainsFunc(r.Diagnosis.ForOwner, func(s string) bool { return strings.Contains(s, "Buffer.byteLength") }) {
			t.Errorf("%s: %+v", f.Name, r.Diagnosis)
		}
	}
}

// Errors of reads and writes that mean a reset are distinguished from an ordinary end of the connection.
func TestResetIsDistinguished(t *testing.T) {
	for name, want := range map[string]string{"a close of the connection after the 101": "FIN", "a reset after the 101": "RST"} {
		all := faults.All()
		i := slices.IndexFunc(all, func(f faults.Fault) bool { return f.Name == name })
		if i < 0 {
			t.Fatalf("no server is called %q", name)
		}
		if r := run(t, all[i]); r.Close == nil || r.Close.How != want || r.Close.Code != 1006 {
			t.Errorf("%s: %+v, want %s", name, r.Close, want)
		}
	}
}
