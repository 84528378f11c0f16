// Package rfctable maintains the table of RFC 6455: every MUST in it with the code and the test that fulfill it.
//
// docs/rfc6455.txt is the source, written by hand. [Parse] parses it, [Check] checks that the code and the tests that it names
// exist and that the code quotes the section, and [Render] writes docs/rfc.md. The tests of this package fail on a MUST without
// code and test, on a wrong count, and on an outdated docs/rfc.md.
package rfctable

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Row is one requirement: one occurrence of MUST, MUST NOT, REQUIRED, SHALL or SHALL NOT in the RFC, or one step of an algorithm
// that such a word introduces.
type Row struct {
	ID    string   // "6455-5.1-2": the RFC, the section, the number of the requirement in that section
	Word  string   // MUST, MUST NOT, REQUIRED, SHALL, SHALL NOT; "step" for a step of an algorithm
	Who   string   // client, server, both; or another party
	Quote string   // the sentence, or the part of it with the requirement
	Why   string   // why the requirement does not apply to this code; empty if it does
	Not   string   // why an applicable requirement is not fulfilled; empty if it is
	As    string   // the section that the code quotes for a repeated requirement; empty for the section in ID
	Note  string   // how the requirement is fulfilled, if code and test do not show it
	Code  []Symbol // the code that fulfills the requirement
	Tests []Symbol // the tests and fuzz targets that verify the requirement
	Cases []Symbol // cases of transcripts that verify the requirement: Dir is the transcript's file in [Transcripts]
	Line  int      // where the row begins in the source
}

// Symbol is a declaration: a function, a method as Type.Method, a type, a variable or a constant. A test may have a part after a
// slash: the name of one of its cases.
type Symbol struct {
	Dir  string // the package's folder, relative to the root of the repository
	Name string
}

// Section returns the section of the RFC of r, such as "5.1".
func (r Row) Section() string {
	parts := strings.Split(r.ID, "-")
	return parts[1]
}

// Quoted returns the section that the code quotes for r.
func (r Row) Quoted() string {
	if r.As != "" {
		return r.As
	}
	return r.Section()
}

// Held reports whether the row must name code and tests: the requirement applies to this code and is fulfilled.
func (r Row) Held() bool { return r.Why == "" && r.Not == "" }

var rowHead = regexp.MustCompile(`^(6455-[0-9]+(?:\.[0-9]+)*-[0-9]+[a-z]?) (MUST NOT|MUST|REQUIRED|SHALL NOT|SHALL|step) (\S.*)$`)

// Parse parses rows in the format of docs/rfc6455.txt: a line with the ID, the keyword and the party to which it applies, then
// indented lines that each begin with a key. Empty lines and lines that begin with # are skipped. An error contains the line
// number.
func Parse(r io.Reader) ([]Row, error) {
	var rows []Row
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !strings.HasPrefix(line, " ") {
			m := rowHead.FindStringSubmatch(line)
			if m == nil {
				return nil, fmt.Errorf("line %d: expected an ID, a keyword and the party to which it applies: %q", n, line)
			}
			rows = append(rows, Row{ID: m[1], Word: m[2], Who: m[3], Line: n})
			continue
		}
		if len(rows) == 0 {
			return nil, fmt.Errorf("line %d: no row has begun", n)
		}
		if err := rows[len(rows)-1].set(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return rows, lines.Err()
}

// set adds one indented line to r.
func (r *Row) set(line string) error {
	key, value, _ := strings.Cut(line, " ")
	value = strings.TrimSpace(value)
	switch key {
	case ">":
		r.Quote = strings.TrimSpace(r.Quote + " " + value)
	case "why":
		r.Why = strings.TrimSpace(r.Why + " " + value)
	case "not":
		r.Not = strings.TrimSpace(r.Not + " " + value)
	case "note":
		r.Note = strings.TrimSpace(r.Note + " " + value)
	case "as":
		r.As = strings.TrimPrefix(value, "§")
	case "code", "test", "case":
		f := strings.Fields(value)
		if len(f) < 2 {
			return fmt.Errorf("want a folder or file and names: %q", line)
		}
		list := map[string]*[]Symbol{"code": &r.Code, "test": &r.Tests, "case": &r.Cases}[key]
		for _, name := range f[1:] {
			*list = append(*list, Symbol{Dir: f[0], Name: name})
		}
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}
