package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/visible"
)

// banner tells where the server is, and how to try it.
func banner(sys *System, server *gateway.Server) {
	p := newPaint(sys, sys.Stdout)
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "  %s %s\n", p.dim(fmt.Sprintf("%-8s", name)), value) }
	fmt.Fprintln(&b, p.bold("handfast is serving"))
	var first string // WebSocket that anybody may open
	urls := server.URLs()
	for _, base := range urls {
		if server.Console() {
			row("page", base+"/")
		}
		for _, e := range server.Endpoints() {
			url := socketURL(base, e.Path)
			if e.Plain {
				url = base + e.Path
			}
			row(visible.Text(strings.Trim(e.Name, "/")), visible.Text(url))
			if first == "" && !e.Plain && e.Anonymous && !strings.Contains(e.Path, "{") {
				first = socketURL(base, e.Path)
			}
		}
	}
	if admin := server.AdminURL(); admin != "" {
		row("admin", admin+"/")
	}
	curl := ""
	if len(urls) > 0 && server.Console() {
		curl = fmt.Sprintf("curl %s/", urls[0])
	}
	if dev := server.Dev(); dev != nil {
		row("CA", dev.CAFile())
		row("is for", visible.Text(strings.Join(dev.Names(), ", ")))
		if dev.Left() != "" {
			fmt.Fprintln(&b, leftOut(dev.Left()))
		}
		if curl != "" {
			curl = fmt.Sprintf("curl --cacert %s %s/", shellQuote(dev.CAFile()), urls[0])
		}
	}
	if app := server.DevApp(); app != nil {
		row("app", fmt.Sprintf("%s, key %s", app.ID, app.Key))
		row("secret", app.Secret.Reveal()) // for this user's own servers, on this terminal
	}
	if first != "" {
		exe, _ := os.Executable() // without a path it is called by its name
		row("try", p.green(fmt.Sprintf("%s dial %s", program(exe, sys.Program), first)))
	}
	if curl != "" {
		row("", curl)
	}
	fmt.Fprintln(&b, p.dim("Ctrl-C stops it"))
	fmt.Fprint(sys.Stdout, b.String())
}

// socketURL returns the WebSocket URL of a path: "wss://localhost:8443/echo".
func socketURL(base, path string) string { return "ws" + strings.TrimPrefix(base, "http") + path }

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
