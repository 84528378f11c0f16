//go:build e2e

package streams

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
)

var rewrite = flag.Bool("rewrite", false, "write results.txt anew")

// suiteTime is the time limit for a run, which takes almost a minute on an otherwise idle machine.
const suiteTime = 5 * time.Minute

// report is vitest's report about a run.
type report struct {
	Results []struct {
		Tests []struct {
			Name   string   `json:"fullName"`
			Status string   `json:"status"`
			Why    []string `json:"failureMessages"`
		} `json:"assertionResults"`
	} `json:"testResults"`
}

// The suite runs without its subscription tests. Several tests wait for a fixed time, for example until a stream expires, and may fail on
// a busy machine. A failed test is therefore repeated, at most three times. The log names the repeated tests.
func TestSuite(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--tls", "off", "--listen", "127.0.0.1:0")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(u.Home, "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), suiteTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join(here, "node_modules/vitest/vitest.mjs"), "run", "suite.test.js", "--reporter=json", "--outputFile="+out,
		"--no-cache", "--testTimeout=60000", "--retry=3")
	cmd.Dir = here
	cmd.WaitDelay = harness.Patience / 6
	cmd.Env = append(u.Environ(), "STREAMS_URL="+strings.TrimSuffix(s.First("streams"), "/"), "NO_COLOR=1", "CI=1")
	ran := u.Run(cmd)
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("the suite did not run (make setup installs it): %v\n%s\n%s", err, ran.Stdout, ran.Stderr)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var lines []string
	counts := map[string]int{}
	for _, file := range r.Results {
		for _, one := range file.Tests {
			lines = append(lines, one.Status+" "+one.Name)
			counts[one.Status]++
			if len(one.Why) > 0 { // set even if the test has passed in a later attempt
				t.Logf("%s: %s: %q", one.Status, one.Name, one.Why)
			}
		}
	}
	slices.Sort(lines)
	got := fmt.Sprintf("%d tests: %d passed, %d failed, %d skipped\n\n%s\n", len(lines), counts["passed"], counts["failed"], counts["skipped"],
		strings.Join(lines, "\n"))
	const file = "results.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(got, "\n") {
		if !strings.Contains(string(want), line+"\n") {
			t.Errorf("not in %s: %s", file, line)
		}
	}
	if got != string(want) && !t.Failed() {
		t.Errorf("%s contains results that this run does not have", file)
	}
}
