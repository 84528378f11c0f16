package gosdk_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

// Clients of the JavaScript SDK, with JSON and with Protobuf, stay connected while the servers with the centrifuge library drain one
// after another. The messages that they publish during the drains arrive once and in order.
func TestHeldByCentrifugeServersJavaScript(t *testing.T) {
	redis := redistest.Start(t, "")
	a, b := newOriginal(t, redis), newOriginal(t, redis)
	f := newFront(t, a, b)
	const all = 22 // 20 subscribers to two channels, and one publisher per channel
	cmd := exec.CommandContext(bounded.Context(t), "node", "../centrifugo/held.mjs", "ws://"+f.host+"/connection/websocket", "20", "10", "20")
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewReader(out)
	says := func(want string) {
		t.Helper()
		if line, err := lines.ReadString('\n'); err != nil || line != want+"\n" { // does not block: Node is killed at the time limit
			in.Close()
			_ = cmd.Wait()
			t.Fatalf("Node printed %q, %v, want %q: %s", line, err, want, &log)
		}
	}
	ask := func(line, want string) {
		t.Helper()
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
		says(want)
	}
	says("ready")
	for range 3 {
		for _, move := range [][2]*original{{a, b}, {b, a}} {
			server := url.Values{"server": {move[0].addr}}
			f.ask(http.MethodPost, "/balance/drain", server)
			f.has(move[1], all)
			ask("goes on", "goes on")
			f.ask(http.MethodDelete, "/balance/drain", server)
		}
	}
	ask("seen", `{"closed":{},"lost":0,"doubled":0}`)
}
