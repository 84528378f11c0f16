package handfast_test

import (
	"go/ast"
	"go/types"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// netConns lists the types outside of tests that implement net.Conn, with the test that runs nettest over them, or the reason why there is
// none.
var netConns = map[string]string{
	"balance/proxy.wire":                    "balance/proxy/message_wire_test.go",
	"explain.dnsConn":                       "carries datagrams, not a stream",
	"explain.link":                          "explain/netconn_test.go",
	"explain.prefixedConn":                  "explain/netconn_test.go",
	"explain.recordedConn":                  "explain/netconn_test.go",
	"explain/internal/faults.exchange":      "part of servers that are faulty on purpose",
	"bench/internal/behave.conn":            "part of a client for measurements",
	"websocket.replayed":                    "bench/nettest_test.go",
	"websocket.replayedTLS":                 "a replayed on a *tls.Conn, which does not survive the time limit of a write, as nettest requires",
	"websocket/internal/transport.Accepted": "bench/nettest_test.go",
	"websocket/internal/transport.bridge":   "bench/nettest_test.go",
	"websocket/loop.Under":                  "bench/nettest_test.go",
	"websocket/loop.underTLS":               "only for crypto/tls on a loop: no call of it waits, so deadlines have no effect",
	"websocket/netconn.conn":                "bench/nettest_test.go",
	"websocket/wstest.stream":               "bench/nettest_test.go",
}

// Every type of ours that implements net.Conn is in netConns.
func TestEveryNetConnIsTested(t *testing.T) {
	methods := map[string]map[string]bool{} // by type
	embeds := map[string][]string{}
	for _, s := range sources(t) {
		if s.test() || strings.HasPrefix(s.path, "e2e/") {
			continue
		}
		dir := path.Dir(s.path)
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					name := dir + "." + receiver(d)
					if methods[name] == nil {
						methods[name] = map[string]bool{}
					}
					methods[name][d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok {
						embeds[dir+"."+ts.Name.Name] = embedded(ts)
					}
				}
			}
		}
	}
	found := map[string]bool{}
	for grown := true; grown; {
		grown = false
		for name, es := range embeds {
			own := methods[name]["SetDeadline"] && methods[name]["RemoteAddr"] && methods[name]["Read"]
			if !found[name] && (own || slices.ContainsFunc(es, func(e string) bool { return isConn(e, name, found) })) {
				found[name], grown = true, true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if netConns[name] == "" {
			t.Errorf("%s implements net.Conn: run nettest over it, and add it to netConns", name)
		}
	}
	for name, test := range netConns {
		if !found[name] {
			t.Errorf("%s is in netConns, but does not implement net.Conn", name)
		}
		if !strings.HasSuffix(test, ".go") {
			continue
		}
		if text, err := os.ReadFile(test); err != nil || !strings.Contains(string(text), "nettest.TestConn(") {
			t.Errorf("%s: %s does not run nettest: %v", name, test, err)
		}
	}
}

// embedded returns the embedded types of a struct, as they are written.
func embedded(ts *ast.TypeSpec) []string {
	st, ok := ts.Type.(*ast.StructType)
	if !ok {
		return nil
	}
	var all []string
	for _, f := range st.Fields.List {
		if len(f.Names) == 0 {
			all = append(all, strings.TrimPrefix(types.ExprString(f.Type), "*"))
		}
	}
	return all
}

// isConn reports whether an embedded type, as it is written in the type by, makes that type a net.Conn.
func isConn(e, by string, found map[string]bool) bool {
	switch e {
	case "net.Conn", "net.TCPConn", "net.UDPConn", "net.UnixConn", "tls.Conn":
		return true
	}
	if !strings.Contains(e, ".") { // a type of the same package
		return found[by[:strings.LastIndex(by, ".")+1]+e]
	}
	for name := range found {
		if strings.HasSuffix(name, "/"+e) {
			return true
		}
	}
	return false
}
