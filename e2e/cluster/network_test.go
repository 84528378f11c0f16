//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// network gives each node a network namespace with two interfaces: one to the clients, and one to the other nodes and the engine.
// A nil network means that all processes use the loopback interface.
type network struct{}

// lan creates the network of the long form. It returns nil for the short form, and if the tests do not run as root.
func lan(t *testing.T) *network {
	t.Helper()
	if !*drill {
		return nil
	}
	if os.Getuid() != 0 {
		t.Log("not root: no network is cut")
		return nil
	}
	var l *network = &network{}
	l.remove()
	t.Cleanup(l.remove)
	for i, bridge := range []string{"hfclients", "hfengine"} {
		ip(t, "link", "add", bridge, "type", "bridge")
		ip(t, "addr", "add", fmt.Sprintf("10.%d.0.100/24", 77+i), "dev", bridge)
		ip(t, "link", "set", bridge, "up")
	}
	for n := range 3 {
		ip(t, "netns", "add", namespaceName(n))
		ip(t, "-n", namespaceName(n), "link", "set", "lo", "up")
		for i, bridge := range []string{"hfclients", "hfengine"} {
			here, there := fmt.Sprintf("hf%d-%d", i, n), fmt.Sprintf("eth%d", i)
			ip(t, "link", "add", here, "type", "veth", "peer", "name", there, "netns", namespaceName(n))
			ip(t, "link", "set", here, "master", bridge, "up")
			ip(t, "-n", namespaceName(n), "addr", "add", fmt.Sprintf("10.%d.0.%d/24", 77+i, n+1), "dev", there)
			ip(t, "-n", namespaceName(n), "link", "set", there, "up")
		}
	}
	return l
}

func namespaceName(node int) string { return fmt.Sprintf("handfast-%d", node) }

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %q: %v\n%s", args, err, out)
	}
}

// remove removes the networks and namespaces that lan creates, if they exist.
func (*network) remove() {
	for n := range 3 {
		_ = exec.Command("ip", "netns", "del", namespaceName(n)).Run()
		for i := range 2 {
			_ = exec.Command("ip", "link", "del", fmt.Sprintf("hf%d-%d", i, n)).Run()
		}
	}
	_ = exec.Command("ip", "link", "del", "hfclients").Run()
	_ = exec.Command("ip", "link", "del", "hfengine").Run()
}

// host returns the address of a node for clients.
func (l *network) host(node int) string {
	if l == nil {
		return "127.0.0.1"
	}
	return fmt.Sprintf("10.77.0.%d", node+1)
}

// peer returns the address of a node for the other nodes.
func (l *network) peer(node int) string {
	if l == nil {
		return "127.0.0.1"
	}
	return fmt.Sprintf("10.78.0.%d", node+1)
}

// engineHost returns the address of the engine's process.
func (l *network) engineHost() string {
	if l == nil {
		return "127.0.0.1"
	}
	return "10.78.0.100"
}

// inNamespace returns the command prefix that runs a program in the namespace of a node.
func (l *network) inNamespace(node int) []string {
	if l == nil {
		return nil
	}
	return []string{"ip", "netns", "exec", namespaceName(node)}
}

// cut disconnects a node from the network of the nodes and the engine, or reconnects it.
func (l *network) cut(t *testing.T, node int, off bool) {
	t.Helper()
	state := "up"
	if off {
		state = "down"
	}
	ip(t, "link", "set", fmt.Sprintf("hf1-%d", node), state)
}
