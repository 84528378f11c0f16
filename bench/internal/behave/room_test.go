//go:build e2e

package behave

import "testing"

// The rows with channels, which need redis-server.
func TestHeld(t *testing.T) { observed(t, func(r row) bool { return r.held }) }
