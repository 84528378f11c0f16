// Command gen writes docs/diagnoses.md. Run it with go generate ./explain, which runs it in that directory.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/handfast/handfast/explain/internal/faults"
)

func main() {
	if err := os.WriteFile(filepath.Join("..", faults.Target), faults.Document(), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
