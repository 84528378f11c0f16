package handfast_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// written matches a file that a shell command overwrites: the target of > or tee, or of an option of openssl.
var written = regexp.MustCompile(`(?:\s\d?>[ |]?|\s-(?:out|keyout)[ =]|\btee )([‹$~\w./"'-][^\s;)]*)`)

// A command in a string, such as a hint or an example, overwrites no existing file: its target is a name from freename, or a
// placeholder. A command may also append to a file.
func TestCommandsInStringsOverwriteNothing(t *testing.T) {
	safe := regexp.MustCompile(`‹.*freename\.Of\(|^(FILE|/dev/null)$`)
	steps := 0
	for _, s := range sources(t) {
		if s.test() || s.path == "hub/redisengine/scripts.go" { // contains Lua programs, not commands
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := literal(e)
			for _, m := range written.FindAllStringSubmatch(text, -1) {
				steps++
				if !safe.MatchString(m[1]) {
					t.Errorf("%s:%d: %s in %q", s.path, s.line(e.Pos()), m[0], text)
				}
			}
			return !ok
		})
	}
	if steps < 5 {
		t.Errorf("%d commands that write", steps)
	}
}

// literal returns the text of a string literal, or of a concatenation with literals, in which other operands are in angle quotes.
func literal(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		x, first := literal(e.X)
		y, second := literal(e.Y)
		if !first && !second {
			return "", false
		}
		if !first {
			x = "‹" + types.ExprString(e.X) + "›"
		}
		if !second {
			y = "‹" + types.ExprString(e.Y) + "›"
		}
		return x + y, true
	}
	return "", false
}

// A command in a document writes only below the current directory, and the document says to start in an empty one.
func TestCommandsInDocumentsOverwriteNothing(t *testing.T) {
	for _, name := range documents(t) {
		writes := false
		for _, b := range blocks(t, name) {
			if language, _, _ := strings.Cut(b.info, " "); language != "" && language != "sh" {
				continue
			}
			for _, m := range written.FindAllStringSubmatch(b.text, -1) {
				target := strings.Trim(m[1], `"'`)
				if target == "/dev/null" {
					continue
				}
				writes = true
				if strings.HasPrefix(target, "/") || strings.HasPrefix(target, "~") || strings.HasPrefix(target, "$HOME") || strings.Contains(target, "..") {
					t.Errorf("%s:%d: a command writes to %s", name, b.line, target)
				}
			}
		}
		if writes && !strings.Contains(prose(t, name), "empty directory") {
			t.Errorf("%s has commands that write files, and does not say that they need an empty directory", name)
		}
	}
}
