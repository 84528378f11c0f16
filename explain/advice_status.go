package explain

// statusAdvice explains HTTP responses other than 101, except for those in refusalAdvice.
var statusAdvice = []explanation{
	{
		fault: FaultStatus200, clause: "RFC 6455 §4.1",
		cause: "The server sent an ordinary response instead of switching protocols: there is no WebSocket at this path, the " +
			"upgrade request did not reach the WebSocket handler, or the handler responded before it upgraded.",
		owner: []string{
			"Check that the WebSocket handler is registered at exactly this path, and before any catch-all route for pages.",
			"If the path is right, a proxy in front may have removed the Upgrade and Connection headers, or the handler wrote a response or failed before it upgraded: check its log.",
		},
		client: []string{"Check the path: an application's page and its WebSocket have different paths, such as / and /ws."},
		detail: suspectProxy,
	},
	{
		fault: FaultStatus301, clause: "RFC 9110 §15.4.2",
		cause: "The server says that the resource has moved permanently; browsers do not follow redirects for a WebSocket.",
		owner: []string{"Exempt the WebSocket's path from the redirect, or publish the URL to which the redirect leads.",
			"From http to https: give clients a wss:// URL from the start."},
		client: []string{"Use the URL that the Location header names, with ws:// for http:// and wss:// for https://."},
		detail: explainLocation,
	},
	{
		fault: FaultStatus302, clause: "RFC 9110 §15.4.3",
		cause: "The server redirects the client temporarily; browsers do not follow redirects for a WebSocket.",
		owner: []string{"If the redirect leads to a login page: answer a WebSocket with 401 instead, which the client can recognize.",
			"Otherwise exempt the WebSocket's path from the redirect."},
		client: []string{"Log in first and send the credential along, or use the URL that the Location header names."},
		detail: explainLocation,
	},
	{
		fault: FaultStatus307, clause: "RFC 9110 §15.4.8",
		cause: "The server redirects the client temporarily; browsers do not follow redirects for a WebSocket.",
		owner: []string{"Exempt the WebSocket's path from the redirect, or publish the URL to which the redirect leads.",
			"From http to https: give clients a wss:// URL from the start. A browser shows its own HSTS redirects as 307."},
		client: []string{"Use the URL that the Location header names, with ws:// for http:// and wss:// for https://."},
		detail: explainLocation,
	},
	{
		fault: FaultStatus308, clause: "RFC 9110 §15.4.9",
		cause: "The server says that the resource has moved permanently; browsers do not follow redirects for a WebSocket.",
		owner: []string{"Exempt the WebSocket's path from the redirect, or publish the URL to which the redirect leads.",
			"From http to https, or for a trailing slash: give clients the final URL from the start."},
		client: []string{"Use the URL that the Location header names, with ws:// for http:// and wss:// for https://."},
		detail: explainLocation,
	},
	{
		fault: FaultStatus400, clause: "RFC 9110 §15.5.1",
		cause: "The server considers the request invalid: its path, a parameter, a header, or the handshake itself.",
		owner: []string{"Say in the response body what is wrong, and check in the log whether the request arrived intact: Host, Upgrade, " +
			"Connection, Sec-WebSocket-Key, Sec-WebSocket-Version.",
			"Many servers answer 400 to request headers that are too large: cookies and long tokens count."},
		client: []string{"Read the response body, then check the path, the query, the subprotocols and the other headers."},
		detail: explainBadRequest,
	},
	{
		fault: FaultStatus404, clause: "RFC 9110 §15.5.5",
		cause: "The server answers that it has nothing at this path: the path is wrong or has no WebSocket handler, or " + lostUpgrade + ".",
		owner: []string{
			"Check the route, its prefix, and how a proxy in front rewrites the path: in nginx, proxy_pass with a path replaces " +
				"the location's prefix, and without one it does not.",
			"Many frameworks answer 404 when the Upgrade header did not arrive, since the route matches WebSockets only.",
			"Check that the WebSocket server is attached to the HTTP server that listens on this port, and is not disabled.",
		},
		client: []string{"Check the path, including its case and a trailing slash, and the host name."},
		detail: suspectProxy,
	},
	{
		fault: FaultStatus405, clause: "RFC 9110 §15.5.6",
		cause:  "The server does not allow GET, which every WebSocket handshake is: the path belongs to something else, or " + lostUpgrade + ".",
		owner:  []string{"Allow GET on the route; if the route is an API for POST, the WebSocket is at another path."},
		client: []string{"Check the path first: an API for POST often has a path next to that of the WebSocket."},
		detail: explainAllow,
	},
	{
		fault: FaultStatus426, clause: "RFC 9110 §15.5.22",
		cause: "The server requires a protocol other than WebSocket on this path.",
		owner: []string{"Name the protocol in the Upgrade header of the response; for a WebSocket that is:",
			"    Upgrade: websocket",
			"    Connection: Upgrade"},
		client: []string{"Check the scheme and the path. The Upgrade header of the response names the required protocol."},
		detail: explainUpgradeWanted,
	},
	{
		fault: FaultVersion, clause: "RFC 6455 §4.4",
		cause: "The server does not speak version 13 of the protocol, which is RFC 6455 and the only version in use.",
		owner: []string{"Update the WebSocket library: versions 0 to 8 are drafts from before 2011.",
			"Check that no proxy changes the Sec-WebSocket-Version header."},
		client: []string{"Use a server that speaks version 13."},
		detail: explainVersions,
	},
	{
		fault: FaultUpgradeStripped, clause: "RFC 9110 §7.6.1",
		cause: "The server did not receive an upgrade request. Most likely a proxy in front of the server did not forward the Upgrade and " +
			"Connection headers: many proxies have to be configured to do so.",
		owner: []string{"Configure each proxy on the way to forward the upgrade."},
		client: []string{"Only the server's owner can fix this. If the server can also be reached directly, by another port or name, try that.",
			"wss:// instead of ws:// helps when the proxy belongs to the client's own network."},
		detail: explainStripped,
	},
	{
		fault: FaultHeaderLost, clause: "RFC 6455 §4.2.1",
		cause: "The upgrade request reached the server, but without another handshake header that the client sent: something on the " +
			"path removed or changed it, or the server's own check is wrong.",
		owner: []string{"Check in the server's log which headers arrive, and make each proxy forward Sec-WebSocket-Key, Sec-WebSocket-Version, " +
			"Sec-WebSocket-Protocol and Sec-WebSocket-Extensions unchanged.",
			"If all of these headers arrive, the server's own check of the handshake is wrong: update its WebSocket library."},
		client: []string{"Only the server's owner can fix this. If the server can also be reached directly, by another port or name, try that.",
			"wss:// instead of ws:// helps when the proxy belongs to the client's own network."},
		detail: explainLostHeader,
	},
	{
		fault: FaultStatus500, clause: "RFC 9110 §15.6.1",
		cause: "The server failed while handling the handshake.",
		owner: []string{"Check the server's log for the error at that time.",
			"A middleware that wraps the response and cannot hand the connection over is a common cause: in Go, its writer must " +
				"implement Unwrap or http.Hijacker.",
			"In Python, an ASGI application without a route for WebSockets fails, such as Django without a ProtocolTypeRouter."},
		client: []string{"Try again later, and report the time of the failure to the owner."},
		detail: explainServerError,
	},
	{
		fault: FaultStatus502, clause: "RFC 9110 §15.6.3",
		cause: "A proxy in front of the server received no usable response from the server.",
		owner: []string{"Check that the backend runs, that the proxy has its address, port and scheme right, and that the backend does not " +
			"close the connection on the handshake; the proxy's error log names the failure.",
			"nginx: \"upstream prematurely closed connection\" and \"connect() failed\" name the cause in error.log.",
			"In Go, httputil.ReverseProxy also does this if a middleware around it hides http.Hijacker."},
		client: []string{"Try again later: only the server's owner can fix this."},
		detail: nameProxy,
	},
	{
		fault: FaultStatus503, clause: "RFC 9110 §15.6.4",
		cause: "The server, or a proxy in front of it, accepts no connections now: most often it is overloaded, restarting, or has no backend left.",
		owner: []string{"Check the backends' health checks, and the limits on connections. A draining node sends 503 on purpose: the proxy " +
			"should have stopped using that node before."},
		client: []string{"Try again with exponential backoff and jitter, and after Retry-After if the response has one."},
		detail: explainRetryAfter,
	},
	{
		fault: FaultStatus504, clause: "RFC 9110 §15.6.5",
		cause: "A proxy in front of the server timed out while waiting for its response.",
		owner: []string{"Find out what the backend waits for before its 101; check that the proxy reaches it at all (firewall, wrong port).",
			"Raising the proxy's timeout only hides the problem: a handshake should take milliseconds."},
		client: []string{"Try again later: only the server's owner can fix this."},
		detail: nameProxy,
	},
	{
		fault: FaultStatusOther, clause: "RFC 9110 §15",
		cause:  "The server answered with a status that is not 101, so no WebSocket was opened.",
		owner:  []string{"Answer a valid handshake with 101, and any other with 400, 401, 403, 404, 426, 429 or 503."},
		client: []string{"Read the status and the body of the response."},
		detail: explainOtherStatus,
	},
}

