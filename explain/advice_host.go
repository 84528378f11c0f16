package explain

import (
	"fmt"
	"net"
	"strings"
)

// noteHostMismatch adds to the cause of a rejection that the caller has set a Host that differs from the URL.
func noteHostMismatch(r *Report, f Finding, d *Diagnosis) {
	if f.Stage != StageResponse || f.Warning || r.Target == nil || r.Target.HostHeader == "" || r.Response != nil && r.Response.FromProxy {
		return
	}
	g := r.Target
	page := ""
	steps := []string{"Omit -H Host, so that the Host and the Origin are those of the URL."}
	if _, host, ok := strings.Cut(g.Origin, "://"); ok && !strings.EqualFold(host, g.HostHeader) {
		page = fmt.Sprintf(" and the Origin is %q", g.Origin)
		steps = append(steps, "Or send the Origin of a page on the host in Host:", "    --origin "+hostOrigin(g))
	}
	d.Cause += fmt.Sprintf(" The request's Host is %q, but the URL names %q%s, which can be the reason.", g.HostHeader, urlHost(g), page)
	d.ForClient = append(steps, d.ForClient...)
}

// hostOrigin returns the origin of a page on the host in the Host field that the caller has set.
func hostOrigin(g *Target) string {
	return map[bool]string{false: "http://", true: "https://"}[g.Secure] + g.HostHeader
}

// urlHost returns the host of the URL, with the port unless it is the default port.
func urlHost(g *Target) string {
	return strings.TrimSuffix(net.JoinHostPort(g.Host, g.Port), ":"+defaultPort(g.Secure))
}

// defaultPort returns the default port of wss if secure is true, otherwise of ws.
func defaultPort(secure bool) string { return map[bool]string{false: "80", true: "443"}[secure] }
