package explain

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// A product is a proxy or a server that is often in front of other servers.
type product struct {
	name string
	// A response is from the product, or was forwarded by it, if the Server field begins with server, the Via field contains via, or
	// the body matches page, which is an error page of the product. server and via are in lower case. "" and nil match nothing.
	server, via string
	page        *regexp.Regexp
	// upgrade contains the settings with which the product forwards WebSockets.
	upgrade []string
}

// products lists the known products. A product that hides its name is not recognized.
var products = []product{
	{name: "nginx", server: "nginx", page: nginxPage("nginx"), upgrade: nginxLines},
	{name: "OpenResty (nginx)", server: "openresty", page: nginxPage("openresty"), upgrade: nginxLines},
	{name: "HAProxy", server: "haproxy", page: haproxyPage, upgrade: []string{
		"HAProxy forwards upgrades in mode http. Remove rules that change these headers, and set a timeout for tunnels:",
		"    http-request del-header Upgrade      # remove this",
		"    timeout tunnel 1h",
	}},
	{name: "Apache", server: "apache", page: apachePage, upgrade: []string{
		"Apache 2.4.47 or later, in the virtual host; before that, mod_proxy_wstunnel and a ws:// URL:",
		`    ProxyPass "/ws" "http://backend:8080/ws" upgrade=websocket`,
		`    ProxyPass "/ws" "ws://backend:8080/ws"`,
	}},
	{name: "Caddy", server: "caddy", via: "caddy", upgrade: []string{
		"Caddy forwards upgrades with reverse_proxy alone. Remove what deletes or sets these headers:",
		"    reverse_proxy backend:8080",
		"    header_up -Upgrade      # remove this, and header_up Connection",
	}},
	{name: "the AWS load balancer", server: "awselb", upgrade: []string{
		"An ALB forwards upgrades only to target groups for HTTP/1.1, not to those for HTTP/2 or gRPC: check the target group's protocol version.",
		"If the ALB is configured correctly, the cause is behind it.",
	}},
	{name: "CloudFront", server: "cloudfront", via: "cloudfront", upgrade: []string{
		"In CloudFront, use the origin request policy AllViewer, so that the Sec-WebSocket headers reach the origin.",
	}},
	{name: "Cloudflare", server: "cloudflare", upgrade: []string{
		"In Cloudflare's dashboard, enable WebSockets under Network. If they are enabled, the cause is behind Cloudflare.",
	}},
	{name: "Envoy", server: "envoy", upgrade: envoyLines},
	{name: "Envoy (Istio)", server: "istio-envoy", upgrade: envoyLines},
	{name: "IIS", server: "microsoft-iis", upgrade: []string{
		"Install IIS's WebSocket protocol feature, and restart IIS:",
		"    Enable-WindowsOptionalFeature -Online -FeatureName IIS-WebSockets",
	}},
	{name: "Varnish", server: "varnish", via: "varnish", page: varnishPage, upgrade: []string{
		"Varnish pipes a WebSocket when its VCL says so, with the headers copied:",
		`    sub vcl_recv { if (req.http.upgrade ~ "(?i)websocket") { return (pipe); } }`,
		"    sub vcl_pipe { set bereq.http.upgrade = req.http.upgrade; set bereq.http.connection = req.http.connection; }",
	}},
	{name: "lighttpd", server: "lighttpd", upgrade: []string{
		"lighttpd, next to proxy.server:",
		`    proxy.header = ("upgrade" => "enable")`,
	}},
	{name: "H2O", server: "h2o", upgrade: []string{
		"H2O, next to proxy.reverse.url:",
		"    proxy.websocket: ON",
	}},
	{name: "Squid", server: "squid", via: "squid", page: squidPage, upgrade: []string{
		"Squid 5 and later forward upgrades if the configuration says so:",
		"    http_upgrade_request_protocols websocket allow all",
	}},
	{name: "Google's front end", server: "google frontend", via: "1.1 google", upgrade: []string{
		"Check that the backend service speaks HTTP/1.1 and not HTTP/2: only HTTP/1.1 carries an upgrade.",
	}},
}

var nginxLines = []string{
	"nginx, in the location of the WebSocket, next to proxy_pass:",
	"    proxy_http_version 1.1;",
	"    proxy_set_header Upgrade $http_upgrade;",
	`    proxy_set_header Connection "upgrade";`,
}

var envoyLines = []string{
	"Envoy, in the HTTP connection manager:",
	"    upgrade_configs: [{ upgrade_type: websocket }]",
}

