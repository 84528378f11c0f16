package handfast_test

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// blocking contains the names of methods and functions that wait for a peer until their first argument, a context, is done.
var blocking = []string{"Dial", "DialContext", "DialPeer", "HandshakeContext", "Messages", "Ping", "Read", "Reader",
	"Shutdown", "View", "Write", "WriteUncompressed", "Writer"}

// TestWaitsHaveABound checks that every wait in a test has a time limit of its own. The context of a test is not such a limit: it
// is done only after the test's function has returned, so a wait for it ends with go test's timeout, which stops the whole package.
// In a bubble of testing/synctest a wait that cannot end is itself an error.
func TestWaitsHaveABound(t *testing.T) {
	all := sources(t)
	bubbles := bubbleFuncs(all)
	for _, s := range all {
		base := path.Base(s.path)
		if !s.test() || strings.HasPrefix(base, "example") || strings.HasSuffix(base, "bench_test.go") || strings.HasPrefix(s.path, "bench/") {
			continue // limits would distract in examples, and cost time in benchmarks
		}
		w := waits{t: t, s: s, bubbles: bubbles[path.Dir(s.path)]}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil && !strings.HasPrefix(f.Name.Name, "Benchmark") {
				w.tests = takesTest(f.Type)
				w.inspect(f.Body)
			}
		}
	}
}

// bubbleFuncs returns, by directory, the functions that run another function in a bubble.
func bubbleFuncs(all []source) map[string][]string {
	found := map[string][]string{}
	for _, s := range all {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || !s.test() {
				continue
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && called(call) == "synctest.Test" {
					found[path.Dir(s.path)] = append(found[path.Dir(s.path)], f.Name.Name)
				}
				return true
			})
		}
	}
	return found
}

// waits looks for waits without a bound in a file.
type waits struct {
	t           *testing.T
	s           source
	bubbles     []string // functions of the package that run their argument in a bubble
	tests       bool     // whether the current code has a testing.TB, and so belongs to the test rather than to a peer
	inGoroutine bool     // whether the current code runs in its own goroutine
	polls       bool     // whether the innermost loop waits for a condition
}

// inspect inspects all code in n that does not run in a bubble.
func (w waits) inspect(n ast.Node) {
	ast.Inspect(n, func(m ast.Node) bool {
		switch m := m.(type) {
		case *ast.FuncLit:
			inner := w
			inner.polls = false
			if len(m.Type.Params.List) > 0 {
				inner.tests = takesTest(m.Type)
			}
			inner.inspect(m.Body)
			return false
		case *ast.ForStmt:
			inner := w
			inner.polls = true
			for _, part := range []ast.Node{m.Init, m.Cond, m.Post, m.Body} {
				if part != nil {
					inner.inspect(part)
				}
			}
			return false
		case *ast.RangeStmt:
			inner := w
			inner.polls = false
			w.inspect(m.X)
			inner.inspect(m.Body)
			return false
		case *ast.CallExpr:
			name := called(m)
			if name == "synctest.Test" || slices.Contains(w.bubbles, name) || name == "testing.AllocsPerRun" || name == "allocs.PerRun" {
				return false // a bubble needs no limit, and AllocsPerRun would count the allocations of a limit
			}
			w.call(m, name)
			if strings.HasSuffix(name, ".Go") {
				inner := w
				inner.inGoroutine = true
				for _, a := range m.Args {
					inner.inspect(a)
				}
				return false
			}
		case *ast.GoStmt:
			inner := w
			inner.inGoroutine = true
			inner.inspect(m.Call)
			return false
		case *ast.CommClause:
			w.choice(m)
			return false
		case *ast.UnaryExpr:
			w.receive(m)
		}
		return true
	})
}

// choice inspects a case of a select: its receive is one of several alternatives.
func (w waits) choice(c *ast.CommClause) {
	if c.Comm != nil {
		ast.Inspect(c.Comm, func(n ast.Node) bool {
			if e, ok := n.(*ast.UnaryExpr); ok {
				w.checkDone(e)
			}
			return true
		})
	}
	for _, b := range c.Body {
		w.inspect(b)
	}
}

// checkDone reports a receive from a context that is not done while the test runs.
func (w waits) checkDone(e *ast.UnaryExpr) {
	call, ok := e.X.(*ast.CallExpr)
	if !ok || e.Op != token.ARROW || !strings.HasSuffix(called(call), ".Done") {
		return
	}
	if of, ok := call.Fun.(*ast.SelectorExpr).X.(*ast.CallExpr); ok && isTestContext(of) {
		w.fail(e, "t.Context() is not done while the test runs: use bounded.Context(t)")
	}
}

// receive inspects a receive outside of a select.
func (w waits) receive(e *ast.UnaryExpr) {
	w.checkDone(e)
	if e.Op != token.ARROW || !w.tests || w.inGoroutine {
		return
	}
	switch from := e.X.(type) {
	case *ast.CallExpr:
		if name := called(from); name == "time.After" || strings.HasSuffix(name, ".Done") {
			return
		}
	case *ast.SelectorExpr:
		if from.Sel.Name == "C" { // the channel of a timer
			return
		}
	}
	w.fail(e, "a receive without a bound: use bounded.Receive")
}

// call inspects one call.
func (w waits) call(call *ast.CallExpr, name string) {
	switch {
	case name == "time.Sleep":
		w.fail(call, "time.Sleep outside of a bubble of testing/synctest: wait for what has to happen")
	case name == "runtime.Gosched" && w.polls:
		w.fail(call, "a loop with runtime.Gosched spins: use bounded.Until, or wait for the event itself")
	case slices.Contains(blocking, name[strings.LastIndex(name, ".")+1:]) && len(call.Args) > 0:
		ctx, ok := call.Args[0].(*ast.CallExpr)
		if ok && (isTestContext(ctx) || w.tests && (called(ctx) == "context.Background" || called(ctx) == "context.TODO")) {
			w.fail(call, "%s waits without a bound: give it bounded.Context(t)", name)
		}
	}
}

// fail reports a wait without a time limit.
func (w waits) fail(at ast.Node, format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("%s:%d: "+format, append([]any{w.s.path, w.s.line(at.Pos())}, args...)...)
}

// called returns the name of a called function or method as it is written in the code: "pkg.Func", "x.Method" or "f".
func called(call *ast.CallExpr) string {
	fun := call.Fun
	switch generic := fun.(type) {
	case *ast.IndexExpr:
		fun = generic.X
	case *ast.IndexListExpr:
		fun = generic.X
	}
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		if of, ok := fun.X.(*ast.Ident); ok {
			return of.Name + "." + fun.Sel.Name
		}
		return "." + fun.Sel.Name
	}
	return ""
}

// isTestContext reports whether a call returns the context of a test.
func isTestContext(call *ast.CallExpr) bool {
	return slices.Contains([]string{"t.Context", "tb.Context", "b.Context", "f.Context"}, called(call))
}

// takesTest reports whether a function has a parameter of a type of package testing.
func takesTest(f *ast.FuncType) bool {
	return slices.ContainsFunc(f.Params.List, func(p *ast.Field) bool {
		typ := p.Type
		if star, ok := typ.(*ast.StarExpr); ok {
			typ = star.X
		}
		sel, ok := typ.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		of, ok := sel.X.(*ast.Ident)
		return ok && of.Name == "testing"
	})
}
