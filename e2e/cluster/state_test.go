//go:build e2e

package cluster

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/redistest"
)

// Each node logs when its engine works, when the shared process becomes unavailable, and when the engine works again.
func TestLogOfTheEngine(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			c := startCluster(t, e.start, nil)
			read := map[*node]int{} // the length of the checked part of each node's log, in bytes
			logged := func(text string) {
				t.Helper()
				for _, n := range c.nodes {
					harness.Until(t, n.address+" logs "+text, func() bool { return strings.Contains(n.server.Log.String()[read[n]:], text) })
					read[n] = len(n.server.Log.String())
				}
			}
			logged("the engine of channels is ready")
			if c.restart == nil {
				return // the nodes share no process that can be restarted
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
