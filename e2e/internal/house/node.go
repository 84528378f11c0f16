package house

import (
	"os/exec"
	"strings"
	"testing"
)

// NodeWebSocket returns the flags that enable Node's WebSocket in versions before 22, where it is disabled by default.
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
