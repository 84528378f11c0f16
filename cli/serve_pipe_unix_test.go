//go:build unix

package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A configuration that a shell passes with <(…) can be read only once. Flags must not make the server read it again: the second
// time it would be empty, and the server would be open to all clients.
func TestServeConfigFromPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("endpoints: [{name: only, path: /only, target: echo, auth: [anonymous]}]\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	f := serveFlags{
		config: fmt.Sprintf("/dev/fd/%d", r.Fd()), listen: []string{"127.0.0.1:0"}, admin: "127.0.0.1:0",
		tls: choice{value: "off"}, log: choice{value: "json"},
		given: func(flag string) bool { return flag == "listen" || flag == "admin" || flag == "log" || flag == "tls" },
	}
	c, err := f.load(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Endpoints) != 1 || c.Endpoints[0].Name != "only" || c.Log.Format != "json" || c.Listen[0].Address != "127.0.0.1:0" {
		t.Errorf("got %+v", c.Endpoints)
	}
	// When it is read again, as on SIGHUP, it is empty, which must be an error: the defaults must not be used.
	if c, err := f.load(nil); err == nil || !strings.Contains(err.Error(), "pipe") {
		t.Errorf("the second time: %+v, %v", c, err)
	}
}
