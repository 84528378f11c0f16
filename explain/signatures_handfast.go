package explain

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// handfastSignatures contains the signatures of handfast's own responses. Their steps name the keys of handfast's configuration, and
// replace the general steps. TestExplainOfServe in package cli tests the signatures with responses of a server, except for those that
// need a second client address, a second user or a stop of the server. Bodies that are not certain are short and general: they prove that
// the response is from handfast only if the whole body and the header fields match (see fromHandfast) and no proxy hides the server.
var handfastSignatures = []signature{
	{
		name: "handfast, another host", status: 421, certain: true,
		body:   refusedAs("421 Misdirected Request", `This was refused: this listener is not for that host\.\nNext step: .*`),
		cause:  "The listener of handfast does not serve the host name of the request (421).",
		owner:  []string{"Add the name to the hosts of the listener in handfast's configuration:", "    hosts: [ws.example.com]"},
		client: []string{"Check that the URL has the host name under which the server is published."},
	},
	{
		name: "handfast, no endpoint", status: 404, certain: true,
		body:   refusedAs("404 Not Found", `There is no endpoint and no page at this path\.\nNext step: .*`),
		cause:  "handfast has no endpoint at this path for this host.",
		owner:  []string{"Compare the path with the path of each entry of endpoints in handfast's configuration, and the host with its hosts."},
		client: []string{"Check the path, including its case and a trailing slash, and the host name."},
	},
	{
		name: "handfast, a page", status: 404, certain: true,
		body:   refusedAs("404 Not Found", `There is a page at this path, but no WebSocket endpoint\.(?:\nNext step: .*)?`),
		cause:  "handfast has a page at this path, but no endpoint for WebSockets.",
		owner:  []string{"Compare the path with the path of each entry of endpoints in handfast's configuration, and the host with its hosts."},
		client: []string{"Check the path: the URL of a page is often not that of its WebSocket."},
	},
	{
		name: "handfast, the path", status: 400, certain: true,
		body:   refusedAs("400 Bad Request", `This was refused: the path has .*\.\nNext step: write the path without it`),
		cause:  "handfast refuses the path, which servers and proxies may interpret differently.",
		client: []string{"The body of the answer says which part of the path is refused. Write the path without that part."},
	},
	{
		name: "handfast, channels without the subprotocol", status: 400, certain: true,
		body:   regexp.MustCompile(`^The endpoint speaks the subprotocol handfast\.v1\.json only; offer it, or none\.$`),
		cause:  "The endpoint of handfast has the target channels, whose subprotocol is handfast.v1.json, and the client offered only others.",
		owner:  []string{"If these clients speak another protocol, give them an endpoint with another target, such as pusher, centrifugo or balance."},
		client: []string{"Offer this subprotocol, or none:", "    --subprotocol handfast.v1.json"},
	},
	{
		name: "handfast, centrifugo without a subprotocol", status: 400, certain: true,
		body:   regexp.MustCompile(`^The endpoint speaks the subprotocols centrifuge-protobuf and centrifuge-json only; offer one of them, or none\.$`),
		cause:  "The endpoint of handfast has the target centrifugo, and the client offered only other subprotocols.",
		owner:  []string{"If these clients speak another protocol, give them an endpoint with another target, such as channels, pusher or balance."},
		client: []string{"Offer the subprotocol of Centrifugo's protocol, or none:", "    --subprotocol centrifuge-json"},
	},
	{
		name: "handfast, streams", status: 400, certain: true,
		body:   exactly("The endpoint serves streams over plain HTTP; channels over WebSocket are at another endpoint."),
		cause:  "The endpoint of handfast has the target streams, which is served over plain HTTP and has no WebSocket.",
		owner:  []string{"For WebSockets, add an endpoint with the target channels: it has the same channels."},
		client: []string{"Read a stream with a GET of this URL over https:// or http://, or use the URL of an endpoint for channels."},
	},
	{
		name: "handfast, credentials", status: 401, body: exactly("The credentials are missing or not valid."),
		owner: []string{"The key auth of the endpoint in handfast's configuration lists its authentication methods. handfast token check --config FILE says why a token is " +
			"not accepted."},
		client: []string{"Send a credential that matches the challenge."}, detail: credentialSteps,
	},
	{
		name: "handfast, rules", status: 403, body: exactly("This is not allowed."),
		cause:  "A rule in handfast's configuration denies this client the connection, or an authentication method does, such as forward.",
		owner:  []string{"The log of handfast has the reason, and names the rule if one decided. The rules are under rules of the endpoint."},
		detail: permissionSteps,
	},
	{
		name: "handfast, TLS only", status: 403, certain: true,
		body:   refusedAs("403 Forbidden", `WebSockets are served with TLS only\.\nNext step: use wss://.*`),
		cause:  "This listener of handfast only redirects pages to https; WebSockets are served by the one with TLS.",
		owner:  []string{"The key for this is redirect_https of the listener."},
		client: []string{"Use the wss:// URL in the body of the answer."},
	},
	{
		name: "handfast, handshakes", status: 429, body: exactly("There are too many handshakes from your address."),
		owner: []string{"The limit in handfast's configuration is limits.handshakes_per_second. Behind a proxy, add it to trusted_proxies, or all clients " +
			"share its address."},
		client: []string{"Wait, then reconnect with exponential backoff and jitter; look for a loop that reconnects immediately."}, detail: retryStep,
	},
	{
		name: "handfast, connections of an address", status: 429, body: exactly("There are too many connections from your address."),
		cause: "The client's address has as many connections as handfast allows it.",
		owner: []string{"The limit in handfast's configuration is limits.connections_per_address. Behind a proxy, add it to trusted_proxies, or all " +
			"clients share its address."},
		client: fewerConnections, detail: retryStep,
	},
	{
		name: "handfast, connections of a user", status: 429, body: exactly("This user has too many connections."),
		cause:  "The user has as many connections as handfast allows one user.",
		owner:  []string{"The limit in handfast's configuration is limits.connections_per_identity of the endpoint."},
		client: fewerConnections, detail: retryStep,
	},
	{
		name: "handfast, full", status: 503, body: exactly("The server has reached its limit of connections."),
		cause:  "handfast has as many connections as its configuration allows.",
		owner:  []string{"Raise limits.connections, or add a node."},
		client: tryLater, detail: retryStep,
	},
	{
		name: "handfast, an endpoint is full", status: 503, body: exactly("This endpoint has reached its limit of connections."),
		cause:  "The endpoint has as many connections as handfast's configuration allows it.",
		owner:  []string{"Raise limits.connections of the endpoint, or add a node."},
		client: tryLater, detail: retryStep,
	},
	{
		name: "handfast, a stop", status: 503, body: exactly("The server is stopping."),
		cause: "handfast is stopping, and accepts no more connections.",
		owner: []string{"The key drain in handfast's configuration sets how long this takes. The proxy in front should remove the node first: " +
			"/readyz of the admin listener reports it."},
		client: tryLater, detail: retryStep,
	},
	{
		name: "handfast, an endpoint is being replaced", status: 503, body: exactly("The endpoint is being replaced."),
		cause:  "handfast is replacing the endpoint because its configuration has changed.",
		owner:  []string{"If this lasts, the log of handfast has the reason."},
		client: tryLater, detail: retryStep,
	},
	{
		name: "handfast, no result of authentication", status: 503,
		body:   exactly("Credentials cannot be checked at the moment. Try again later."),
		cause:  "An authentication method of handfast's endpoint cannot check credentials at the moment.",
		owner:  []string{"The log of handfast has the reason. A method that uses another service, such as forward or jwks_url, needs that service."},
		client: tryLater, detail: retryStep,
	},
	{
		name: "handfast, a large head", status: 431, certain: true,
		body:   refusedAs("431 Request Header Fields Too Large", `the request's head is longer than the server accepts \(RFC 6585 §5\)\.\nNext step: .*`),
		owner:  []string{"The limit in handfast's configuration is http.max_head."},
		client: []string{"Clear the cookies of this host, and send smaller tokens."},
	},
	{
		name: "handfast, a slow head", status: 408, certain: true,
		body:   refusedAs("408 Request Timeout", `the head of the request did not arrive in time \(RFC 9110 §15\.5\.9\)\.`),
		owner:  []string{"The limit in handfast's configuration is http.head_timeout."},
		client: []string{"Send the request as soon as the connection is open, and try again on a new one."},
	},
}

