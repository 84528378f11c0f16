package handfast_test

import (
	"errors"
	"fmt"
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
	line int    // the line where the block begins
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

// logsFailedAccepts reports whether every handler in a program logs the error of Accept, which only the server gets to see: whether the
// first thing after a failed Accept is not to return.
func logsFailedAccepts(program string) bool {
	accepts := strings.Split(program, ".Accept(w, r,")
	for _, rest := range accepts[1:] {
		if _, failed, ok := strings.Cut(rest, "if err != nil {"); ok && strings.HasPrefix(strings.TrimSpace(failed), "return") {
			return false
		}
	}
	return true
}

func TestLogsFailedAccepts(t *testing.T) {
	for program, want := range map[string]bool{
		"c, err := websocket.Accept(w, r, nil)\n\tif err != nil {\n\t\tlog.Print(err)\n\t\treturn\n\t}":                         true,
		"c, err := websocket.Accept(w, r, nil)\n\tif err != nil {\n\t\treturn\n\t}":                                             false,
		"c, err := websocket.Accept(w, r, &websocket.AcceptOptions{\n\t\tHeader: h,\n\t})\n\tif err != nil {\n\t\treturn\n\t}":  false,
		"c, err := websocket.Accept(w, r, nil)\n\tif err != nil {\n\t\tlog.Print(err)\n\t}\n\tif err != nil {\n\t\treturn\n\t}": true,
	} {
		if got := logsFailedAccepts(program); got != want {
			t.Errorf("%v, want %v for\n%s", got, want, program)
		}
	}
}

// Every handler that a document shows logs why a handshake has failed. The programs for other libraries are as their users write them.
func TestHandlersInDocumentsLogFailedHandshakes(t *testing.T) {
	handlers := 0
	for _, name := range documents(t) {
		for _, b := range blocks(t, name) {
			if !strings.Contains(b.text, ".Accept(w, r,") || !strings.Contains(b.text, "handfast/websocket") {
				continue
			}
			if handlers++; !logsFailedAccepts(b.text) {
				t.Errorf("%s:%d: a handler does not log the error of Accept", name, b.line)
			}
		}
	}
	if handlers == 0 {
		t.Error("the documents show no handler")
	}
}

// Every Go block in a document is a whole program that passes go vet, or a whole test file that passes go test.
func TestGoInDocumentsCompiles(t *testing.T) {
	// Each block becomes a package in a folder of this module, so that go checks all of them together.
	dir, err := os.MkdirTemp(".", "_documents") //nolint:usetesting // the directory must be in this module; "./..." does not include it, because its name begins with _
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var programs, tests []string
	for _, name := range documents(t) {
		for _, b := range blocks(t, name) {
			if language, _, _ := strings.Cut(b.info, " "); language != "go" { // a file name may follow the language
				continue
			}
			// The folder has the name of the document and the line of the block, because errors contain its name.
			folder := filepath.Join(dir, fmt.Sprintf("%s-%d", filepath.Base(name), b.line))
			file := filepath.Join(folder, "main.go")
			if strings.Contains(b.text, `"testing"`) {
				file = filepath.Join(folder, "main_test.go")
				tests = append(tests, "./"+folder)
			} else {
				programs = append(programs, "./"+folder)
			}
			if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(file, []byte(b.text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, command := range [][]string{append([]string{"go", "vet"}, programs...), append([]string{"go", "test"}, tests...), {"gofmt", "-l", dir}} {
		out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
		if err != nil || command[0] == "gofmt" && len(out) > 0 {
			t.Errorf("%s %s: %v\n%s", command[0], command[1], err, out)
		}
	}
	if len(programs) == 0 || len(tests) == 0 {
		t.Error("the documents show no program or no test")
	}
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
func TestLinksInDocumentsResolve(t *testing.T) {
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
				t.Errorf("%s links to %s, which does not exist", name, link)
			} else if anchor != "" && filepath.Ext(to) == ".md" && !anchors(t, to)[anchor] {
				t.Errorf("%s links to %s, but no heading there has that name", name, link)
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
