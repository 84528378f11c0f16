package rfctable

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// tree looks up declarations below a root folder; a package is parsed when it is first needed.
type tree struct {
	root string
	pkgs map[string]*pkg
}

// pkg contains the declarations in one folder, including tests.
type pkg struct {
	decls map[string]decl
	text  map[string]string // the content of each file, by base name
}

// decl is the location of a declaration.
type decl struct {
	file string // base name
	text string // the declaration's source, including its comment
}

// Check returns the problems of rows, one sentence each: a requirement without code, test or reason, a name that is not declared
// below root, or a section that no file with the code quotes.
func Check(root string, rows []Row) []string {
	t := &tree{root: root, pkgs: map[string]*pkg{}}
	var wrong []string
	for _, r := range rows {
		for _, s := range t.check(r) {
			wrong = append(wrong, r.ID+": "+s)
		}
	}
	return wrong
}

func (t *tree) check(r Row) (wrong []string) {
	if r.Quote == "" {
		wrong = append(wrong, "no quote")
	}
	if r.Word != "step" && !strings.Contains(r.Quote, r.Word) {
		wrong = append(wrong, "the quote does not contain the word "+r.Word)
	}
	if !r.Held() {
		if len(r.Code)+len(r.Tests)+len(r.Cases) > 0 {
			wrong = append(wrong, "it has both code or tests and a reason for having neither")
		}
		return wrong
	}
	if len(r.Code) == 0 {
		wrong = append(wrong, "no code enforces it")
	}
	if len(r.Tests)+len(r.Cases) == 0 {
		wrong = append(wrong, "no test verifies it")
	}
	quoted := len(r.Code) == 0
	for _, s := range r.Code {
		quotes, problem := t.checkCode(r, s)
		if problem != "" {
			wrong = append(wrong, problem)
		}
		quoted = quoted || quotes || problem != ""
	}
	if !quoted {
		wrong = append(wrong, "none of the files with its code quotes RFC 6455 §"+r.Quoted())
	}
	for _, s := range r.Tests {
		wrong = append(wrong, t.checkTest(s)...)
	}
	for _, s := range r.Cases {
		wrong = append(wrong, t.checkCase(s)...)
	}
	return wrong
}

// checkCode finds the declaration, and reports whether its file quotes the section.
func (t *tree) checkCode(r Row, s Symbol) (quotes bool, problem string) {
	p, err := t.pkg(s.Dir)
	if err != nil {
		return false, err.Error()
	}
	d, ok := p.decls[s.Name]
	switch {
	case !ok:
		return false, fmt.Sprintf("%s is not declared in %s", s.Name, s.Dir)
	case strings.HasSuffix(d.file, "_test.go"):
		return false, fmt.Sprintf("%s in %s is a test, not code", s.Name, s.Dir)
	}
	return mentions(p.text[d.file], r.Quoted()), ""
}

// mentions reports whether text quotes a section of the RFC: "§5.1", "§§5.1 and 5.2", but not "§5.10" for 5.1.
func mentions(text, section string) bool {
	exact := regexp.MustCompile(`§[0-9., §and]*\b` + regexp.QuoteMeta(section) + `(?:[^0-9.]|\.[^0-9]|\.?$)`)
	return exact.MatchString(text)
}

// checkTest finds the test, and the name of its case in one of the package's test files.
func (t *tree) checkTest(s Symbol) []string {
	p, err := t.pkg(s.Dir)
	if err != nil {
		return []string{err.Error()}
	}
	name, part, hasPart := strings.Cut(s.Name, "/")
	d, ok := p.decls[name]
	if !ok || !strings.HasSuffix(d.file, "_test.go") {
		return []string{fmt.Sprintf("there is no test %s in %s", name, s.Dir)}
	}
	if !strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "Fuzz") {
		return []string{fmt.Sprintf("%s in %s is neither a test nor a fuzz target", name, s.Dir)}
	}
	if hasPart && !strings.Contains(d.text, part) && !t.inTestdata(s.Dir, part) {
		return []string{fmt.Sprintf("the test %s in %s has no case %q", name, s.Dir, part)}
	}
	return nil
}

// inTestdata reports whether a file in a package's testdata folder has a case of that name, in quotes.
func (t *tree) inTestdata(dir, name string) bool {
	files, err := filepath.Glob(filepath.Join(t.root, filepath.FromSlash(dir), "testdata", "*.*"))
	if err != nil {
		return false
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), `"`+name+`"`) {
			return true
		}
	}
	return false
}

// Transcripts is the folder of the transcripts, all of which TestTranscripts in websocket/protocol runs.
const Transcripts = "websocket/testdata/transcripts"

// checkCase finds a case in a transcript.
func (t *tree) checkCase(s Symbol) []string {
	text, err := os.ReadFile(filepath.Join(t.root, filepath.FromSlash(Transcripts), s.Dir))
	if err != nil {
		return []string{fmt.Sprintf("there is no transcript %s", s.Dir)}
	}
	if !strings.Contains("\n"+string(text), "\ncase "+s.Name+"\n") {
		return []string{fmt.Sprintf("the transcript %s has no case %s", s.Dir, s.Name)}
	}
	return nil
}

// pkg parses the Go files of a folder once.
func (t *tree) pkg(dir string) (*pkg, error) {
	if p, ok := t.pkgs[dir]; ok {
		return p, nil
	}
	files, err := filepath.Glob(filepath.Join(t.root, filepath.FromSlash(dir), "*.go"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there is no package in %s", dir)
	}
	p := &pkg{decls: map[string]decl{}, text: map[string]string{}}
	for _, name := range files {
		if err := p.add(name); err != nil {
			return nil, err
		}
	}
	t.pkgs[dir] = p
	return p, nil
}

// add parses one file into p.
func (p *pkg) add(name string) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	base := filepath.Base(name)
	p.text[base] = string(src)
	put := func(name string, doc *ast.CommentGroup, node ast.Node) {
		from := node.Pos()
		if doc != nil {
			from = doc.Pos()
		}
		p.decls[name] = decl{file: base, text: string(src[fset.Position(from).Offset:fset.Position(node.End()).Offset])}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			put(funcName(d), d.Doc, d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					put(spec.Name.Name, d.Doc, spec)
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						put(id.Name, d.Doc, spec)
					}
				}
			}
		}
	}
	return nil
}

// funcName returns the name of a function, or Type.Method.
func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	typ := f.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}
