//go:build e2e

package docs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// scripts returns the JavaScript blocks of a document.
func scripts(t *testing.T, name string) []block {
	t.Helper()
	var all []block
	for _, b := range read(t, name) {
		if kind, _, _ := strings.Cut(b.info, " "); kind == "js" {
			all = append(all, b)
		}
	}
	return all
}

// Every JavaScript block is a module that can be parsed.
func TestScriptsInDocumentsParse(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	parsed := 0
	for _, name := range append(names, filepath.Join(root, "README.md"), filepath.Join(root, "client", "js", "README.md")) {
		for _, b := range scripts(t, name) {
			path := filepath.Join(t.TempDir(), "block.mjs")
			if err := os.WriteFile(path, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), "node", "--check", path).CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", name, b.line, err, out)
			}
			parsed++
		}
	}
	if parsed == 0 {
		t.Error("no document has a script")
	}
}

var clientModule = regexp.MustCompile(`from "[^"]*/channels.js"`)

// The examples of the browser client in the documentation run in Node. They subscribe, and receive their own publications.
func TestClientScriptsRun(t *testing.T) {
	r := newReader(t, build(t))
	r.serve(block{text: "handfast serve"}, "")
	defer r.stop()
	ca := regexp.MustCompile(`(?m)^ *CA +(\S.*)$`).FindStringSubmatch(r.last)
	if ca == nil {
		t.Fatal(r.last)
	}
	r.env = append(r.env, "NODE_EXTRA_CA_CERTS="+ca[1])
	module, err := os.ReadFile(filepath.Join(root, "client", "js", "channels.js"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "channels.mjs"), module, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(root, "docs", "channels.md"), filepath.Join(root, "client", "js", "README.md")} {
		ran := 0
		for _, b := range scripts(t, name) {
			if !clientModule.MatchString(b.text) {
				continue
			}
			text := clientModule.ReplaceAllString(r.typed(b.text), `from "./channels.mjs"`)
			// Define location as in a page, and exit when the message has been received.
			text = fmt.Sprintf("globalThis.location = { host: %q };\nconst log = console.log;\nlet hear;\nconst heard = new Promise((done) => hear = done);\n"+
				"console.log = (...a) => { log(...a); if (a[0]?.text === \"hello\") hear(); };\n", "localhost:"+r.port("8443")) +
				text + "await heard;\nchannels.close();\n"
			if err := os.WriteFile(filepath.Join(r.dir, "block.mjs"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			cmd := exec.CommandContext(ctx, "node", append(harness.NodeWebSocket(t), "block.mjs")...)
			cmd.Dir, cmd.Env = r.dir, r.env
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil || !strings.Contains(string(out), "text: 'hello'") {
				t.Errorf("%s:%d: %v\n%s", name, b.line, err, out)
			}
			ran++
		}
		if ran == 0 {
			t.Errorf("%s has no script of the client", name)
		}
	}
}
