package house

import (
	"os/exec"
	"strings"
	"testing"
)

// NodeWebSocket returns the flags that turn Node's WebSocket on where it is not there by default, before Node 22.
func NodeWebSocket(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "node", "--print", "typeof WebSocket").Output()
	if err != nil {
		t.Fatalf("node is missing: %v", err)
	}
	if strings.TrimSpace(string(out)) == "undefined" {
		return []string{"--experimental-websocket"}
	}
	return nil
}
