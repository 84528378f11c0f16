package explain

import (
	"fmt"
	"net/http"
	"strings"
)

// explainBadRequest adds what is known about a 400: the reason in the status line, and whether the upgrade reached the server.
func explainBadRequest(r *Report, f Finding, d *Diagnosis) {
	switch {
	case r.Response == nil:
	case requiresTLS(r.Response):
		explainProxyToTLS(r.Response, d)
		return
	case plain(r.Response.Body) == "" && customReason(r.Response) != "":
		where := "its status line"
		if r.Response.Value(rejectReason) != "" {
			where = rejectReason
		}
		d.Cause = fmt.Sprintf("The server answers with 400, and gives the reason in %s: %s.", where, quote(customReason(r.Response)))
		if requiresSubprotocol(customReason(r.Response)) {
			d.ForClient = []string{"Offer the subprotocol that the server speaks: --subprotocol NAME"}
		}
	case statusOnly(r.Response) && upgradeUnseen(r):
		d.Cause = "The server answers with 400 and gives no reason, with and without Upgrade: the Upgrade header may have been lost on the way, or the " +
			"server rejects something else in the request."
		d.ForOwner = append(d.ForOwner, "A server that does not expect the PROXY protocol also answers this way to a proxy that sends it (send-proxy).")
	case statusOnly(r.Response) && upgradeArrived(r):
		d.Cause = fmt.Sprintf("The server answers the handshake with 400 and gives no reason. Most likely the upgrade request reached it: "+
			"without Upgrade it answers with %d.", r.WithoutUpgrade)
		suspectPath(d)
	case statusOnly(r.Response) && r.Response.Value("Content-Type") == "text/html" && r.Response.Value("Content-Length") == "11":
		d.Cause = "The server answers with 400 and gives no reason, with the headers that Node's ws sends for any path but its own."
		suspectPath(d)
	}
	suspectProxy(r, f, d)
}

// suspectPath adds the path as the first suspect of a 400 without a reason.
func suspectPath(d *Diagnosis) {
	d.ForOwner = append([]string{"Check the path that the WebSocket server listens on: Node's ws responds this way on any path but its own.",
		oneUpgradeListener}, d.ForOwner...)
	d.ForClient = []string{"Check the path first, then the query, the subprotocols and the other headers."}
}

// oneUpgradeListener is about several servers of Node's ws that are attached to one HTTP server: each of them receives every upgrade.
const oneUpgradeListener = "In Node, several WebSocketServer objects on one HTTP server reject each other's paths: create them with noServer: true, and choose " +
	"by path in one listener for upgrade."

// explainProxyToTLS explains a response about plain HTTP on a port for TLS, if the port of the URL does not expect TLS: the response is
// then about the connection of a proxy.
func explainProxyToTLS(a *Response, d *Diagnosis) {
	steps := []string{"Configure the proxy to speak TLS to the server, or to use a port for plain HTTP. nginx, HAProxy:", "    proxy_pass https://backend;",
		"    server one backend:8443 ssl verify required ca-file ca.pem"}
	if tlsRequiredPage.MatchString(plain(a.Body)) {
		d.Cause = "A proxy on the path speaks plain HTTP to a server that expects TLS: the response says so, and the port of the URL is not the one that expects TLS."
		d.ForOwner, d.ForClient = steps, []string{"Only the server's owner can fix this."}
		return
	}
	d.Cause = "The response mentions plain HTTP on a port that expects TLS: a proxy on the path may speak plain HTTP to a server that expects TLS, or the page may only quote that message."
	d.ForOwner = append([]string{"The proof is in the log of the server behind the proxy: a request without TLS on its port for TLS, at that time. In that case:"}, steps...)
}

// explainLostHeader names the header that did not reach the server.
func explainLostHeader(r *Report, _ Finding, d *Diagnosis) {
	if r.Response == nil {
		return
	}
	switch name := lostHeader(lowerText(r.Response.Body)); {
	case name != "":
		d.Cause = fmt.Sprintf("The server says that %s is missing or wrong, but the client sent it: something on the path removed or changed it, or "+
			"the server's own check is wrong.", name)
	case len(versions(r.Response)) > 0:
		d.Cause = "The upgrade request reached the server, which lists its supported versions, including 13, as if the request had a different " +
			"version or none: most likely something on the path removed or changed Sec-WebSocket-Version."
	}
	if p := productOf(r.Response); p != nil {
		d.forOwner(fmt.Sprintf("The response came through %s: look there for rules that remove or set these headers.", p.name))
	}
}

