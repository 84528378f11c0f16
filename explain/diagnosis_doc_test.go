package explain_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/explain/internal/faults"
)

func TestDocumentOfDiagnosesIsCurrent(t *testing.T) {
	got, err := os.ReadFile(filepath.Join("..", faults.Target))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, faults.Document()) {
		t.Errorf("%s is stale: run go generate ./explain", faults.Target)
	}
}

// Every clause names its document, because a bare number could be from RFC 6455 or RFC 9110.
func TestClausesNameTheirDocument(t *testing.T) {
	clause := regexp.MustCompile(`(?:RFC [0-9]+|WHATWG [A-Za-z]+) §[0-9.]+`)
	for _, d := range explain.Diagnoses() {
		if d.Clause != "" && !clause.MatchString(d.Clause) {
			t.Errorf("%s: clause %q", d.ID, d.Clause)
		}
	}
	golden, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(golden) == 0 {
		t.Fatal(golden, err)
	}
	for _, name := range golden {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bare := clause.ReplaceAll(text, nil); bytes.Contains(bare, []byte("§")) {
			t.Errorf("%s: a clause without its document", name)
		}
	}
}
