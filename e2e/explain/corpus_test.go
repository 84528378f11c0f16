//go:build e2e && servers

package explain

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// A program is a server, or a proxy in front of one, with samples of it.
type program struct {
	name    string
	needs   string                    // a file that exists if the program is installed, or a name in PATH
	start   func(l *lab, conf string) // starts it on l.port
	samples []sample
}

// A sample is a handshake with a program that has at most one fault. The truth is written before explain is run, as is what the
// report must contain to be right, and what it must never contain because it is false.
type sample struct {
	name  string
	conf  string   // what start is given; consecutive samples with the same one share a process
	url   string   // with the variables of lab; by default ws://127.0.0.1:@PORT/ws
	args  []string // of explain, with the variables of lab
	truth string

	// "healthy" is an opened connection with no finding but cross-site-origin-accepted; "=A|B" is a finding of one of these names;
	// anything else is a regular expression: must searches the findings, never the whole report.
	must, never []string
}

// A verdict is the worth of a report: right if it has everything that it must, wrong if it has anything false, partly otherwise.
type verdict string

const (
	right  verdict = "right"
	partly verdict = "partly"
	wrong  verdict = "wrong"
)

// TestCorpus runs every sample, and prints a line for each and the totals. CORPUS_REPORTS is a directory
// for the reports.
func TestCorpus(t *testing.T) {
	total := map[verdict]int{}
	for _, p := range corpus() {
		t.Run(p.name, func(t *testing.T) {
			if !installed(p.needs) {
				t.Fatalf("%s is not installed: make servers installs it", p.needs)
			}
			for i := 0; i < len(p.samples); {
				n := i + 1
				for n < len(p.samples) && p.samples[n].conf == p.samples[i].conf {
					n++
				}
				p.run(t, p.samples[i:n], total)
				i = n
			}
		})
	}
	fmt.Printf("corpus: %d samples: %d right, %d partly, %d wrong\n", total[right]+total[partly]+total[wrong], total[right], total[partly], total[wrong])
}

func installed(needs string) bool {
	if strings.HasPrefix(needs, "python3:") {
		return exec.Command(python, "-c", "import "+strings.TrimPrefix(needs, "python3:")).Run() == nil
	}
	if strings.HasPrefix(needs, "/") {
		_, err := os.Stat(needs)
		return err == nil
	}
	_, err := exec.LookPath(needs)
	return err == nil
}

// run starts a program once for samples with the same configuration.
func (p *program) run(t *testing.T, samples []sample, total map[verdict]int) {
	started := t.Run("start "+samples[0].name, func(t *testing.T) {
		l := newLab(t)
		p.start(l, samples[0].conf)
		for _, s := range samples {
			t.Run(s.name, func(t *testing.T) {
				v, why := l.measure(t, p.name, &s)
				total[v]++
				fmt.Printf("%-6s %s, %s: %s\n", v, p.name, s.name, why)
				if v != right {
					t.Errorf("%s: %s", v, why)
				}
			})
		}
	})
	if !started {
		t.Logf("%s has a sample that is not right, or did not start", p.name)
	}
}

// A report is what the verdict needs from explain's output.
type report struct {
	Opened    bool      `json:"opened"`
	Diagnosis *finding  `json:"diagnosis"`
	Warnings  []finding `json:"warnings"`
}

type finding struct {
	ID        string   `json:"id"`
	Cause     string   `json:"cause"`
	ForOwner  []string `json:"for_owner"`
	ForClient []string `json:"for_client"`
	Evidence  []string `json:"evidence"`
}

// measure explains a sample and judges the report.
func (l *lab) measure(t *testing.T, program string, s *sample) (v verdict, why string) {
	t.Helper()
	url := s.url
	if url == "" {
		url = "ws://127.0.0.1:@PORT/ws"
	}
	whole := filepath.Join(t.TempDir(), "report.md")
	args := []string{"explain", "--json", "--report", whole, "--timeout", "1m", "--step-timeout", "10s", l.text(url)}
	if !slices.Contains(s.args, "--proxy") {
		args = append(args, "--proxy", "none")
	}
	for _, a := range s.args {
		args = append(args, l.text(a))
	}
	got := l.Handfast("", args...)
	var r report
	if err := json.Unmarshal([]byte(got.Stdout), &r); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	l.keep(t, program+", "+s.name, "Truth: "+s.truth+"\n"+"Arguments: "+strings.Join(args[6:], " ")+"\n\n"+string(text))
	return judge(s, &r, string(text))
}

// judge compares a report with what it must and must never contain.
func judge(s *sample, r *report, whole string) (v verdict, why string) {
	all := r.Warnings
	if r.Diagnosis != nil {
		all = append([]finding{*r.Diagnosis}, all...)
	}
	var names, texts []string
	for _, f := range all {
		names = append(names, f.ID)
		texts = append(texts, f.Cause, strings.Join(f.Evidence, "\n"), strings.Join(f.ForOwner, "\n"), strings.Join(f.ForClient, "\n"))
	}
	findings := strings.Join(texts, "\n")
	got := strings.Join(names, " ")
	for _, never := range s.never {
		if match(never, names, whole) {
			return wrong, fmt.Sprintf("%s: it must not contain %q", got, never)
		}
	}
	for _, must := range s.must {
		switch {
		case must == "healthy" && (!r.Opened || slices.ContainsFunc(names, func(n string) bool { return n != "cross-site-origin-accepted" })):
			return wrong, fmt.Sprintf("%s: nothing is wrong", got)
		case must != "healthy" && !match(must, names, findings):
			v, why = partly, fmt.Sprintf("%s: it lacks %q", got, must)
		}
	}
	if v == "" {
		v, why = right, got
	}
	return v, why
}

var blanks = regexp.MustCompile(`\s+`)

func match(what string, names []string, text string) bool {
	if ids, ok := strings.CutPrefix(what, "="); ok {
		return slices.ContainsFunc(strings.Split(ids, "|"), func(id string) bool { return slices.Contains(names, id) })
	}
	return regexp.MustCompile(`(?i)` + what).MatchString(blanks.ReplaceAllString(text, " "))
}

var unsafe = regexp.MustCompile(`[^a-z0-9.]+`)

// keep writes a report into the directory of CORPUS_REPORTS.
func (l *lab) keep(t *testing.T, name, text string) {
	t.Helper()
	dir := os.Getenv("CORPUS_REPORTS")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, unsafe.ReplaceAllString(strings.ToLower(name), "-")+".md"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// corpus is every program of every family.
func corpus() []program {
	return slices.Concat(nodePrograms(), socketIOPrograms(), nodeFrameworks(), nodeLibraries(), devServers(), goLibraries(), goFrameworks(),
		asgi(), pythonServers(), daemons(), otherLanguages(), nginxes(), proxies(), tunnels())
}

var _ = harness.Patience
