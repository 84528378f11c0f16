package harness

import (
	"os/exec"
	"strings"
	"testing"
)

// NodeWebSocket returns the flags that enable WebSocket in Node. Versions before 22 do not enable it by default.
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
