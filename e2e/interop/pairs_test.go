//go:build e2e

package interop_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/websocket"
)

// python is Debian's interpreter, for which Debian's package python3-websockets is installed. Another interpreter may be first in PATH.
const python = "/usr/bin/python3"

// clients lists the peers' clients. Each is a process that receives the base URL of our server, runs every check, and exits.
var clients = []struct {
	name    string
	can     abilities
	command func(t *testing.T, base, ca string) (env []string, name string, args []string)
}{
	{"node-ws", abilities{fragments: true, pings: true}, func(_ *testing.T, base, ca string) ([]string, string, []string) {
		return []string{"NODE_EXTRA_CA_CERTS=" + ca}, "node", []string{"ws-client.mjs", base}
	}},
	{"node-builtin", abilities{}, func(t *testing.T, base, ca string) ([]string, string, []string) {
		return []string{"NODE_EXTRA_CA_CERTS=" + ca}, "node", append(harness.NodeWebSocket(t), "builtin-client.mjs", base)
	}},
	{"python-websockets", abilities{fragments: true, pings: true}, func(_ *testing.T, base, ca string) ([]string, string, []string) {
		args := []string{"client.py", base}
		if strings.HasPrefix(base, "wss:") {
			args = append(args, ca)
		}
		return nil, python, args
	}},
}

// servers lists the peers' servers. Each is a process that serves over TCP, or over TLS if its arguments are a certificate and a key.
var servers = []struct {
	name    string
	command []string
}{
	{"node-ws", []string{"node", "ws-server.mjs"}},
	{"python-websockets", []string{python, "server.py"}},
}

// everyVariant runs a test with every variant.
func everyVariant(t *testing.T, run func(*testing.T, variant, certificate)) {
	cert := newCertificate(t)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { run(t, v, cert) })
	}
}

func TestClientsAgainstOurServer(t *testing.T) {
	for _, client := range clients {
		t.Run(client.name, func(t *testing.T) {
			everyVariant(t, func(t *testing.T, v variant, cert certificate) {
				s := startServer(t, v, cert)
				env, name, args := client.command(t, s.base, cert.ca)
				p := startPeer(t, env, name, args...)
				compareReported(t, v, client.can, p.finish(t))
				compareSeen(t, v, client.can, s.seen())
			})
		})
	}
}

func TestOurClientAgainstServers(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			everyVariant(t, func(t *testing.T, v variant, cert certificate) {
				args := server.command[1:]
				if v.secure {
					args = append(slices.Clip(args), cert.cert, cert.key)
				}
				checkServer(t, v, cert, startPeer(t, nil, server.command[0], args...))
			})
		})
	}
}

// compareReported checks the reports of a peer's client.
func compareReported(t *testing.T, v variant, can abilities, got []line) {
	t.Helper()
	want := clientLines(v, can)
	for i, g := range got {
		if i >= len(want) {
			t.Errorf("an unexpected line: %v", g)
			continue
		}
		if g.Check == "ping-by-peer" {
			if g.RTT <= 0 {
				t.Errorf("the peer's ping took %v ms", g.RTT)
			}
			g.RTT = 0
		}
		g.Extensions = extensionName(g.Extensions)
		if g != want[i] {
			t.Errorf("the peer reports\n%v, want\n%v", g, want[i])
		}
	}
	for _, w := range want[min(len(got), len(want)):] {
		t.Errorf("the peer does not report %s", w.Check)
	}
}

// compareSeen checks our server's records of a client that ran every check.
func compareSeen(t *testing.T, v variant, can abilities, got map[string]record) {
	t.Helper()
	done := closedByPeer(websocket.CodeNormal, doneReason)
	want := map[string]websocket.CloseError{
		"echo": done, "unicode": done, "fragments-to-peer": done, "subprotocol": done, "burst": done, "ping-by-us": done,
		"close-by-peer":      closedByPeer(peerCode, peerReason),
		"close-without-code": closedByPeer(websocket.CodeNoStatus, ""),
		"close-by-us":        closedByUs(ourCode, ourReason),
	}
	if can.fragments {
		want["fragments-to-us"] = done
	}
	if can.pings {
		want["ping-by-peer"] = done
	}
	for check, end := range want {
		t.Run(check, func(t *testing.T) {
			r, ok := got[check]
			if !ok {
				t.Fatal("there was no connection")
			}
			sameEnd(t, r.err, end)
			if extensionName(r.extensions) != v.extension {
				t.Errorf("extensions %q, want %q", r.extensions, v.extension)
			}
			if check == "subprotocol" && r.subprotocol != subprotocols[0] {
				t.Errorf("subprotocol %q", r.subprotocol)
			}
			if check == "ping-by-us" && r.rtt <= 0 {
				t.Errorf("our ping took %v", r.rtt)
			}
		})
	}
	if len(got) != len(want) {
		t.Errorf("%d connections, want %d", len(got), len(want))
	}
}
