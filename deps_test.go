package handfast_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// modulePath is the path of the root module; the paths in this file are relative to it.
const modulePath = "github.com/handfast/handfast"

// A rule lists the packages that one package may import. All rules are about direct imports: the imports of an imported package are
// covered by that package's own rule.
type rule struct {
	pkg   string   // relative to modulePath; "." is the root; a trailing "/..." covers the packages below that have no rule of their own
	own   []string // packages of this repository, in the same notation
	std   []string // packages of the standard library; anyStd for all of them
	not   []string // packages of the standard library that anyStd does not include
	other []string // third-party modules
	test  []string // additional packages and modules that only tests import
}

var (
	anyStd = []string{"*"}
	// pureStd contains the packages that code without I/O, clocks, locks and goroutines may import.
	pureStd = []string{"bytes", "cmp", "encoding/base64", "encoding/binary", "errors", "fmt", "iter", "maps", "math",
		"math/bits", "slices", "strconv", "strings", "unicode", "unicode/utf8", "unsafe"}
	// effects contains packages that code without I/O, clocks, locks and goroutines must not import.
	effects = []string{"net", "os", "time", "sync", "context", "log"}
)

// rules lists what each package may import: only lower layers. A new import between layers is a design decision, and belongs in
// ARCHITECTURE.md.
var rules = []rule{
	// The leaf packages of the library.
	{pkg: "websocket/frame", std: pureStd},
	{pkg: "websocket/internal/utf8x", std: pureStd},
	{pkg: "websocket/internal/header", std: pureStd},
	{pkg: "websocket/internal/deflate", std: append([]string{"compress/flate", "io", "sync"}, pureStd...)},

	// The library's middle layer: the protocol and the handshakes as pure functions, and the streams they run over.
	{pkg: "websocket/protocol", std: append([]string{"io"}, pureStd...), own: []string{"websocket/frame", "websocket/internal/deflate", "websocket/internal/utf8x"}},
	{pkg: "websocket/handshake", std: anyStd, not: append([]string{"crypto/tls"}, effects...),
		own: []string{"websocket/internal/header"}},
	{pkg: "websocket/internal/opening", std: anyStd, not: []string{"crypto/tls", "net", "os", "sync", "context", "log"},
		own:  []string{"websocket/handshake", "websocket/internal/header"},
		test: []string{"websocket"}},
	{pkg: "websocket/internal/prepared", std: append([]string{"sync"}, pureStd...),
		own: []string{"websocket/frame", "websocket/internal/deflate"}},
	{pkg: "websocket/internal/transport", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"websocket/loop"}},
	{pkg: "websocket/internal/accepting", std: []string{"errors", "net", "syscall", "time"}},
	{pkg: "websocket/loop", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"websocket/internal/accepting"}, test: []string{"websocket/internal/bounded", "websocket/internal/leak", "websocket/internal/looptest"}},
	{pkg: "websocket/internal/looptest", std: anyStd, own: []string{"websocket/loop"}},

	// The library, and the packages that are built on its public API.
	{pkg: "websocket", std: anyStd, not: []string{"log", "log/slog"}, own: []string{
		"websocket/frame", "websocket/internal/accepting", "websocket/internal/deflate", "websocket/handshake", "websocket/internal/header",
		"websocket/internal/prepared", "websocket/loop", "websocket/protocol", "websocket/internal/transport",
		"websocket/internal/opening", "websocket/internal/utf8x"},
		test: []string{"websocket/internal/looptest", "websocket/internal/drivertest", "websocket/wstest", "websocket/wsjson"}},
	{pkg: "websocket/internal/drivertest", std: anyStd, own: []string{"websocket", "websocket/frame", "websocket/protocol", "websocket/internal/bounded"}},
	{pkg: "websocket/wstest", std: anyStd, not: []string{"log", "log/slog"},
		own: []string{"websocket", "websocket/frame", "websocket/protocol"}},
	{pkg: "websocket/wsjson", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"websocket"},
		test: []string{"websocket/protocol", "websocket/wstest"}},
	{pkg: "websocket/netconn", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"websocket"},
		test: []string{"websocket/wstest"}},
	{pkg: "websocket/reconnect", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"websocket", "websocket/handshake"},
		test: []string{"websocket/protocol", "websocket/wstest"}},

	// Only the library's tests use these three.
	{pkg: "websocket/internal/leak", std: anyStd},
	{pkg: "websocket/internal/bounded", std: anyStd},
	{pkg: "websocket/internal/allocs", std: anyStd},

	// The packages of the server and its tools. auth imports websocket for the hook that determines a handshake's reply, and to
	// close sessions.
	{pkg: "auth", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"internal/cors", "internal/limit", "internal/redact", "internal/watch", "websocket"},
		other: []string{"github.com/expr-lang/expr", "github.com/golang-jwt/jwt/v5", "golang.org/x/crypto"}},
	{pkg: "auth/redisstore", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"auth", "internal/redisurl"},
		other: []string{"github.com/redis/rueidis"}, test: []string{"internal/redistest"}},
	{pkg: "hub", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"internal/limit", "internal/timeout", "websocket"},
		test: []string{"hub/enginetest", "internal/bounded"}},
	{pkg: "hub/enginetest", std: anyStd, own: []string{"hub", "internal/bounded", "websocket"}},
	{pkg: "hub/natsengine", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"hub", "hub/internal/record"},
		other: []string{"github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go"},
		test:  []string{"hub/enginetest", "internal/bounded", "internal/freeport", "internal/natstest"}},
	{pkg: "hub/redisengine", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"hub", "hub/internal/record", "internal/redisurl"},
		other: []string{"github.com/redis/rueidis"}, test: []string{"hub/enginetest", "internal/bounded", "internal/redistest"}},
	{pkg: "hub/internal/record", std: anyStd, not: []string{"log", "log/slog", "net", "os"}, own: []string{"hub"}},
	{pkg: "webhook", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"hub", "internal/limit"}, test: []string{"hub/enginetest", "internal/bounded"}},
	{pkg: "channels", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"channels/wire", "hub", "internal/limit", "internal/recent", "internal/replies", "internal/timeout", "websocket"},
		test: []string{"internal/transcript"}},
	{pkg: "streams", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"hub", "internal/cors", "websocket"}, test: []string{"internal/bounded"}},
	{pkg: "centrifugo", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"hub", "internal/limit", "internal/recent", "internal/replies", "internal/timeout", "websocket"},
		other: []string{"github.com/centrifugal/fdelta", "github.com/centrifugal/protocol", "github.com/golang-jwt/jwt/v5"},
		test:  []string{"internal/transcript"}},
	{pkg: "channels/wire", std: append([]string{"encoding/json", "time"}, pureStd...), test: []string{"internal/bounded"}},
	{pkg: "pusher", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"hub", "internal/limit", "internal/recent", "internal/replies", "internal/timeout", "websocket"},
		test: []string{"internal/transcript"}},
	{pkg: "client", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"channels/wire", "websocket", "websocket/reconnect"},
		test: []string{"channels", "hub", "internal/bounded"}},
	// Time is an argument, and the only lock is the mutex of a Pool and of a Storm.
	{pkg: "balance", std: append([]string{"math/rand/v2", "sort", "sync", "time"}, pureStd...), own: []string{"internal/limit"}},
	// These packages use neither I/O nor time.
	{pkg: "balance/resume", std: append([]string{"encoding/json"}, pureStd...), own: []string{"channels/wire"},
		other: []string{"github.com/centrifugal/protocol"},
		test:  []string{"centrifugo", "channels", "client", "github.com/centrifugal/fdelta", "hub", "internal/transcript", "websocket"}},
	{pkg: "balance/proxy", std: anyStd, not: []string{"log", "log/slog"},
		own: []string{"balance", "balance/resume", "internal/limit", "internal/timeout", "websocket", "websocket/frame", "websocket/handshake", "websocket/loop", "websocket/protocol"}},
	{pkg: "certs", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"internal/freename", "internal/statedir", "internal/visible", "internal/watch"},
		other: []string{"golang.org/x/crypto", "golang.org/x/net"}},
	{pkg: "explain", std: anyStd, not: []string{"log", "log/slog"},
		own:   []string{"internal/chain", "internal/redact", "internal/socks", "internal/visible", "websocket/frame", "websocket/handshake", "websocket/protocol"},
		other: []string{"github.com/andybalholm/brotli"}, test: []string{"explain/internal/faults", "websocket", "websocket/wstest"}},
	// Servers that commit faults, for tests; gen writes the document about them.
	{pkg: "explain/internal/faults", std: anyStd, own: []string{"explain", "websocket"}, other: []string{"github.com/andybalholm/brotli"}},
	{pkg: "explain/internal/faults/gen", std: anyStd, own: []string{"explain/internal/faults"}},
	{pkg: "config", std: anyStd, not: []string{"log", "net/http"}, own: []string{"config/internal/tree", "internal/redact", "internal/watch"},
		test: []string{"github.com/goccy/go-yaml", "github.com/santhosh-tekuri/jsonschema/v6", "internal/bounded"}},
	// The configuration engine does not know any of the keys.
	{pkg: "config/internal/tree", std: anyStd, not: []string{"log", "net", "net/http"}, own: []string{"internal/redact"},
		other: []string{"github.com/goccy/go-yaml"}},
	{pkg: "console", std: anyStd, not: []string{"log", "log/slog"}, own: []string{"client/js"}},
	{pkg: "client/js", std: []string{"embed"}},
	{pkg: "observe", std: anyStd, own: []string{"internal/visible"}, other: []string{"github.com/prometheus/client_golang"}},
	{pkg: "gateway/...", std: anyStd, own: []string{"auth", "auth/redisstore", "balance", "balance/proxy", "balance/resume", "hub/natsengine", "internal/redact", "internal/watch", "centrifugo", "certs", "channels", "channels/wire", "config", "console", "gateway/...", "hub", "hub/redisengine",
		"internal/cors", "internal/limit", "internal/nextstep", "internal/redisurl", "internal/statedir", "internal/timeout", "internal/visible", "observe", "pusher", "streams", "webhook", "websocket", "websocket/handshake", "websocket/protocol"}, test: []string{"internal/libhints", "internal/redistest", "websocket/wstest"}},
	{pkg: "cli", std: anyStd, own: []string{"auth", "certs", "channels/wire", "client", "config", "explain", "gateway", "internal/chain",
		"internal/freename", "internal/limit", "internal/nextstep", "internal/redact", "internal/socks", "internal/visible", "observe", "websocket", "websocket/handshake", "websocket/protocol", "websocket/reconnect"},
		other: []string{"github.com/golang-jwt/jwt/v5", "github.com/smallstep/truststore", "github.com/spf13/cobra", "github.com/spf13/pflag",
			"golang.org/x/sys", "golang.org/x/term"}, test: []string{"internal/libhints", "internal/pty", "websocket/frame", "websocket/wstest"}},
	{pkg: "cmd/handfast", std: anyStd, own: []string{"cli"}},

	// Starter programs, as a user would write them.
	{pkg: "examples/...", std: anyStd, own: []string{"channels", "channels/wire", "examples/internal/site", "hub", "hub/natsengine", "streams", "websocket"},
		test: []string{"client", "examples/internal/sitetest", "internal/bounded"}},
	{pkg: "examples/internal/site", std: anyStd, own: []string{"client/js"}, test: []string{"internal/bounded"}},
	{pkg: "examples/internal/sitetest", std: anyStd, own: []string{"examples/internal/site", "internal/bounded"}},

	// The repository's own tests and helpers.
	{pkg: ".", std: anyStd},
	{pkg: "internal/bounded", std: anyStd, other: []string{"go.uber.org/goleak"}}, // used only by tests
	{pkg: "internal/pty", std: anyStd, other: []string{"golang.org/x/sys"}},       // used only by tests
	{pkg: "internal/freeport", std: anyStd},                                       // used only by tests
	{pkg: "internal/redistest", std: anyStd, own: []string{"internal/freeport"}},  // used only by tests
	{pkg: "internal/transcript", std: anyStd},                                     // used only by tests
	{pkg: "internal/rfctable", std: anyStd},
	{pkg: "internal/recent", std: anyStd, not: []string{"log", "log/slog", "net", "os"}, own: []string{"hub"}},
	{pkg: "internal/replies", std: anyStd, not: []string{"log", "log/slog", "net", "os"}, own: []string{"websocket"}},
	{pkg: "internal/statedir", std: anyStd, not: []string{"log", "log/slog"}},
	{pkg: "internal/timeout", std: []string{"context", "sync", "time"}, test: []string{"internal/bounded"}},
	{pkg: "internal/cors", std: anyStd, not: effects},
	{pkg: "internal/redisurl", std: anyStd, other: []string{"github.com/redis/rueidis"}},
	{pkg: "internal/limit", std: anyStd, not: []string{"log", "log/slog"}},
	{pkg: "internal/redact", std: append([]string{"html", "net/url", "regexp", "unicode/utf16"}, pureStd...)},
	{pkg: "internal/nextstep", std: []string{"errors"}, test: []string{"certs", "config", "gateway", "websocket", "websocket/handshake"}},
	{pkg: "internal/chain", std: anyStd, not: []string{"net", "os", "sync", "context", "log"}},
	{pkg: "internal/freename", std: anyStd, not: []string{"log", "log/slog"}},
	{pkg: "internal/socks", std: anyStd, not: []string{"log", "log/slog"}, other: []string{"golang.org/x/net"}},
	{pkg: "internal/visible", std: pureStd},
	{pkg: "internal/watch", std: anyStd, not: []string{"log", "log/slog"}, other: []string{"github.com/fsnotify/fsnotify"}},
	{pkg: "internal/mutate", std: anyStd},
	{pkg: "internal/treeproxy", std: anyStd},
	{pkg: "internal/manpages", std: anyStd, own: []string{"cli"}, other: []string{"github.com/spf13/cobra"}},
	{pkg: "internal/natstest", std: anyStd, other: []string{"github.com/nats-io/nats-server/v2"}}, // used only by tests
	{pkg: "internal/crosscheck", std: anyStd},
	{pkg: "internal/libhints", std: anyStd}, // used only by tests
	{pkg: "internal/rfctable/gen", std: anyStd, own: []string{"internal/rfctable"}},
	{pkg: "e2e/...", std: anyStd, own: []string{"websocket", "websocket/frame", "websocket/handshake", "certs", "gateway", "cli"},
		test: []string{"client", "e2e/internal/...", "internal/bounded", "internal/natstest", "internal/pty", "internal/redistest", "github.com/goccy/go-yaml", "golang.org/x/sys", "webhook", "websocket/reconnect"}},
	// The end-to-end tests share these helpers, which run the binary and a browser.
	{pkg: "e2e/internal/harness", std: anyStd, own: []string{"internal/bounded", "internal/freeport"}, other: []string{"go.uber.org/goleak"}},
	{pkg: "e2e/internal/chromium", std: anyStd},
	// The tests of this module use a real CA. The module is never published.
	{pkg: "e2e/acme", std: anyStd, own: []string{"certs"},
		test: []string{"e2e/internal/harness", "github.com/letsencrypt/challtestsrv", "github.com/letsencrypt/pebble/v2"}},
	// The tests of this module use Centrifugo's Go SDK. The module is never published.
	{pkg: "e2e/gosdk", test: []string{"e2e/internal/harness", "internal/redistest", "github.com/centrifugal/centrifuge", "github.com/centrifugal/centrifuge-go"}},
	// Peers and load generators of all kinds; none of them is published.
	{pkg: "bench/...", std: anyStd, own: []string{"websocket", "websocket/frame", "websocket/protocol", "bench/..."},
		other: []string{"github.com/centrifugal/centrifuge", "github.com/coder/websocket", "github.com/fasthttp/websocket", "github.com/gobwas/httphead",
			"github.com/gobwas/ws", "github.com/gorilla/websocket", "github.com/lesismal/nbio", "github.com/lxzan/gws",
			"github.com/valyala/fasthttp", "golang.org/x/net", "golang.org/x/sys"},
		test: []string{"github.com/gin-gonic/gin", "github.com/go-chi/chi/v5", "github.com/gofiber/fiber/v2", "github.com/labstack/echo/v4",
			"websocket/loop", "websocket/netconn", "websocket/protocol", "websocket/wsjson", "websocket/wstest"}},
}

