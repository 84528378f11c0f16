package explain_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

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
