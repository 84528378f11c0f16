//go:build e2e

package behave

import "testing"

// TestHeld measures the rows that use channels and held connections. It needs redis-server.
func TestHeld(t *testing.T) { observed(t, func(r row) bool { return r.held }) }
