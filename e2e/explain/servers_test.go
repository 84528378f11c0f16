//go:build e2e

package explain

import (
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

//go:embed servers.py
var servers string

// python is Debian's interpreter, for which Debian's Python packages are installed.
const python = "/usr/bin/python3"

// A fault is a request to a server, with the expected result of explain.
type fault struct {
	server, packages string // the server's name in servers.py, and the modules that the server imports
	name, path       string
	args             []string
	stripped         bool   // the server is behind an HAProxy that removes Upgrade and Connection
	id, text         string // the expected diagnosis; both "" means success; only id "" means any fault
}

const origin = "https://app.example"

var faults = []fault{
	{server: "websockets", packages: "websockets", name: "the right origin", path: "/", args: []string{"--origin", origin}},
	{server: "websockets", packages: "websockets", name: "another origin", path: "/", id: "origin-refused", text: "the origin is the reason"},
	{server: "websockets", packages: "websockets", name: "no Upgrade", path: "/", args: []string{"--origin", origin}, stripped: true, id: "upgrade-stripped"},
	{server: "uvicorn", packages: "fastapi,uvicorn,websockets", name: "the right path", path: "/ws"},
	{server: "uvicorn", packages: "fastapi,uvicorn,websockets", name: "another path", path: "/other", id: "status-403", text: "there is no route for this path"},
	{server: "uvicorn", packages: "fastapi,uvicorn,websockets", name: "no Upgrade", path: "/ws", stripped: true, id: "status-404",
		text: "or the Upgrade header did not reach it"},
	{server: "uvicorn_without_library", packages: "fastapi,uvicorn", name: "no WebSocket library", path: "/ws", text: "pip install 'uvicorn[standard]'"},
	{server: "hypercorn", packages: "fastapi,hypercorn", name: "another path", path: "/other", id: "status-403", text: "there is no route for this path"},
	{server: "socketio", packages: "socketio,uvicorn,websockets", name: "the right query", path: "/socket.io/?EIO=4&transport=websocket"},
	{server: "socketio", packages: "socketio,uvicorn,websockets", name: "no query", path: "/socket.io/", id: "status-403", text: "Check the path and the query first"},
	{server: "tornado", packages: "tornado", name: "another path", path: "/other", id: "status-404", text: "the path is wrong"},
	{server: "tornado", packages: "tornado", name: "another origin", path: "/ws", args: []string{"--origin", origin}, id: "origin-refused",
		text: "accepts the same request with another origin"},
	{server: "tornado", packages: "tornado", name: "no Upgrade", path: "/ws", stripped: true, id: "upgrade-stripped"},
	{server: "aiohttp", packages: "aiohttp", name: "the right path", path: "/ws"},
	{server: "aiohttp", packages: "aiohttp", name: "no Upgrade", path: "/ws", stripped: true, id: "upgrade-stripped"},
	{server: "django", packages: "django", name: "the development server", path: "/ws/", text: "WSGI cannot carry a WebSocket"},
}

func TestServersOfPython(t *testing.T) {
	for _, f := range faults {
		t.Run(f.server+", "+f.name, func(t *testing.T) {
			if out, err := exec.Command(python, "-c", "import "+f.packages).CombinedOutput(); err != nil {
				t.Fatalf("a package of Python is missing (make setup installs them): %v\n%s", err, out)
			}
			u := harness.NewUser(t)
			port := harness.FreePort(t)
			u.Start("127.0.0.1:"+port, python, u.Write("servers.py", servers), f.server, port)
			if f.stripped {
				port = withoutUpgrade(u, port)
			}
			f.check(u, "ws://127.0.0.1:"+port+f.path)
		})
	}
}

// dial sends every line of its input to a Python echo server, and prints every reply.
func TestDialLosesNothing(t *testing.T) {
	for name, args := range map[string]string{"websockets": "/ --origin " + origin, "uvicorn": "/ws", "hypercorn": "/ws", "aiohttp": "/ws"} {
		t.Run(name, func(t *testing.T) {
			u := harness.NewUser(t)
			port := harness.FreePort(t)
			u.Start("127.0.0.1:"+port, python, u.Write("servers.py", servers), name, port)
			if got := u.Must("seq 1000 >sent && handfast dial <sent ws://127.0.0.1:" + port + args + " >got && cmp sent got && wc -l <got"); got != "1000" {
				t.Errorf("%s lines", got)
			}
		})
	}
}

// withoutUpgrade puts an HAProxy in front of a server, and returns its port.
func withoutUpgrade(u *harness.User, server string) string {
	port := harness.FreePort(u.T)
	conf := u.Write("haproxy.cfg", "defaults\n\tmode http\n\ttimeout connect 1m\n\ttimeout client 1m\n\ttimeout server 1m\nlisten ws\n\tbind 127.0.0.1:"+port+
		"\n\thttp-request del-header Upgrade\n\thttp-request del-header Connection\n\tserver one 127.0.0.1:"+server+"\n")
	u.Start("127.0.0.1:"+port, "haproxy", "-db", "-f", conf)
	return port
}

// check compares the explanation of a handshake with f.
func (f *fault) check(u *harness.User, url string) {
	u.T.Helper()
	got := u.Handfast("", append([]string{"explain", "--json", "--proxy", "none", "--timeout", "2m", "--step-timeout", "1m", url}, f.args...)...)
	var r struct {
		Opened    bool `json:"opened"`
		Diagnosis *struct {
			ID        string   `json:"id"`
			Cause     string   `json:"cause"`
			ForOwner  []string `json:"for_owner"`
			ForClient []string `json:"for_client"`
		} `json:"diagnosis"`
	}
	if err := json.Unmarshal([]byte(got.Stdout), &r); err != nil {
		u.T.Fatalf("%v: %+v", err, got)
	}
	good := f.id == "" && f.text == ""
	switch d := r.Diagnosis; {
	case good && (!r.Opened || d != nil):
		u.T.Errorf("it is accepted, and explain reports %s", got.Stdout)
	case good:
	case d == nil:
		u.T.Errorf("no diagnosis: %s", got.Stdout)
	case f.id != "" && d.ID != f.id:
		u.T.Errorf("%s, want %s: %s", d.ID, f.id, d.Cause)
	default:
		text := strings.Join(append(append([]string{d.Cause}, d.ForOwner...), d.ForClient...), "\n")
		if !strings.Contains(text, f.text) {
			u.T.Errorf("want %q in:\n%s", f.text, text)
		}
	}
}