var tryLater = []string{"Try again with exponential backoff and jitter."}

// handfastOriginRefused matches the response of handfast, or of its library, to a refused origin.
var handfastOriginRefused = refusedAs("403 Forbidden", `pages of the origin .* may not connect here \(RFC 6455 §10\.2\)\.(?:\nNext step: .*)?`)

// permissionSteps adds whether the request contained a credential.
func permissionSteps(r *Report, d *Diagnosis) {
	switch {
	case r.Target == nil:
	case len(r.Target.Credentials) == 0:
		d.forClient("The request had no credential: send one if only some users may connect.")
	default:
		d.forClient("The request had a credential (" + strings.Join(r.Target.Credentials, ", ") + "): its user may lack permission.")
	}
	d.forClient("Ask the operator whether this client may connect: a rule can depend on the address, the user and the request.")
}

// refusedAs returns an expression that matches a refusal by handfast whose first line is the status.
func refusedAs(status, text string) *regexp.Regexp {
	return regexp.MustCompile(`^` + status + `\n\n` + text + `$`)
}

// fromHandfast reports whether a response has the header fields of handfast's refusals, and no field that names another framework.
func fromHandfast(a *Response) bool {
	return a.Value("X-Powered-By") == "" && a.Value("X-Content-Type-Options") == "nosniff" && a.Value("Content-Type") == "text/plain; charset=utf-8"
}

// applyHandfast replaces the general cause and the general steps. If the response is not certain and was forwarded by a proxy, it may be
// from another server: the general steps for the owner are then added at the end.
func (s *signature) applyHandfast(r *Report, d *Diagnosis) {
	general := d.ForOwner
	d.Cause, d.ForOwner, d.ForClient = cmp.Or(s.cause, d.Cause), slices.Clone(s.owner), slices.Clone(s.client)
	if s.detail != nil {
		s.detail(r, d)
	}
	if s.certain || r.Response.Value("Server") == "" && r.Response.Value("Via") == "" {
		return
	}
	proxy := "a proxy"
	if p := productOf(r.Response); p != nil {
		proxy = p.name
	}
	d.Cause = fmt.Sprintf("The response names %s, and has the text and the fields of a refusal by handfast: most likely handfast is behind it. If so, %s",
		proxy, uncapitalize(d.Cause))
	for i, step := range general {
		if i == 0 {
			step = "If the server is not handfast: " + uncapitalize(step)
		}
		d.forOwner(step)
	}
}