// testModules contains the modules that any test outside the library may import. They find leaked goroutines and check connections.
var testModules = []string{"go.uber.org/goleak", "golang.org/x/net/nettest"}

// listed is the output of go list for a package.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// goList runs go list for the packages of all modules.
func goList(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-tags=e2e", "-json=ImportPath,Imports,TestImports,XTestImports",
		"./...", "./websocket/...", "./bench/...", "./e2e/acme/...", "./e2e/gosdk/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

// relative returns an import path of this repository in the notation of the table, and reports whether the path is in this
// repository.
func relative(importPath string) (string, bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

// standard reports whether an import path belongs to the standard library: its first element has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// covers reports whether a name in the table matches a package or module path.
func covers(name, pkg string) bool {
	if below, ok := strings.CutSuffix(name, "/..."); ok {
		return pkg == below || strings.HasPrefix(pkg, below+"/")
	}
	return name == pkg
}

// ruleFor returns the rule for a package: a rule that names it takes precedence over one that covers it.
func ruleFor(pkg string) (rule, bool) {
	if i := slices.IndexFunc(rules, func(r rule) bool { return r.pkg == pkg }); i >= 0 {
		return rules[i], true
	}
	if i := slices.IndexFunc(rules, func(r rule) bool { return covers(r.pkg, pkg) }); i >= 0 {
		return rules[i], true
	}
	return rule{}, false
}

// allows reports whether r lets its package import importPath.
func (r rule) allows(importPath string) bool {
	if own, ok := relative(importPath); ok {
		return slices.ContainsFunc(r.own, func(name string) bool { return covers(name, own) })
	}
	if standard(importPath) {
		if slices.Contains(r.not, importPath) {
			return false
		}
		return slices.Contains(r.std, "*") || slices.Contains(r.std, importPath)
	}
	return slices.ContainsFunc(r.other, func(module string) bool { return covers(module+"/...", importPath) })
}

// allowsInTests reports whether r lets its package's tests import importPath, in addition to the package's own imports.
func (r rule) allowsInTests(importPath string) bool {
	library := covers("websocket/...", r.pkg)
	own, ok := relative(importPath)
	switch {
	case ok && own == strings.TrimSuffix(r.pkg, "/..."), standard(importPath):
		return true
	case ok && library && (own == "websocket/internal/leak" || own == "websocket/internal/bounded" || own == "websocket/internal/allocs"):
		return true
	case ok && !library && own == "internal/bounded":
		return true
	case !ok && !library && slices.ContainsFunc(testModules, func(m string) bool { return covers(m+"/...", importPath) }):
		return true
	case ok:
		return slices.ContainsFunc(r.test, func(name string) bool { return covers(name, own) })
	}
	return slices.ContainsFunc(r.test, func(m string) bool { return covers(m+"/...", importPath) })
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range goList(t) {
		pkg, ok := relative(p.ImportPath)
		if !ok {
			t.Errorf("%s is not below %s", p.ImportPath, modulePath)
			continue
		}
		r, ok := ruleFor(pkg)
		if !ok {
			t.Errorf("package %s has no row in the table of deps_test.go: add what it may import", pkg)
			continue
		}
		for _, imp := range p.Imports {
			if !r.allows(imp) {
				t.Errorf("package %s must not import %s", pkg, imp)
			}
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if !r.allows(imp) && !r.allowsInTests(imp) {
				t.Errorf("the tests of package %s must not import %s", pkg, imp)
			}
		}
	}
}

// The library is a module without requirements, so that its users' module graph contains only the library.
func TestLibraryRequiresNothing(t *testing.T) {
	mod := requirements(t, "websocket/go.mod")
	if len(mod) != 0 {
		t.Errorf("websocket/go.mod requires %v", mod)
	}
	if _, err := os.Stat("websocket/go.sum"); err == nil {
		t.Error("websocket has a go.sum, so it requires a module")
	}
}

// Every module that the product requires is documented: what it replaces and what it costs.
func TestDependenciesAreExplained(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Dependencies")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no section on dependencies")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range requirements(t, "go.mod") {
		if m != modulePath+"/websocket" && !strings.Contains(section, "`"+strings.TrimPrefix(m, "github.com/")+"`") {
			t.Errorf("ARCHITECTURE.md does not explain what %s replaces and costs", m)
		}
	}
}

// requirements returns the modules that a go.mod requires directly.
func requirements(t *testing.T, file string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", path.Base(file))
	cmd.Dir = path.Dir(file)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range mod.Require {
		if !r.Indirect {
			paths = append(paths, r.Path)
		}
	}
	return paths
}
