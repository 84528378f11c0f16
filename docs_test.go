package handfast_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// fenced is a code block of a document.
type fenced struct {
	line int    // the line where it begins
	info string // the info string of the fence: "go", "sh"
	text string
}

// blocks returns the fenced code blocks of a document.
func blocks(t *testing.T, name string) []fenced {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var all []fenced
	var inside *fenced
	for i, line := range strings.Split(string(text), "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && inside == nil:
			inside = &fenced{line: i + 1, info: strings.TrimSpace(info)}
		case fence:
			all = append(all, *inside)
			inside = nil
		case inside != nil:
			inside.text += line + "\n"
		}
	}
	if inside != nil {
		t.Errorf("%s:%d: a code block without an end", name, inside.line)
	}
	return all
}

// documents returns the documents that are written for readers.
func documents(t *testing.T) []string {
	t.Helper()
	guides, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(top, guides...)
}

// Every Go block in a document is a whole program that passes go vet, or a whole test file that passes go test.
func TestGoInDocumentsCompiles(t *testing.T) {
	found := 0
	for _, name := range documents(t) {
		for _, b := range blocks(t, name) {
			if language, _, _ := strings.Cut(b.info, " "); language != "go" { // followed by a file name, or by nothing
				continue
			}
			found++
			t.Run(filepath.Base(name)+"/"+firstLine(b.text), func(t *testing.T) {
				file, check := filepath.Join(t.TempDir(), "main.go"), "vet"
				if strings.Contains(b.text, `"testing"`) {
					file, check = filepath.Join(t.TempDir(), "main_test.go"), "test"
				}
				if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.CommandContext(t.Context(), "go", check, file).CombinedOutput()
				if err != nil {
					t.Errorf("%s:%d: %v\n%s", name, b.line, err, out)
				}
				if out, _ := exec.CommandContext(t.Context(), "gofmt", "-l", file).Output(); len(out) > 0 {
					t.Errorf("%s:%d: not formatted as gofmt does it", name, b.line)
				}
			})
		}
	}
	if found == 0 {
		t.Error("no document shows a program")
	}
}

// firstLine names a block after the comment or clause at its beginning.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimPrefix(line, "// ")
}

// prose returns a document without its code.
func prose(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		for i, part := range strings.Split(line, "`") {
			if !fenced && i%2 == 0 {
				b.WriteString(part)
			}
		}
	}
	return b.String()
}

// anchors returns the anchors of a document's headings, as GitHub derives them from the text.
func anchors(t *testing.T, name string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	all, fenced := map[string]bool{}, false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		level, title, ok := strings.Cut(line, " ")
		if fenced || !ok || strings.Trim(level, "#") != "" {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))
		for n, same := 1, anchor; all[anchor]; n++ {
			anchor = same + "-" + strconv.Itoa(n)
		}
		all[anchor] = true
	}
	return all
}

// The target of a link into the repository exists, including the heading.
func TestLinksInDocumentsLead(t *testing.T) {
	names := documents(t)
	for _, more := range []string{"client/js/*.md", "docs/decisions/*.md", "examples/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(more)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no documents, %v", more, err)
		}
		names = append(names, found...)
	}
	for _, name := range names {
		for rest := prose(t, name); ; {
			_, after, ok := strings.Cut(rest, "](")
			if !ok {
				break
			}
			link, _, _ := strings.Cut(after, ")")
			rest = after
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			to := name
			if file != "" {
				to = filepath.Join(filepath.Dir(name), filepath.FromSlash(file))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which is not there", name, link)
			} else if anchor != "" && filepath.Ext(to) == ".md" && !anchors(t, to)[anchor] {
				t.Errorf("%s links to %s, where no heading has that name", name, link)
			}
		}
	}
}

// Every document is in the index, docs/README.md.
func TestEveryDocumentIsListed(t *testing.T) {
	index := prose(t, "docs/README.md")
	names, err := filepath.Glob("docs/*.md")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d documents, %v", len(names), err)
	}
	for _, name := range names {
		if base := filepath.Base(name); base != "README.md" && !strings.Contains(index, "]("+base+")") {
			t.Errorf("docs/README.md does not list %s", base)
		}
	}
}
