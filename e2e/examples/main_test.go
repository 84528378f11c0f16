//go:build e2e

package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// command matches the line of an example's README that starts the example.
var command = regexp.MustCompile(`(?m)^go run (\./examples/[a-z]+)$`)

// start builds and starts an example, and returns its URL.
func start(t *testing.T, u *harness.User, name string) string {
	t.Helper()
	program := build(t, u, name)
	address := "127.0.0.1:" + harness.FreePort(t)
	u.Start(address, program, "-listen", address)
	return "http://" + address + "/"
}

// build builds the program that an example's README starts, and returns its path.
func build(t *testing.T, u *harness.User, name string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "examples", name, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := command.FindSubmatch(text)
	if line == nil || string(line[1]) != "./examples/"+name {
		t.Fatalf("the README has no line that starts the example: %q", line)
	}
	program := filepath.Join(u.Home, name)
	cmd := exec.Command("go", "build", "-o", program, string(line[1]))
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The program expects npm packages in the directory examples/.
	if err := os.Symlink(filepath.Join(root, "examples"), filepath.Join(u.Home, "examples")); err != nil {
		t.Fatal(err)
	}
	return program
}

// page is an open page of an example.
type page struct {
	*chromium.Browser
	t *testing.T
}

// until is a JavaScript function that waits for a condition.
const until = `const until = f => new Promise(done => {
	const look = setInterval(() => { const v = f(); if (v) { clearInterval(look); done(String(v)); } }, 20);
});
const $ = (id, w = window) => w.document.getElementById(id);
const submit = (w, form, values) => {
	for (const [id, value] of Object.entries(values)) $(id, w).value = value;
	$(form, w).requestSubmit();
};
`

func open(t *testing.T, url string) page {
	t.Helper()
	b := chromium.Start(t, chromium.Options{Flags: []string{"--disable-popup-blocking"}})
	b.Open(url)
	b.Eval(until)
	return page{b, t}
}

// want evaluates an expression until the result is true.
func (p page) want(what, expression string) {
	p.t.Helper()
	if got := p.Eval(`until(() => ` + expression + `)`); got != "true" {
		p.t.Fatalf("%s: %s\n%s", what, got, p.Printed())
	}
}
