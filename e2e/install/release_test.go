//go:build e2e

package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// made is the directory where .goreleaser.yaml expects the files that its hook creates.
const made = ".release"

// releaser is the content of .goreleaser.yaml. It has only the keys that we use; any other key fails the test.
type releaser struct {
	Version int
	Project string `yaml:"project_name"`
	Git     struct {
		IgnoreTags []string `yaml:"ignore_tags"`
	}
	Before struct{ Hooks []string }
	Builds []struct {
		Main                string
		Env, Flags, Ldflags []string
		Timestamp           string `yaml:"mod_timestamp"`
		Goos, Goarch        []string
	}
	Archives []struct {
		Formats   []string
		Overrides []struct {
			Goos    string
			Formats []string
		} `yaml:"format_overrides"`
		Wrap  bool `yaml:"wrap_in_directory"`
		Files []packed
	}
	Checksum struct {
		Name      string `yaml:"name_template"`
		Algorithm string
	}
	Nfpms []struct {
		Formats                                            []string
		Vendor, Maintainer, Homepage, Description, License string
		Section, Bindir                                    string
		Contents                                           []struct{ Src, Dst, Type, Packager string }
	}
	Changelog struct{ Disable bool }
	Release   struct {
		Draft  bool
		Header string
	}
}

// packed is a file in an archive. In YAML, it is a name or an object.
type packed struct {
	Src, Dst string
	Strip    bool `yaml:"strip_parent"`
}

// UnmarshalYAML reads both forms, and rejects unknown keys.
func (p *packed) UnmarshalYAML(text []byte) error {
	if err := yaml.Unmarshal(text, &p.Src); err == nil {
		return nil
	}
	type object packed
	return yaml.UnmarshalWithOptions(text, (*object)(p), yaml.Strict())
}

// sources returns the names, or patterns, of the files that archives and packages contain.
func (r *releaser) sources() []string {
	var all []string
	for _, a := range r.Archives {
		for _, f := range a.Files {
			all = append(all, f.Src)
		}
	}
	for _, p := range r.Nfpms {
		for _, c := range p.Contents {
			all = append(all, c.Src)
		}
	}
	return all
}

// After goreleaser's hook has run, all files that the configuration names exist. The configuration covers every supported system.
func TestReleaseFiles(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var r releaser
	if err := yaml.UnmarshalWithOptions(text, &r, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"goarch:", "strip_parent:", "name_template:", "packager:"} {
		misspelled := strings.Replace(string(text), key, "x"+key, 1)
		if err := yaml.UnmarshalWithOptions([]byte(misspelled), new(releaser), yaml.Strict()); err == nil {
			t.Errorf("the key x%s is accepted", key)
		}
	}
	m := &maker{t: t, env: append(os.Environ(), "SOURCE_DATE_EPOCH=1764547200")}
	m.env = append(m.env, m.trimmed())
	dir := filepath.Join(t.TempDir(), made)
	hook := "go run ./internal/manpages "
	if len(r.Before.Hooks) != 1 || r.Before.Hooks[0] != hook+made {
		t.Fatalf("hooks %q", r.Before.Hooks)
	}
	m.run(root, "sh", "-c", hook+dir)

	for _, src := range r.sources() {
		name := filepath.Join(root, src)
		if rest, ok := strings.CutPrefix(src, made); ok {
			name = filepath.Join(dir, rest)
		}
		if found, err := filepath.Glob(name); err != nil || len(found) == 0 {
			t.Errorf("%s: there is no such file (%v)", src, err)
		}
	}
	if len(r.Builds) != 1 || r.Builds[0].Main != "./cmd/handfast" || r.Checksum.Name == "" || len(r.Nfpms) != 1 {
		t.Fatalf("the configuration builds %+v", r)
	}
	b := r.Builds[0]
	if !slices.Equal(b.Goos, []string{"linux", "darwin", "windows", "freebsd"}) || !slices.Equal(b.Goarch, []string{"amd64", "arm64"}) {
		t.Errorf("for %v on %v", b.Goos, b.Goarch)
	}
	if !slices.Equal(r.Nfpms[0].Formats, []string{"deb", "rpm"}) {
		t.Errorf("packages %v", r.Nfpms[0].Formats)
	}

	pages, err := filepath.Glob(filepath.Join(dir, "man", "*.1"))
	if err != nil || !slices.Contains(pages, filepath.Join(dir, "man", "handfast-serve.1")) {
		t.Errorf("pages %q, %v", pages, err)
	}
	for _, page := range pages {
		if out := m.run(dir, "groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z", page); out != "" {
			t.Errorf("%s: %s", page, out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		m.run(dir, shell, "-n", "completions/handfast."+shell)
	}
	if !strings.Contains(r.Release.Header, "docs/size.md") {
		t.Errorf("the release notes do not say where the size is: %q", r.Release.Header)
	}
}

// service checks the systemd files in the packages, with the path of the given binary in place of the installed one.
func service(m *maker, binary string) {
	m.t.Helper()
	unit, err := os.ReadFile(filepath.Join("..", "..", "packaging", "handfast.service"))
	if err != nil {
		m.t.Fatal(err)
	}
	const installed = "ExecStart=/usr/bin/handfast "
	if !strings.Contains(string(unit), "\n"+installed) {
		m.t.Errorf("the unit has no %s", installed)
	}
	dir := m.t.TempDir()
	text := strings.Replace(string(unit), installed, "ExecStart="+binary+" ", 1)
	if err := os.WriteFile(filepath.Join(dir, "handfast.service"), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if out := m.run(dir, "systemd-analyze", "verify", "--man=no", "./handfast.service"); out != "" {
		m.t.Errorf("systemd-analyze verify: %s", out)
	}
	m.run(filepath.Join("..", ".."), binary, "config", "check", "packaging/handfast.yaml")
}
