package cli

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/visible"
)

// maxBannerRows is the maximum number of applications, and of servers of a balancer, that the banner shows.
const maxBannerRows = 5

// bannerRows are the lines of a banner, each with a name and a value.
type bannerRows [][2]string

func (r *bannerRows) add(name, value string) { *r = append(*r, [2]string{name, value}) }

// print prints the rows.
func (r bannerRows) print(w io.Writer, p paint) {
	width := 8
	for _, row := range r {
		width = max(width, min(utf8.RuneCountInString(row[0]), 24))
	}
	for _, row := range r {
		fmt.Fprintf(w, "  %s %s\n", p.dim(fmt.Sprintf("%-*s", width, row[0])), row[1])
	}
}

// addApps adds the applications, and the secret of dev, the application for which the server has generated a secret. dev may be nil.
func (r *bannerRows) addApps(all []gateway.App, dev *config.App) {
	for _, app := range all[:min(len(all), maxBannerRows)] {
		r.add("app", visible.Text(fmt.Sprintf("%s, key %s", app.ID, app.Key)))
	}
	if more := len(all) - maxBannerRows; more > 0 {
		r.add("", fmt.Sprintf("and %d more", more))
	}
	if dev != nil {
		r.add("secret", dev.Secret.Reveal()) // printed only on the terminal of the user who runs the server
	}
}

// addCommands adds commands for trying the server, and a label before the first one. It ignores commands that are "".
func (r *bannerRows) addCommands(p paint, commands ...string) {
	label := "try"
	for _, c := range commands {
		switch {
		case c == "":
			continue
		case label != "":
			c = p.green(c)
		}
		r.add(label, c)
		label = ""
	}
}

// tryChannels returns commands for trying channels that are open to all clients. url is their URL, or "" if there are no such channels.
func tryChannels(run, url string) (subscribe, publish string) {
	if url == "" {
		return "", ""
	}
	flag := "--url " + url + " "
	if url == channelsURL {
		flag = ""
	}
	return run + " subscribe " + flag + "chat", run + " publish " + flag + "chat hello"
}

// addEndpoint adds the URL of an endpoint, and its servers.
func (r *bannerRows) addEndpoint(e *gateway.Endpoint, url string) {
	r.add(visible.Text(strings.Trim(e.Name, "/")), visible.Text(url))
	if len(e.Hosts) > 0 {
		r.add("host", visible.Text(strings.Join(e.Hosts, ", ")))
	}
	for _, s := range e.Servers[:min(len(e.Servers), maxBannerRows)] {
		r.add("to", visible.Text(s))
	}
	if more := len(e.Servers) - maxBannerRows; more > 0 {
		r.add("", fmt.Sprintf("and %d more", more))
	}
}

// banner shows the URLs of the server, and how to try it.
func banner(sys *System, server *gateway.Server, listen []config.Listen) {
	p := newPaint(sys, sys.Stdout)
	var b strings.Builder
	var rows bannerRows
	fmt.Fprintln(&b, p.bold("handfast is serving"))
	var first, channels string // the first WebSocket URL and the first channels URL that require no credential
	urls, addApps := server.URLs(), server.Apps()
	if !server.Console() && !slices.ContainsFunc(server.Endpoints(), func(e gateway.Endpoint) bool { return e.Path == "/" }) {
		rows.add("page", "none: the configuration does not set console: true")
	}
	for _, base := range urls {
		if server.Console() {
			rows.add("page", base+"/")
		}
		for _, e := range server.Endpoints() {
			if rest, ok := strings.CutSuffix(e.Path, "{key}"); ok && e.Keyed && len(addApps) > 0 {
				e.Path = rest + addApps[0].Key
			}
			url := socketURL(base, e.Path)
			if e.Plain {
				url = base + e.Path
			}
			rows.addEndpoint(&e, url)
			if len(e.Hosts) > 0 || strings.Contains(e.Path, "{") {
				continue // the URL without a host or a value does not reach the endpoint
			}
			if first == "" && !e.Plain && e.Servers == nil && e.Anonymous {
				first = url
			}
			if channels == "" && e.Channels {
				channels = url
			}
		}
	}
	if admin := server.AdminURL(); admin != "" {
		rows.add("admin", admin+"/")
	}
	exe, _ := os.Executable() // if this fails, program uses only arg0
	run := program(exe, sys.Program)
	dial, curl, left := "", "", ""
	if len(urls) > 0 && server.Console() {
		curl = fmt.Sprintf("curl %s/", urls[0])
	}
	if dev := server.Dev(); dev != nil {
		rows.add("CA", dev.CAFile())
		rows.add("is for", visible.Text(strings.Join(dev.Names(), ", ")))
		if dev.Left() != "" {
			left = missingHostNote(dev.Left()) + "\n"
		}
		if addr := uncovered(listen, dev.Names(), reachableAddresses()); addr != "" {
			left += fmt.Sprintf("other machines cannot verify this server as %s: the certificate does not cover that name\n"+
				"  next step: stop the server, and run: %s cert dev --new --host %s\n", addr, run, addr)
		}
		if curl != "" {
			curl = fmt.Sprintf("curl --cacert %s %s/", shellQuote(dev.CAFile()), urls[0])
		}
	}
	rows.addApps(addApps, server.DevApp())
	if first != "" {
		dial = fmt.Sprintf("%s dial %s", run, first)
	}
	subscribe, publish := tryChannels(run, channels)
	rows.addCommands(p, dial, subscribe, publish, curl)
	rows.print(&b, p)
	b.WriteString(left)
	fmt.Fprintln(&b, p.dim("Ctrl-C stops it"))
	fmt.Fprint(sys.Stdout, b.String())
}

// uncovered returns an address at which other machines reach a listener, but that the development certificate does not cover. It returns ""
// if names, the names in the certificate, already contain an address or a name for other machines. machine contains the addresses of this
// machine.
func uncovered(listen []config.Listen, names, machine []string) string {
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil && !ip.IsLoopback() || ip == nil && strings.Contains(name, ".") {
			return ""
		}
	}
	for _, l := range listen {
		ip := net.ParseIP(l.Address.Host())
		switch {
		case l.TLS.Mode != config.TLSDev:
		case l.Address.Host() == "" || ip != nil && ip.IsUnspecified():
			if len(machine) > 0 {
				return machine[0]
			}
		case ip != nil && !ip.IsLoopback():
			return ip.String()
		}
	}
	return ""
}

// reachableAddresses returns the addresses at which other machines can reach this machine.
func reachableAddresses() []string {
	var all []string
	addrs, _ := net.InterfaceAddrs() // if this fails, no addresses are returned
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			all = append(all, n.IP.String())
		}
	}
	return all
}

// socketURL returns the WebSocket URL of a path: "wss://localhost:8443/echo".
func socketURL(base, path string) string { return "ws" + strings.TrimPrefix(base, "http") + path }

// program returns the command for running this program again. exe is the program's file, and arg0 is the name by which it was called.
func program(exe, arg0 string) string {
	if strings.Contains(filepath.ToSlash(exe), "/go-build") {
		return "go run ./cmd/handfast" // go run builds programs in a directory whose name contains go-build
	}
	if strings.ContainsAny(arg0, `/\`) {
		return shellQuote(arg0)
	}
	return "handfast"
}