// explainEnvoy explains a 403 without a body, which Envoy itself sends for an upgrade that it does not allow.
func explainEnvoy(r *Report, d *Diagnosis) {
	if !upgradeArrived(r) {
		d.forOwner("Envoy sends a 403 without a body for an upgrade that its configuration does not allow, and for a client that its authorization " +
			"refuses. Its access log distinguishes the two. For the first:")
		d.forOwner(envoyLines...)
		return
	}
	d.Cause = fmt.Sprintf("Most likely Envoy rejects the upgrade, and not the client: it answers the same request without Upgrade with %d.",
		r.WithoutUpgrade)
	d.ForOwner = append([]string{"Allow the upgrade, in the HTTP connection manager or on the route."}, envoyLines...)
	d.ForClient = []string{"Only the server's owner can fix this."}
}

// statusMeaning is the meaning of a status that shares its fault with other statuses.
type statusMeaning struct {
	by     string // the only product that sends the status; "" if several products do
	cause  string
	clause string
	owner  []string
	client []string
}

// statusMeanings contains the meaning of each status.
var statusMeanings = map[int]statusMeaning{
	408: {cause: "The server did not receive the whole request within its time limit.", clause: "RFC 9110 §15.5.9",
		owner: []string{"Check the timeout of the server or the proxy for request headers, and whether it is overloaded.",
			"HAProxy, among others, also sends this on a connection that was opened in advance and never used."},
		client: []string{"Send the request as soon as the connection is open, and try again on a new one."}},
	413: {cause: "The server considers the request too large.", clause: "RFC 9110 §15.5.14",
		owner:  []string{"A handshake has no body: check the limits of proxies on request headers, cookies included."},
		client: []string{"Send fewer and smaller cookies and headers."}},
	414: {cause: "The server considers the URL too long.", clause: "RFC 9110 §15.5.15",
		owner:  []string{"Raise the limit on the request line, or take long values out of the query. nginx:", "    large_client_header_buffers 4 16k;"},
		client: []string{"Shorten the query: a long token belongs in a header, a cookie or the first message."}},
	421: {cause: "The server does not serve this host on this connection.", clause: "RFC 9110 §15.5.20",
		owner: []string{"Add the name in the Host header to the site that is served here; with TLS it must equal the name in the ClientHello (SNI).",
			"A proxy that connects to the server by another name must send that name in both."},
		client: []string{"Check that the URL has the host name under which the server is published."}},
	431: {cause: "The server considers the request headers too large.", clause: "RFC 6585 §5",
		owner:  []string{"Raise the limit, or set fewer and smaller cookies. nginx, Node:", "    large_client_header_buffers 4 16k;", "    node --max-http-header-size=32768"},
		client: []string{"Clear the cookies of this host, and send smaller tokens."}},
	451: {cause: "The server refuses the request for legal reasons.", clause: "RFC 7725 §3",
		owner:  []string{"Name the authority in a Link field with rel=\"blocked-by\", and the reason in the body."},
		client: []string{"The response may name the authority that demanded the block. A block often applies only to the country of the client's address."}},
	501: {cause: "The server does not know how to handle this request.", clause: "RFC 9110 §15.6.2",
		owner: []string{"Check that this server or gateway supports WebSocket at all, and that the route leads to it.",
			"In Go, coder/websocket responds this way if a middleware hides http.Hijacker."},
		client: []string{"Check the path and the port."}},
	505: {cause: "The server does not support the HTTP version of the request that it received.", clause: "RFC 9110 §15.6.6",
		owner:  []string{"The client sent HTTP/1.1: check whether a proxy forwards the request in another version. nginx:", "    proxy_http_version 1.1;"},
		client: []string{"Only the server's owner can fix this."}},
	511: {cause: "The response says that the network requires a login before it forwards anything, so it is most likely not from the server.", clause: "RFC 6585 §6",
		owner:  []string{"Nothing, unless the server's log has the request: the response is meant for networks that intercept it on the way."},
		client: []string{"Open a page over http:// in a browser, log in to the network (hotel, train, guest Wi-Fi), and try again."}},

	460: {by: "the AWS load balancer", cause: "the client closed the connection before the idle timeout of the load balancer was over",
		owner:  []string{"Compare the client's timeout with the time that the target takes to respond."},
		client: []string{"Allow more time for the response."}},
	463: {by: "the AWS load balancer", cause: "the request names more than 30 addresses in X-Forwarded-For",
		owner:  []string{"Check which proxies add addresses to X-Forwarded-For: a loop between them is common."},
		client: []string{"Send no X-Forwarded-For."}},
	464: {by: "the AWS load balancer", cause: "the protocol of the request is not compatible with the protocol version of the target group",
		owner:  []string{"Set the protocol version of the target group to HTTP1: target groups for HTTP/2 or gRPC do not support WebSocket."},
		client: []string{"Only the server's owner can fix this."}},
	561: {by: "the AWS load balancer", cause: "the identity provider returned an error when the load balancer authenticated the user",
		owner:  []string{"Check the OIDC settings of the listener rule and the log of the identity provider."},
		client: []string{"Log in on a page of this host again, then connect with its cookie."}},

	520: {by: cloudflare, cause: "the origin server returned an empty, unknown or unexpected response",
		owner: []string{"Check the origin server's log at that time for a crash, a reset, or a response head that is too large."}},
	521: {by: cloudflare, cause: "the origin server refuses connections from Cloudflare",
		owner: []string{"Check that the origin server runs and listens on the port, and allow Cloudflare's addresses in its firewall:",
			"    https://www.cloudflare.com/ips/"}},
	522: {by: cloudflare, cause: "the connection to the origin server timed out",
		owner: []string{"Check that the DNS settings have the right address, that the firewall allows Cloudflare, and that the origin server is not overloaded."}},
	523: {by: cloudflare, cause: "there is no route to the origin server",
		owner: []string{"Check the address of the origin server in the DNS settings."}},
	524: {by: cloudflare, cause: "the origin server accepted the connection but did not respond in time",
		owner: []string{"Find out what the handler waits for before it sends the 101: a handshake should take milliseconds."}},
	525: {by: cloudflare, cause: "the TLS handshake with the origin server failed",
		owner: []string{"Check that the origin server has a certificate and speaks TLS on this port, with the name (SNI) that Cloudflare sends."}},
	526: {by: cloudflare, cause: "the certificate of the origin server is not valid",
		owner: []string{"Renew the origin server's certificate, for this name and with its chain: Full (strict) accepts no other."}},
	530: {by: cloudflare, cause: "it could not resolve or reach the origin; the error 1xxx in the body gives the reason",
		owner: []string{"Look up the number 1xxx in the body: 1016 means that the origin's name does not resolve, 1033 that the tunnel is not connected."}},
}