// productOf returns the product that sent or forwarded a response, or nil if the product is not known.
func productOf(a *Response) *product {
	if a == nil {
		return nil
	}
	server, via := strings.ToLower(a.Value("Server")), strings.ToLower(strings.Join(a.Values("Via"), ","))
	for i, p := range products {
		if strings.HasPrefix(server, p.server) || p.via != "" && strings.Contains(via, p.via) {
			return &products[i]
		}
	}
	for i := range products {
		if a.Status >= 400 && products[i].generated(a) {
			return &products[i]
		}
	}
	return nil
}

// generated reports whether the response is from p itself rather than from a server behind p.
func (p *product) generated(a *Response) bool {
	return p != nil && p.page != nil && p.page.MatchString(strings.TrimSpace(a.Body))
}

// Each expression matches a complete error page of a product. A page of Squid may be longer than the part of the body that is kept.
var (
	haproxyPage = regexp.MustCompile(`^<html><body><h1>\d{3} [A-Za-z -]+</h1>\s+(?:No server is available to handle this request|` +
		`The server returned an invalid or incomplete response|The server didn't respond in time|Request forbidden by administrative rules|` +
		`Your browser sent an invalid request|Your browser didn't send a complete request in time|An internal server error occurred|` +
		`You have sent too many requests in a given amount of time|You need a valid user and password to access this content|` +
		`The resource could not be found|The resource is no longer available and will not be available again|` +
		`The request entity exceeds the maximum allowed|A request was made of a resource using a request method not supported by that resource` +
		`)\.?\s+</body></html>$`)
	apachePage = regexp.MustCompile(`(?s)^<!DOCTYPE HTML PUBLIC "[^"]*"(?: "[^"]*")?>\s*<html><head>\s*<title>\d{3} [^<]*</title>\s*</head><body>\s*` +
		`<h1>[^<]*</h1>\s*<p>.*</p>\s*<hr>\s*<address>Apache\S*(?: \([^<)]*\))? Server at \S+ Port \d+</address>\s*</body></html>$`)
	varnishPage = regexp.MustCompile(`(?s)^<!DOCTYPE html>\s*<html>\s*<head>\s*<title>\d{3} [^<]*</title>\s*</head>\s*<body>\s*<h1>Error \d{3} [^<]*</h1>\s*` +
		`<p>[^<]*</p>\s*<h3>Guru Meditation:</h3>\s*<p>XID: \d+</p>\s*<hr>\s*<p>Varnish cache server</p>\s*</body>\s*</html>$`)
	squidPage = regexp.MustCompile(`(?s)^<!DOCTYPE html PUBLIC .*<title>ERROR: [^<]*</title>.*<p>Generated [^<]* by \S+ \(squid(?:/[\w.]+)?\)</p>\s*` +
		`<!-- ERR_\w+ -->\s*</div>\s*</body></html>$`)
)

// nginxPage returns an expression that matches an error page of nginx or of a server derived from nginx. The name in the page's last line
// must match the pattern name.
func nginxPage(name string) *regexp.Regexp { return nginxPageOf(`[^<]*`, name) }

// nginxPageOf is like nginxPage, for a page with the given text.
func nginxPageOf(text, name string) *regexp.Regexp {
	return regexp.MustCompile(`^<html>\s*<head><title>\d{3} ` + text + `</title></head>\s*<body[^>]*>\s*<center><h1>\d{3} [^<]*</h1></center>\s*` +
		`(?:<center>` + text + `</center>\s*)?<hr(?:/>Powered by Tengine<hr)?><center>` + name + `(?:/[\w.]+)?(?: \([^<)]*\))?</center>\s*</body>\s*</html>` +
		`(?:\s*<!--[^>]*-->)*$`)
}

// nameProxy adds the product that sent or forwarded the response.
func nameProxy(r *Report, _ Finding, d *Diagnosis) {
	p := productOf(r.Response)
	switch {
	case p == nil:
	case p.generated(r.Response):
		d.forOwner(fmt.Sprintf("The response is an error page of %s itself: its error log has the reason.", p.name))
	default:
		d.forOwner(fmt.Sprintf("The response came through %s: check its error log, and that of the server behind it.", p.name))
	}
}

