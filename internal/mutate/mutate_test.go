package main

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const tiny = "./internal/mutate/testdata/tiny"

// mutate runs the command over package tiny, from the root of the repository, and returns its output.
func mutate(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	t.Chdir("../..")
	var out strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // the command builds and runs a program for every mutant
	defer cancel()
	ok, err := run(ctx, append(append([]string{"-equivalent=internal/mutate/testdata/equivalent.txt"}, args...), tiny), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), ok
}

func TestOneIsCaughtAndOneSurvives(t *testing.T) {
	before, err := os.ReadFile("testdata/tiny/tiny.go")
	if err != nil {
		t.Fatal(err)
	}
	got, ok := mutate(t, "-n=0", "-min=90")
	want := `internal/mutate/testdata/tiny/tiny.go:5: Positive: operator
	- func Positive(n int) bool { return n > 0 }
	+ func Positive(n int) bool { return n >= 0 }
github.com/handfast/handfast/internal/mutate/testdata/tiny: 3 of 4 caught, 75.0 % (seed 1, 6 places, 0 by the time limit, 1 equivalent, 1 did not compile)
`
	if got != want || ok {
		t.Errorf("mutate printed, and reported %v for a bound of 90 %%:\n%s\nwant:\n%s", ok, got, want)
	}
	if after, err := os.ReadFile("internal/mutate/testdata/tiny/tiny.go"); err != nil || !slices.Equal(after, before) {
		t.Errorf("the file was modified: %v", err)
	}
}

func TestJSONNamesTheSurvivor(t *testing.T) {
	out, ok := mutate(t, "-n=4", "-j=2", "-seed=7", "-min=75", "-json")
	var got total
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if !ok || got.Mutants != 4 || got.Caught != 3 || got.Seed != 7 || len(got.Survivors) != 1 || got.Survivors[0].Func != "Positive" {
		t.Errorf("with a bound of 75 %% mutate reported %v and %+v", ok, got)
	}
}
