//go:build e2e

package install

import (
	"bytes"
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

const product = "github.com/handfast/handfast"

// A maker makes a release from a copy of the tree.
type maker struct {
	t    *testing.T
	tree string
	env  []string
}

// newMaker creates a repository with one commit, which contains the files of the tree that git tracks or does not ignore.
func newMaker(t *testing.T) *maker {
	t.Helper()
	m := &maker{t: t, tree: t.TempDir(), env: append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=maker", "GIT_AUTHOR_EMAIL=maker@example.com", "GIT_COMMITTER_NAME=maker", "GIT_COMMITTER_EMAIL=maker@example.com")}
	from, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	m.run(from, "sh", "-c", `git ls-files -co --exclude-standard --deduplicate | while read -r f; do [ ! -e "$f" ] || echo "$f"; done | tar cf - -T - | tar xf - -C "$1"`, "sh", m.tree)
	m.git("init", "-q", "-b", "main")
	m.commit()
	return m
}

// run runs a program in a folder, and returns its output. The program must succeed.
func (m *maker) run(dir, name string, args ...string) string {
	m.t.Helper()
	out, err := m.try(dir, name, args...)
	if err != nil {
		m.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

func (m *maker) try(dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*harness.Patience) // compilation is slow on a busy machine
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, m.env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// trimmed returns GOFLAGS with -trimpath. With this flag, compiled packages do not depend on the location of the module cache, so that
// those of third-party modules are in the build cache.
func (m *maker) trimmed() string {
	m.t.Helper()
	return "GOFLAGS=" + m.run(".", "go", "env", "GOFLAGS") + " -trimpath"
}

func (m *maker) git(args ...string) string {
	m.t.Helper()
	return m.run(m.tree, "git", args...)
}

func (m *maker) commit() {
	m.t.Helper()
	m.git("add", "-A")
	m.git("commit", "-q", "--allow-empty", "-m", "tree: what will be released")
}

// replace replaces a text in a file of the tree. The file must contain the text.
func (m *maker) replace(file, from, to string) {
	m.t.Helper()
	name := filepath.Join(m.tree, file)
	text, err := os.ReadFile(name)
	if err != nil {
		m.t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(from)) {
		m.t.Fatalf("%s has no %q", file, from)
	}
	if err := os.WriteFile(name, bytes.Replace(text, []byte(from), []byte(to), 1), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// release makes a release. Before that, it checks that tools/release.sh refuses each state of the tree that must not be released.
func (m *maker) release(version string) {
	m.t.Helper()
	refused := func(want string, args ...string) {
		m.t.Helper()
		out, err := m.try(m.tree, "tools/release.sh", args...)
		if err == nil || !strings.Contains(out, want) {
			m.t.Errorf("tools/release.sh %q: %v, %q; want %q", args, err, out, want)
		}
	}
	refused("usage: ", "1.2")
	refused("CHANGELOG.md has no section", version)
	m.replace("CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n## ["+version[1:]+"] - 2026-12-01\n")
	refused("the tree has changes", version)
	m.commit()
	m.run(m.tree, "go", "mod", "edit", "-replace="+product+"/websocket=./websocket")
	m.commit()
	refused("./go.mod has a replace", version)
	m.git("reset", "-q", "--hard", "HEAD~1")
	if tags := m.git("tag"); tags != "" {
		m.t.Fatalf("tags of a release that was refused: %s", tags)
	}
	m.run(m.tree, "tools/release.sh", version)
	refused("exists", version)

	if got := m.git("status", "--porcelain"); got != "" {
		m.t.Errorf("the release left changes: %s", got)
	}
	if lib, root := m.git("rev-parse", "websocket/"+version+"^{commit}"), m.git("rev-parse", version+"^{commit}^"); lib != root {
		m.t.Errorf("the library is tagged at %s, but the parent of the root's tag is %s", lib, root)
	}
	if mod := m.git("show", version+":go.mod"); !strings.Contains(mod, product+"/websocket "+version) || strings.Contains(mod, "replace") {
		m.t.Errorf("go.mod of the release:\n%s", mod)
	}
	m.run(m.tree, "go", "list", "./websocket", "./auth", "./bench", "./e2e/acme", "./e2e/gosdk") // go.work still resolves the modules
}

// programs contains programs of users, keyed by what the programs import.
var programs = map[string]string{
	"the library": `package main

import "github.com/handfast/handfast/websocket"

func main() { println(websocket.CodeNormal) }
`,
	"packages of the product": `package main

import (
	"context"
	"fmt"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/explain"
)

func main() {
	rules, err := auth.NewRules(auth.Rule{Effect: auth.Allow, If: "true"})
	fmt.Println(rules != nil, err, certs.Options{}.OnEvent == nil)
	fmt.Println(explain.Explain(context.Background(), "nonsense", nil).Opened)
}
`,
}

// A release is made from the tree. With an empty module cache, users can install the binary and build programs that import the packages.
// The test uses no network: the release is in a file proxy, and a second file proxy contains the third-party modules in the module cache
// of this machine.
func TestInstall(t *testing.T) {
	m := newMaker(t)
	const version = "v0.99.0"
	m.release(version)

	downloads := filepath.Join(m.run(m.tree, "go", "env", "GOMODCACHE"), "cache", "download")
	proxy := t.TempDir()
	m.run(m.tree, "go", "run", "./internal/treeproxy", "-version", version, proxy)
	m.env = append(m.env, "GOWORK=off", m.trimmed()+" -modcacherw", "GOSUMDB=off", "GOTOOLCHAIN=local",
		"GOMODCACHE="+t.TempDir(), "GOPROXY=file://"+proxy+",file://"+downloads+",off")

	for name, text := range programs {
		t.Run(name, func(t *testing.T) {
			m := &maker{t: t, env: m.env}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			m.run(dir, "go", "mod", "init", "example.com/adopter")
			module := product
			if name == "the library" {
				module += "/websocket"
			}
			m.run(dir, "go", "get", module+"@"+version)
			m.run(dir, "go", "mod", "tidy")
			m.run(dir, "go", "run", ".")
		})
	}
	t.Run("the binary", func(t *testing.T) {
		bin := t.TempDir()
		m := &maker{t: t, env: append(m.env, "GOBIN="+bin)}
		m.run(bin, "go", "install", "-ldflags=-s -w", product+"/cmd/handfast@"+version)
		binary := filepath.Join(bin, "handfast")
		if got := m.run(bin, binary, "--version"); !strings.HasPrefix(got, "handfast "+version+" (") {
			t.Errorf("the installed binary prints %q", got)
		}
		service(m, binary)
		compareSize(t, binary)
	})
}

// compareSize checks that the size of a stripped binary differs by at most 1 % from the size in docs/size.md. Cgo, which a release does
// not use, accounts for 0.3 %.
func compareSize(t *testing.T, binary string) {
	t.Helper()
	if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" {
		return
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "size.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "linux/amd64 has ")
	number, _, ok := strings.Cut(rest, " bytes")
	want, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil || !ok {
		t.Fatalf("docs/size.md has no size: %v", err)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(info.Size()); math.Abs(got/want-1) > 0.01 {
		t.Errorf("the binary has %.0f bytes, and docs/size.md says %.0f: run tools/size.sh and update it", got, want)
	}
}