// refusalAdvice explains responses that refuse this client because of its identity, its origin, its address or its request rate.
var refusalAdvice = []explanation{
	{
		fault: FaultStatus401, clause: "RFC 9110 §15.5.2",
		cause: "The server requires authentication, and the request has no credential that the server accepts.",
		owner: []string{"Say in WWW-Authenticate what is required, if the response does not: RFC 9110 §11.6.1 requires it in every 401.",
			"Browsers cannot set Authorization on a WebSocket: offer a cookie, a ticket in the query, or a token in a subprotocol."},
		client: []string{"Send a credential that matches the challenge."},
		detail: explainChallenge,
	},
	{
		fault: FaultOrigin, clause: "RFC 6455 §4.2.2",
		cause: "The server refuses the page that the request comes from: the server accepts the same request with another origin, or names the origin as the reason.",
		owner: append([]string{"If the page is yours, add its origin to those allowed: scheme, host and port exactly. handfast, and others:",
			"    origins: [https://app.example]",
			"    CheckOrigin (gorilla), OriginPatterns (coder), allowed_request_origins (Rails), setAllowedOrigins (Spring)"}, originBehindProxy...),
		client: []string{"Connect from a page that the server allows. A program may set any origin: --origin."},
		detail: explainOrigins,
	},
	{
		fault: FaultStatus403, clause: "RFC 9110 §15.5.4",
		cause: "The server refuses this request.",
		owner: []string{"Check the server's log for the rule: an origin that is not allowed, a user without permission, an address, a web " +
			"application firewall, a CSRF check."},
		client: []string{"Check the path and the query: ASGI servers (uvicorn, Hypercorn, Daphne) also send 403 if the application has no WebSocket route for them.",
			"Check the origin and the permissions of the account; try a VPN or another network if addresses are filtered.",
			"The response body may name the rule."},
		detail: explainForbidden,
	},
	{
		fault: FaultStatus407, clause: "RFC 9110 §15.5.8",
		cause:  "The server itself answered 407, which only a proxy should: the server is a proxy, or forwards the response of one.",
		owner:  []string{"If the server itself requires credentials, answer with 401 and WWW-Authenticate. If a proxy behind it does, configure the credentials there."},
		client: []string{"If this host is a proxy, use it as one: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, and the server in the URL."},
		detail: explainProxyChallenge,
	},
	{
		fault: FaultStatus429, clause: "RFC 6585 §4",
		cause: "The server answers that it has received too many requests, most often from this client's address or user.",
		owner: []string{"Limit by user rather than by address: whole offices share one address. Send Retry-After, so that clients know when to retry."},
		client: []string{"Wait, then reconnect with exponential backoff and jitter; look for a loop that reconnects immediately.",
			"Open one connection per user, not one per tab or component."},
		detail: explainRetryAfter,
	},
}

var originBehindProxy = []string{"Behind a proxy, the server compares with the Host header that it receives, including the port. nginx:",
	"    proxy_set_header Host $http_host;"}
