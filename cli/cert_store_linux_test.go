package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// On Debian, the program that updates the system's certificates is in /usr/sbin, which is not in the PATH of a user other than root.
func TestSystemProgramOutsideOfPath(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	if found, err := systemProgram("update-certificates", dir); err == nil {
		t.Errorf("found %s, which does not exist", found)
	}
	want := filepath.Join(dir, "update-certificates")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if found, err := systemProgram("update-certificates", t.TempDir(), dir); err != nil || found != want {
		t.Errorf("found %q, want %q (%v)", found, want, err)
	}
	t.Setenv("PATH", dir)
	if found, err := systemProgram("update-certificates"); err != nil || found != "update-certificates" {
		t.Errorf("found %q in PATH (%v)", found, err)
	}
}
