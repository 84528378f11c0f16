// Command mutate finds changes to the code that its tests do not detect. It makes one change in a package (negates a condition,
// modifies an operator or a constant, or removes a statement), runs the package's own tests, and prints the changes with which the
// tests still pass. It is run from the root of the repository:
//
//	go run ./internal/mutate [-n 40] [-seed 1] [-tags e2e] ./websocket/loop ...
//
// No file in the tree is modified: the compiler gets the changed file with go build -overlay. The same seed selects the same
// changes as long as the code is the same. A change without any observable effect is listed in equivalent.txt with the reason, and
// does not count.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	ok, err := run(context.Background(), os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// options are the values of the flags.
type options struct {
	n, jobs, lowest       int
	seed                  uint64
	tags, tests, harmless string
	short, json           bool
	known                 map[string]bool // equivalent mutants, by their keys
}

// A total is the result for one package's tests.
type total struct {
	Package    string
	Seed       uint64
	Places     int // number of mutants in the package
	Mutants    int // number of tested mutants, without equivalent mutants
	Caught     int
	TimedOut   int // number of mutants caught only by the time limit
	Equivalent int
	Invalid    int // number of mutants that did not compile
	Percent    float64
	Survivors  []*mutant
}

// run is the command without the call of os.Exit. It reports whether every package reaches the minimum.
func run(ctx context.Context, args []string, out io.Writer) (bool, error) {
	var o options
	f := flag.NewFlagSet("mutate", flag.ContinueOnError)
	f.IntVar(&o.n, "n", 40, "mutants per package; 0 means all")
	f.IntVar(&o.jobs, "j", 1, "mutants to test concurrently")
	f.IntVar(&o.lowest, "min", 90, "fail if the tests of a package catch less than this percentage")
	f.Uint64Var(&o.seed, "seed", 1, "chooses the mutants")
	f.StringVar(&o.tags, "tags", "", "build tags")
	f.StringVar(&o.tests, "run", "", "run only the tests that match this expression")
	f.StringVar(&o.harmless, "equivalent", "internal/mutate/equivalent.txt", "file that lists equivalent mutants, which do not count")
	f.BoolVar(&o.short, "short", false, "run the tests with -short")
	f.BoolVar(&o.json, "json", false, "print one JSON object per package")
	if err := f.Parse(args); err != nil {
		return false, err
	}
	var err error
	if o.known, err = equivalent(o.harmless); err != nil {
		return false, err
	}
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-json=Dir,ImportPath,GoFiles,TestGoFiles,XTestGoFiles", "-tags=" + o.tags, "--"}, f.Args()...)...)
	list.Stderr = os.Stderr
	found, err := list.Output()
	if err != nil {
		return false, fmt.Errorf("go list: %w", err)
	}
	ok := true
	for dec := json.NewDecoder(bytes.NewReader(found)); ; {
		p := pkg{options: o, out: out}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return ok, nil
		} else if err != nil {
			return false, err
		}
		if len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			continue // such a package is tested by other packages' tests
		}
		t, err := p.mutate(ctx)
		if err != nil {
			return false, fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		ok = ok && t.Percent >= float64(o.lowest)
		if o.json {
			if err := json.NewEncoder(out).Encode(t); err != nil {
				return false, err
			}
			continue
		}
		fmt.Fprintf(out, "%s: %d of %d caught, %.1f %% (seed %d, %d places, %d by the time limit, %d equivalent, %d did not compile)\n", t.Package, t.Caught, t.Mutants,
			t.Percent, t.Seed, t.Places, t.TimedOut, t.Equivalent, t.Invalid)
	}
}

// equivalent reads a file of mutants in the format in which they are printed, with or without the line number. A line that begins
// with "#" is a comment.
func equivalent(name string) (map[string]bool, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	var m mutant
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch mark, rest, _ := strings.Cut(line, " "); mark {
		case "", "#":
		case "-":
			m.Old = rest
		case "+":
			m.New = rest
			known[m.key()] = true
		default:
			m.File, _, _ = strings.Cut(mark, ":")
			m.Func, _, _ = strings.Cut(rest, ":")
		}
	}
	return known, nil
}

// pkg is one package; go list fills in the exported fields.
type pkg struct {
	options
	out io.Writer

	Dir, ImportPath                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	timeout                            time.Duration // time limit for the tests of one mutant
}

