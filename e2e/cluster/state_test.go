//go:build e2e

package cluster

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/house"
	"github.com/handfast/handfast/internal/redistest"
)

// Each node logs that its engine works, that it does not when what the nodes share is away, and that it works again.
func TestLogOfTheEngine(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			c := startCluster(t, e.start, nil)
			read := map[*node]int{} // how much of its log, in bytes
			logged := func(text string) {
				t.Helper()
				for _, n := range c.nodes {
					house.Until(t, n.address+" logs "+text, func() bool { return strings.Contains(n.server.Log.String()[read[n]:], text) })
					read[n] = len(n.server.Log.String())
				}
			}
			logged("the engine of channels is ready")
			if c.restart == nil {
				return // it is away when the node is
			}
			c.restart(t, func() { logged("trouble with the engine of channels") })
			logged("the engine of channels is ready")
			for _, n := range c.nodes {
				if text := n.server.Log.String(); strings.Contains(text, redistest.Password) {
					t.Errorf("a password is in the log:\n%s", text)
				}
			}
		})
	}
}
