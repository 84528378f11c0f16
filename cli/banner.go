package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/handfast/handfast/gateway"
)

// banner tells where the server is, and how to try it.
func banner(sys *System, server *gateway.Server) {
	p := newPaint(sys, sys.Stdout)
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "  %s %s\n", p.dim(fmt.Sprintf("%-8s", name)), value) }
	fmt.Fprintln(&b, p.bold("handfast is serving"))
	for _, base := range server.URLs() {
		row("page", base+"/")
		row("echo", echoURL(base))
	}
	exe, _ := os.Executable() // without a path it is called by its name
	try := fmt.Sprintf("%s dial %s", program(exe, sys.Program), echoURL(server.URLs()[0]))
	curl := fmt.Sprintf("curl %s/", server.URLs()[0])
	if dev := server.Dev(); dev != nil {
		row("CA", dev.CAFile())
		row("is for", printable(strings.Join(dev.Names(), ", ")))
		if dev.Left() != "" {
			fmt.Fprintln(&b, leftOut(dev.Left()))
		}
		curl = fmt.Sprintf("curl --cacert %s %s/", shellQuote(dev.CAFile()), server.URLs()[0])
	}
	row("try", p.green(try))
	row("", curl)
	fmt.Fprintln(&b, p.dim("Ctrl-C stops it"))
	fmt.Fprint(sys.Stdout, b.String())
}

// echoURL returns the WebSocket URL of the echo: "wss://localhost:8443/echo".
func echoURL(base string) string { return "ws" + strings.TrimPrefix(base, "http") + "/echo" }

// program returns what to type to run this program again: exe is its file, arg0 what it was called.
func program(exe, arg0 string) string {
	if strings.Contains(filepath.ToSlash(exe), "/go-build") {
		return "go run ./cmd/handfast" // which builds into a directory of that name
	}
	if strings.ContainsAny(arg0, `/\`) {
		return shellQuote(arg0)
	}
	return "handfast"
}