// suspectProxy adds the settings that forward an upgrade, if a known product forwarded the response and the upgrade may not have arrived.
func suspectProxy(r *Report, f Finding, d *Diagnosis) {
	otherClause(r, d)
	p := productOf(r.Response)
	if p == nil || p.generated(r.Response) {
		nameProxy(r, f, d)
		return
	}
	if upgradeArrived(r) {
		d.ForOwner = slices.DeleteFunc(d.ForOwner, func(s string) bool { return strings.Contains(s, "Upgrade") })
		d.forOwner(fmt.Sprintf("The response came through %s, which most likely forwards the upgrade: the same request without Upgrade is answered with another "+
			"status, %d.", p.name, r.WithoutUpgrade))
		d.Cause = strings.Replace(d.Cause, ", or "+lostUpgrade, "", 1)
		return
	}
	d.forOwner(fmt.Sprintf("The response came through %s. If the path is correct, make it forward the upgrade:", p.name))
	d.forOwner(p.upgrade...)
	notForwarded := p.name + " in front of it does not forward the Upgrade and Connection headers"
	if strings.Contains(d.Cause, lostUpgrade) {
		d.Cause = strings.Replace(d.Cause, lostUpgrade, notForwarded, 1)
		return
	}
	d.Cause = strings.TrimSuffix(d.Cause, ".") + "; or " + notForwarded + "."
}

// lostUpgrade is the part of a cause that suspectProxy replaces with the name of the proxy, or removes.
const lostUpgrade = "the Upgrade header was lost on the way"

// explainStripped names the proxy and the settings with which it forwards the upgrade. If the proxy is not known, it adds the settings of
// common proxies.
func explainStripped(r *Report, _ Finding, d *Diagnosis) {
	if p := productOf(r.Response); p != nil {
		d.Cause = fmt.Sprintf("The server did not receive an upgrade request. Most likely %s in front of it did not forward the Upgrade and "+
			"Connection headers, which a proxy does only if it is configured to.", p.name)
		d.ForOwner = append([]string(nil), p.upgrade...)
	}
	switch {
	case r.Response == nil:
	case reportsMissingUpgrade(r.Response):
		d.Cause = strings.Replace(d.Cause, "The server did not receive", "The server says that it did not receive", 1)
	case !reportsMissingUpgrade(r.Response):
		d.Cause = strings.Replace(d.Cause, "The server did not receive", "The server answers as if it did not receive", 1)
		if upgradeUnseen(r) {
			d.forOwner("The same request without Upgrade got the same status, which is consistent with that. The request headers in the server's log prove it: " +
				"a server that gives no reason may lack Sec-WebSocket-Key or Sec-WebSocket-Version instead.")
		} else {
			d.forOwner("The request headers in the server's log prove it: Upgrade, Connection, Sec-WebSocket-Key, Sec-WebSocket-Version.")
		}
	}
	if productOf(r.Response) != nil {
		return
	}
	noProxy := "If there is no proxy"
	if r.Response != nil && mayBeOrigin(r.Response) {
		noProxy += " and the origin is allowed"
		d.Cause = "The server answers 426 without a reason, as if it did not receive an upgrade request: a proxy in front of it may not have forwarded the Upgrade " +
			"and Connection headers, or the server refuses the origin with this status, as Fiber does."
		d.ForClient = []string{"Try --origin with that of the page in question. If the server can also be reached directly, by another port or name, try that."}
	}
	d.forOwner(noProxy + ", the application may run on a server that cannot carry a WebSocket, or lacks its WebSocket library: gevent's WSGIServer needs " +
		"handler_class=WebSocketHandler, and gunicorn needs a worker that supports WebSockets.")
	d.forOwner("Otherwise the server's comparison is wrong: Connection is a list, such as \"keep-alive, Upgrade\", and case does not matter.")
	d.forOwner(nginxLines...)
	for _, p := range products {
		switch p.name {
		case "HAProxy", "Apache", "Caddy", "Varnish", "the AWS load balancer":
			d.forOwner(p.upgrade...)
		}
	}
}

// mayBeOrigin reports whether a response is a 426 that gives no reason: Fiber sends one for an origin that it does not allow.
func mayBeOrigin(a *Response) bool {
	return a.Status == http.StatusUpgradeRequired && !reportsMissingUpgrade(a) && productOf(a) == nil && a.Value("Sec-WebSocket-Version") == ""
}

// explainStrippedAnswer adds the settings of the proxy, if it is known, for a 101 that lacks Upgrade or Connection.
func explainStrippedAnswer(r *Report, _ Finding, d *Diagnosis) {
	if p := productOf(r.Response); p != nil {
		d.forOwner(p.upgrade...)
	}
}
