//go:build unix

package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A configuration that a shell passes with <(…) can be read once. Flags beside it must not have it read twice: the second
// time it would be empty, which is a server that lets everybody in.
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
	c, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Endpoints) != 1 || c.Endpoints[0].Name != "only" || c.Log.Format != "json" || c.Listen[0].Address != "127.0.0.1:0" {
		t.Errorf("got %+v", c.Endpoints)
	}
	// Read again, as on SIGHUP, it is empty: that is an error, and not a server with the defaults.
	if c, err := f.load(); err == nil || !strings.Contains(err.Error(), "pipe") {
		t.Errorf("the second time: %+v, %v", c, err)
	}
}