const cloudflare = "Cloudflare"

// clauseStatus is the clause that makes clients treat an unknown status like x00 of the same class, such as 500 for 599.
const clauseStatus = "RFC 9110 §15"

// explainKnownStatus adds the meaning of a status from statusMeanings, and reports whether the meaning is known. The meaning of an
// unregistered status is certain only if the response is from the product that defines the status.
func explainKnownStatus(r *Report, d *Diagnosis) bool {
	if r.Response == nil {
		return false
	}
	m, ok := statusMeanings[r.Response.Status]
	if !ok {
		return false
	}
	d.ForOwner, d.ForClient = append([]string(nil), m.owner...), append([]string(nil), m.client...)
	if len(d.ForClient) == 0 {
		d.forClient("Try again later: only the server's owner can fix this.")
	}
	status := r.Response.Status
	switch p := productOf(r.Response); {
	case status == http.StatusNetworkAuthenticationRequired && r.TLS != nil && r.TLS.Trusted:
		d.Clause = m.clause
		d.Cause = "The response has the status of a network that requires a login (511). It came over TLS with a trusted certificate: it is from the server, or " +
			"from something that answers on its behalf."
		d.ForOwner = []string{"Check which server or proxy sends this status. For users who are not logged in, it is 401."}
	case m.by == "":
		d.Cause, d.Clause = fmt.Sprintf("%s (%d).", strings.TrimSuffix(m.cause, "."), status), m.clause
	case p != nil && p.name == m.by || m.by == cloudflare && r.Response.Value("CF-RAY") != "":
		d.Cause, d.Clause = fmt.Sprintf("According to %s (%d), %s.", m.by, status, m.cause), clauseStatus
	default:
		d.Clause = clauseStatus
		d.Cause = fmt.Sprintf("The server answered with %d, which no standard defines. %s uses it when %s; nothing else in the response shows that it comes from "+
			"there.", status, capitalize(m.by), m.cause)
	}
	return true
}

// capitalize returns s with its first letter in upper case.
func capitalize(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// uncapitalize returns s with its first letter in lower case.
func uncapitalize(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// explainOtherStatus explains a status that has no separate fault.
func explainOtherStatus(r *Report, f Finding, d *Diagnosis) {
	if !explainKnownStatus(r, d) {
		nameProxy(r, f, d)
	}
}

// explainServerError explains 500 and the 5xx statuses that have no separate fault.
func explainServerError(r *Report, f Finding, d *Diagnosis) {
	switch {
	case explainKnownStatus(r, d):
		return
	case r.Response != nil && r.Response.Status > http.StatusInternalServerError:
		d.Cause = fmt.Sprintf("The server, or a proxy in front of it, failed while handling the handshake (%d).", r.Response.Status)
		d.Clause = clauseStatus
		d.ForOwner = []string{"Check the logs of the server and of each proxy for the error at that time."}
		nameProxy(r, f, d)
		return
	}
	suspectProxy(r, f, d)
}
