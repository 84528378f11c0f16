// Command gen writes docs/rfc.md. It is run from the root of the repository, by make docs.
package main

import (
	"fmt"
	"os"

	"github.com/handfast/handfast/internal/rfctable"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	f, err := os.Open(rfctable.Source)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := rfctable.Parse(f)
	if err != nil {
		return fmt.Errorf("%s: %w", rfctable.Source, err)
	}
	return os.WriteFile(rfctable.Target, rfctable.Render(rows), 0o644)
}