// mutate tests n mutants.
func (p *pkg) mutate(ctx context.Context) (total, error) {
	t := total{Package: p.ImportPath, Seed: p.seed, Percent: 100}
	wd, err := os.Getwd()
	if err != nil {
		return t, err
	}
	var all []*mutant
	for _, f := range p.GoFiles {
		rel, err := filepath.Rel(wd, filepath.Join(p.Dir, f))
		if err != nil {
			return t, err
		}
		more, err := places(rel)
		if err != nil {
			return t, err
		}
		all = append(all, more...)
	}
	// Without a change the tests must pass; their duration determines the time limit for a mutant that hangs.
	p.timeout = 10 * time.Minute
	result, output, took := p.test(ctx, nil)
	if result != "survived" {
		return t, fmt.Errorf("without a change its tests fail:\n%s", output)
	}
	p.timeout = 3*took + 20*time.Second

	t.Places = len(all)
	r := rand.New(rand.NewPCG(p.seed, 1))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if p.n == 0 {
		p.n = len(all)
	}
	for len(all) > 0 && t.Mutants < p.n {
		batch := all[:min(p.n-t.Mutants, p.jobs, len(all))]
		all = all[len(batch):]
		var wg sync.WaitGroup
		for _, m := range batch {
			if m.Result = "equivalent"; !p.known[m.key()] {
				wg.Go(func() { m.Result, _, _ = p.test(ctx, m) })
			}
		}
		wg.Wait()
		if err := ctx.Err(); err != nil {
			return t, err
		}
		for _, m := range batch {
			p.count(&t, m)
		}
	}
	if t.Mutants > 0 {
		t.Percent = 100 * float64(t.Caught) / float64(t.Mutants)
	}
	return t, nil
}

// count adds a mutant to the total and prints it if it has survived.
func (p *pkg) count(t *total, m *mutant) {
	switch m.Result {
	case "equivalent":
		t.Equivalent++
		return
	case "invalid":
		t.Invalid++
		return
	case "caught":
		t.Caught++
	case "timed out":
		t.Caught++
		t.TimedOut++
	case "survived":
		t.Survivors = append(t.Survivors, m)
		if !p.json {
			fmt.Fprintf(p.out, "%s:%d: %s: %s\n\t- %s\n\t+ %s\n", m.File, m.Line, m.Func, m.Kind, m.Old, m.New)
		}
	}
	t.Mutants++
}

// test runs the package's tests with a mutant, or with the unchanged code if m is nil. It returns the result, the output of the
// tests, and their duration without the build.
func (p *pkg) test(ctx context.Context, m *mutant) (result string, output []byte, took time.Duration) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "invalid", []byte(err.Error()), 0
	}
	defer os.RemoveAll(dir)
	overlay, binary, replace := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "test"), map[string]string{}
	if m != nil {
		name := filepath.Join(dir, "mutant.go")
		replace[filepath.Join(p.Dir, filepath.Base(m.File))] = name
		err = os.WriteFile(name, m.source, 0o600)
	}
	text, err2 := json.Marshal(map[string]any{"Replace": replace})
	if err = errors.Join(err, err2, os.WriteFile(overlay, text, 0o600)); err != nil {
		return "invalid", []byte(err.Error()), 0
	}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-tags="+p.tags, "-overlay="+overlay, "-o="+binary, p.ImportPath)
	if output, err := build.CombinedOutput(); err != nil {
		return "invalid", output, 0
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout+10*time.Second)
	defer cancel()
	// The shell limits the memory of a mutant that allocates without bound.
	cmd := exec.CommandContext(ctx, "sh", "-c", `ulimit -v 8000000; exec "$0" "$@"`, binary, "-test.failfast", "-test.run="+p.tests,
		"-test.short="+strconv.FormatBool(p.short), "-test.timeout="+p.timeout.String())
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay) // for tests that build programs
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	output, err = cmd.CombinedOutput()
	took = time.Since(start)
	switch {
	case err == nil:
		return "survived", nil, took
	case ctx.Err() != nil, bytes.Contains(output, []byte("panic: test timed out")) && !bytes.Contains(output, []byte("--- FAIL")):
		return "timed out", output, took
	}
	return "caught", output, took
}
