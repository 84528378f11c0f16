package explain

import (
	"slices"
	"strings"
	"testing"
)

// knownResponse is the response of a real program, which may be shortened, with a text that the diagnosis must contain and a text that it
// must not contain.
type knownResponse struct {
	program string
	r       *Report
	found   Finding
	id      Fault
	want    string // text that the cause or a step must contain
	not     string // text that neither the cause nor a step may contain; "" means none
}

// queried returns r with another path and query.
func queried(r *Report, path string) *Report {
	r.Target.Path = path
	return r
}

// tried returns r after it was refused with other origins, too.
func tried(r *Report, origins ...string) *Report {
	r.Target.Origin = "https://page.example"
	for _, o := range origins {
		r.Origins = append(r.Origins, OriginTry{Origin: o, Status: r.Response.Status})
	}
	return r
}

// withSteps returns r with steps.
func withSteps(r *Report, steps ...Step) *Report {
	r.Steps = steps
	return r
}

// closedBy returns a report about a connection that the server closed after sending messages.
func closedBy(code int, reason string, messages ...string) *Report {
	r := answered(101, "")
	r.Opened, r.Close = true, &Close{By: "server", How: "close frame", Code: code, Reason: reason}
	var frames []Frame
	for _, m := range messages {
		frames = append(frames, Frame{Opcode: "text", Fin: true, Length: int64(len(m)), Preview: m})
	}
	r.Steps = []Step{{Stage: StagePing, Frames: frames}}
	return r
}

func status(f Fault) Finding { return Finding{Fault: f, Stage: StageResponse} }

var (
	askedNoTLS = Step{Stage: StageProbe, Title: asksTLS, OK: true, Result: "no"}
	garbage    = Finding{Fault: FaultGarbage, Stage: StagePing}
	atOnce     = Finding{Fault: FaultClosedAtOnce, Stage: StagePing}

	docker         = "Server: Docker/20.10.24+dfsg1 (linux)"
	websocketQuery = "/socket.io/?EIO=4&transport=websocket"
)

var knownResponses = slices.Concat(productResponses, serverResponses)

var productResponses = []knownResponse{
	{"Socket.IO 4.8, no query", queried(answered(400, "Transport unknown"), "/socket.io/"), status(FaultStatus400), FaultStatus400,
		"EIO=4&transport=websocket", ""},
	{"Socket.IO 4.8, transports: [polling]", queried(answered(400, `{"code":0,"message":"Transport unknown"}`), websocketQuery), status(FaultStatus400),
		FaultStatus400, "does not allow the websocket transport", "use transport=websocket"},
	{"Socket.IO 4.8, EIO=3", withSteps(answered(101, ""), Step{Stage: StagePing, Frames: []Frame{{Opcode: "none",
		Preview: `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\nContent-Length: 28\r\n\r\nUnsupported protocol version`}}}),
		garbage, FaultGarbage, "version of its protocol", "Only the server's owner"},
	{"Socket.IO 4.8, transport=polling in the query", queried(closedBy(1005, ""), "/socket.io/?EIO=4&transport=polling"), atOnce, FaultClosedAtOnce,
		"transport=websocket", ""},
	{"python-socketio 5.7, no EIO", answered(400, `"The client is using an unsupported version of the Socket.IO or Engine.IO protocols"`),
		status(FaultStatus400), FaultStatus400, "EIO=4&transport=websocket", ""},
	{"python-socketio 5.7, no transport", queried(answered(200,
		`0{"sid":"5wvD0a0XCr1j5uqvAAAB","upgrades":["websocket"],"pingTimeout":20000,"pingInterval":25000}`), "/socket.io/?EIO=4"),
		status(FaultStatus200), FaultStatus200, "answers a poll", "no WebSocket at this path"},
	{"python-socketio 5.7, an unknown session", queried(answered(400, `"Invalid session AAAA"`), websocketQuery+"&sid=AAAA"),
		status(FaultStatus400), FaultStatus400, "sticky", ""},
	{"python-socketio 5.7 behind nginx", answered(400, `"http://127.0.0.1:56837 is not an accepted origin."`, "Server: nginx/1.22.1"),
		status(FaultStatus400), FaultOrigin, "the origin is the reason", ""},
	{"a country of origin", answered(403, "Access from your country of origin is not allowed"), status(FaultStatus403), FaultStatus403,
		"The server refuses this request", "the origin is the reason"},
	{"an origin that cannot be reached", answered(403, "origin unreachable, access denied by policy 12"), status(FaultStatus403), FaultStatus403,
		"The server refuses this request", "the origin is the reason"},
	{"an address called origin", answered(403, "Access denied. Origin: 10.0.0.3"), status(FaultStatus403), FaultStatus403,
		"The server refuses this request", "the origin is the reason"},
	{"another meaning of upgrade", answered(400, "invalid upgrade: plan does not include websocket"), status(FaultStatus400), FaultUpgradeStripped,
		"The server answers as if it did not receive an upgrade request.", "The server did not receive"},
	{"uvicorn 0.17 without a library", answered(400, "Unsupported upgrade request.", "Server: uvicorn"), status(FaultStatus400), FaultStatus400,
		"pip install 'uvicorn[standard]'", "request invalid"},
	{"uvicorn 0.17 with websockets 10.4, no such route", answered(403, "", "Server: Python/3.11 websockets/10.4"), status(FaultStatus403),
		FaultStatus403, "no route", "The server refuses this request"},
	{"Hypercorn 0.13, no such route", answered(403, "", "Server: hypercorn-h11"), status(FaultStatus403), FaultStatus403, "no route",
		"The server refuses this request"},
	{"uvicorn 0.17 with wsproto, no such route", answered(403, ""), status(FaultStatus403), FaultStatus403, "Check the path",
		""},
	{"Django 3.2, runserver, another page", answered(404, "<h1>Not Found</h1><p>The requested resource was not found on this server.</p>",
		"Server: WSGIServer/0.2 CPython/3.11.2"), status(FaultStatus404), FaultStatus404, "WSGI", "nothing at this path"},
	{"Django 3.2, runserver, a page at the path", answered(200, "p", "Server: WSGIServer/0.2 CPython/3.11.2"), status(FaultStatus200),
		FaultStatus200, "WSGI", "upgrade request did not reach it"},
	{"Django 3.2 on gunicorn 20.1", answered(404, "<title>Page not found at /ws/</title><p>You're seeing this error because you have <code>DEBUG = "+
		"True</code> in your Django settings file.", "Server: gunicorn"), status(FaultStatus404), FaultStatus404, "WSGI", "nothing at this path"},
	{"Quart 0.18, no Upgrade", answered(400, "<!doctype html>\n<html lang=en>\n<title>400 Bad Request</title>\n<h1>Bad Request</h1>\n<p>The browser "+
		"(or proxy) sent a request that this server could not understand.</p>\n", "Server: hypercorn-h11"), status(FaultStatus400), FaultStatus400,
		"other kind", "request invalid"},
	{"Node's ws 8, verifyClient refuses the origin", answered(401, "Unauthorized", "Connection: close"), status(FaultStatus401), FaultStatus401,
		"verifyClient", "The server requires authentication"},
	{"Node's ws 8, another path", func() *Report { r := answered(400, "Bad Request"); r.WithoutUpgrade = 426; return r }(), status(FaultStatus400),
		FaultStatus400, "Check the path first", "request invalid"},
	{"sockjs-node 0.3, no Upgrade", answered(400, "Not a valid websocket request"), status(FaultStatus400), FaultUpgradeStripped, "", ""},
	{"hocuspocus 4, no Upgrade", answered(200, "Welcome to Hocuspocus!"), status(FaultStatus200), FaultUpgradeStripped, "", ""},
	{"x/net/websocket, no Upgrade", answered(400, "not websocket protocol"), status(FaultStatus400), FaultUpgradeStripped, "", ""},
	{"gobwas 1.4, no Upgrade", answered(400, `handshake error: bad "Upgrade" header`), status(FaultStatus400), FaultUpgradeStripped, "", ""},
	{"gws 1.8, no Upgrade", answered(400, "gws: handshake error", "Server: nginx/1.22.1"), status(FaultStatus400), FaultUpgradeStripped, "as if", ""},
	{"gws 1.8, no subprotocol in common", answered(400, "gws: sub-protocol negotiation failed"), status(FaultStatus400), FaultStatus400,
		"--subprotocol NAME", "request invalid"},
	{"gws 1.8, Authorize", answered(400, "gws: unauthorized"), status(FaultStatus400), FaultStatus400, "Authorize", "request invalid"},
	{"coder 1.8 behind HAProxy 2.6, no Upgrade", func() *Report {
		r := answered(426, "WebSocket protocol violation: Connection header \"\" does not contain Upgrade\n", "Upgrade: websocket", "Sec-WebSocket-Accept: right")
		r.Key = &Key{Want: "right"}
		return r
	}(), status(FaultStatus426), FaultUpgradeStripped, "", "performed the handshake"},
	{"Mojolicious 9, another path", func() *Report {
		r := answered(404, "<title>Page Not Found</title>", "Server: Mojolicious (Perl)", "Sec-WebSocket-Accept: right")
		r.Key = &Key{Want: "right"}
		return r
	}(), status(FaultStatus404), FaultStatus404, "Check the path", "performed the handshake"},
	{"Mojolicious 9, a page", func() *Report {
		r := answered(200, "page", "Server: Mojolicious (Perl)", "Sec-WebSocket-Accept: right")
		r.Key = &Key{Want: "right"}
		return r
	}(), status(FaultStatus200), FaultStatus200, "Check the path", "The path is correct."},
	{"express-ws 5 behind HAProxy 2.6, no Upgrade", answered(404, "<pre>Cannot GET /ws</pre>"), status(FaultStatus404), FaultStatus404,
		"or the Upgrade header", "has nothing at this path."},
	{"websockify 0.10, no Upgrade", answered(405, "<p>Message: Method Not Allowed.</p>", "Server: WebSockify Python/3.11.2"), status(FaultStatus405),
		FaultStatus405, "Upgrade header", "belongs to something else"},
	{"graphql-http, HTTP only", answered(400, `{"errors":[{"message":"Must provide query string."}]}`), status(FaultStatus400), FaultStatus400,
		"GraphQL", "request invalid"},
	{"Node's inspector 20, no identifier", answered(400, "WebSockets request was expected\n"), status(FaultStatus400), FaultStatus400,
		"/json/list", "request invalid"},
	{"Socket.IO 4.8, allowRequest", queried(answered(400, "unauthorized"), websocketQuery), status(FaultStatus400), FaultStatus400,
		"allowRequest", "request invalid"},
	{"Socket.IO 2.5, origins", queried(answered(400, ""), websocketQuery), status(FaultStatus400), FaultStatus400, "the option origins of version 2",
		"gives no reason"},
	{"websocket 1.0, reject", answered(400, "", "X-WebSocket-Reject-Reason: echo-protocol required"), status(FaultStatus400), FaultStatus400,
		"echo-protocol required", "gives no reason"},
	{"ws 8.23, another path of several servers", answered(400, "Bad Request", "Connection: close", "Content-Type: text/html", "Content-Length: 11"),
		status(FaultStatus400), FaultStatus400, "noServer: true", "request invalid"},
	{"ws 8.23, two servers on one HTTP server", withSteps(answered(101, ""), Step{Stage: StagePing, Frames: []Frame{{Opcode: "none",
		Preview: `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\nBad Request`}}}),
		garbage, FaultGarbage, "noServer: true", "are not WebSocket frames"},
	{"Fiber 2, another origin", answered(426, "Upgrade Required"), status(FaultStatus426), FaultUpgradeStripped, "refuses the origin", "Most likely a proxy"},
	{"gorilla 1.5, an origin that is not that of the host", tried(answered(403, "Forbidden\n"), "", "https://app.example"), status(FaultStatus403),
		FaultStatus403, "may allow only other origins", "not the likely reason"},
	{"x/net/websocket, no Origin", func() *Report {
		r := tried(answered(403, ""))
		r.Target.Origin, r.Origins = "", []OriginTry{{Origin: "https://app.example", Status: 101, Opened: true}}
		return r
	}(), Finding{Fault: FaultOrigin, Stage: StageResponse}, FaultOrigin, "without an Origin header", "If the page is yours"},
	{"chi 5, a panic", answered(200, ""), status(FaultStatus200), FaultStatus200, "the handler responded before it upgraded", ""},
	{"coder 1.8, no http.Hijacker", answered(501, "Not Implemented\n"), status(FaultStatus500), FaultStatus500, "http.Hijacker", ""},
	{"ws 8.23, maxPayload", closedBy(1009, ""), Finding{Fault: FaultClosedAtOnce, Stage: StageEcho}, FaultClosedAtOnce, "maxPayload", "credential"},
	{"Socket.IO 4.8, a plain message", closedBy(1005, "", `0{"sid":"a","upgrades":[]}`), Finding{Fault: FaultClosedAtOnce, Stage: StageEcho},
		FaultClosedAtOnce, "Socket.IO", "credential that is checked"},
	{"graphql-ws 5, the subprotocol of the older package", func() *Report {
		r := answered(101, "")
		r.Target.Subprotocols = []string{"graphql-ws"}
		return r
	}(), Finding{Fault: FaultSubprotocolNone, Stage: StageResponse}, FaultSubprotocolNone, "--subprotocol graphql-transport-ws", ""},
	{"ws 8.23, text sent back as a Buffer", answered(101, ""), Finding{Fault: FaultNoEcho, Stage: StageEcho, Detail: sentAsBinary, Warning: true},
		FaultNoEcho, "in a binary message", "not an echo endpoint"},
	{"x/net/websocket, no close frame in reply", answered(101, ""), Finding{Fault: FaultNoCloseFrame, Stage: StageClose, Warning: true},
		FaultNoCloseFrame, "x/net/websocket", "crash"},
	{"Apollo Server 5, HTTP only", answered(400, `{"errors":[{"message":"This operation has been blocked as a potential Cross-Site Request Forgery `+
		`(CSRF). Please either specify a 'content-type' header"}]}`), status(FaultStatus400), FaultStatus400, "useServer", "request invalid"},
	{"nginx 1.22, a large header", answered(400, nginxBody("400 Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large"),
		"Server: nginx/1.22.1"), status(FaultStatus400), FaultStatus400, "too large", "request invalid"},
	{"net/http with TLS behind nginx 1.22", withSteps(answered(400, "Client sent an HTTP request to an HTTPS server.\n", "Server: nginx/1.22.1"),
		askedNoTLS), status(FaultPlainToTLS), FaultStatus400, "proxy_pass https://", "Use wss://"},
	{"net/http with TLS", answered(400, "Client sent an HTTP request to an HTTPS server.\n"), status(FaultPlainToTLS), FaultPlainToTLS, "Use wss://", ""},
	{"HAProxy 2.6, http-request reject", &Report{Target: &Target{}}, Finding{Fault: FaultHTTP2Only, Stage: StageResponse,
		Detail: "the connection ended before an answer; " + answersHTTP2}, FaultHTTP2Only, "most likely", "The port speaks HTTP/2 but not HTTP/1.1"},
	{"HAProxy 2.6, deny", answered(403, "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n"), status(FaultStatus403), FaultStatus403,
		"HAProxy itself", ""},
	{"lighttpd 1.4 without upgrade", answered(426, "Upgrade Required", "Server: lighttpd/1.4.69"), status(FaultStatus426), FaultUpgradeStripped,
		`    proxy.header = ("upgrade" => "enable")`, ""},
	{"h2o 2.2 without proxy.websocket", answered(426, "Upgrade Required", "Server: h2o/2.2.5"), status(FaultStatus426), FaultUpgradeStripped,
		"    proxy.websocket: ON", ""},
	{"nginx 1.22 as a proxy", func() *Report {
		r := answered(400, strings.Replace(nginxBody("400 Bad Request", "x"), "<center>x</center>\r\n", "", 1), "Server: nginx/1.22.1")
		r.Response.FromProxy = true
		return r
	}(), Finding{Fault: FaultProxyRefused, Stage: StageProxy}, FaultProxyRefused, "may not be a proxy", ""},
	{"subscriptions-transport-ws 0.11, no subprotocol", closedBy(1002, ""), atOnce, FaultClosedAtOnce, "Check the subprotocol first", "found a protocol error: update"},
	{"coder 1.8, no subprotocol", closedBy(1008, "client must speak the chat subprotocol"), atOnce, FaultClosedAtOnce, "--subprotocol", "valid credential"},
	{"express-ws 5, another path", closedBy(1005, ""), atOnce, FaultClosedAtOnce, "without a code", "code 1005"},
	{"peerjs-server 1, no query", closedBy(1005, "", `{"type":"ERROR","payload":{"msg":"No id, token, or key supplied to websocket server"}}`), atOnce,
		FaultClosedAtOnce, "No id, token, or key supplied", ""},
	{"Autobahn 22.7, no subprotocol", func() *Report {
		r := answered(400, "")
		r.Response.Reason, r.WithoutUpgrade = "This server only speaks WebSocket subprotocols wamp.2.json", 200
		return r
	}(), status(FaultStatus400), FaultStatus400, "only speaks WebSocket subprotocols", "gives no reason"},
	{"Autobahn 22.7, another origin", func() *Report {
		r := answered(400, "")
		r.Response.Reason = "WebSocket connection denied: origin 'http://127.0.0.1:44645' not allowed"
		return r
	}(), status(FaultStatus400), FaultOrigin, "the origin is the reason", ""},
	{"FastAPI on uvicorn 0.17 behind nginx, no Upgrade", answered(404, `{"detail":"Not Found"}`, "Server: nginx/1.22.1"), status(FaultStatus404),
		FaultStatus404, "the path is wrong or has no WebSocket handler, or nginx in front of it does not forward", "lost on the way"},
	{"handfast, a rule and a user", func() *Report {
		r := answered(403, "This is not allowed.\n", "Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff")
		r.Target.Credentials = []string{"bearer"}
		return r
	}(), status(FaultStatus403), FaultStatus403, "may lack permission", "ASGI"},
	{"handfast, a limit", answered(429, "There are too many handshakes from your address.\n", "Retry-After: 7", "Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"), status(FaultStatus429), FaultStatus429,
		"Retry in 7 seconds", "whole offices"},
	{"handfast, no such path", answered(404, "404 Not Found\n\nThere is no endpoint and no page at this path.\nNext step: check the path, and the host\n", "Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"),
		status(FaultStatus404), FaultStatus404, "entry of endpoints", "proxy_pass"},
	{"handfast, a token", answered(401, "The credentials are missing or not valid.\n", "Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"), status(FaultStatus401), FaultStatus401, "token check", "Node's ws"},
	{"handfast, an origin", answered(403, "403 Forbidden\n\npages of the origin \"http://b\" may not connect here (RFC 6455 §10.2).\n"),
		status(FaultStatus403), FaultOrigin, "AcceptOptions.Origins", "gorilla"},
	{"handfast, a rule", answered(403, "This is not allowed.\n", "Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"),
		status(FaultStatus403), FaultStatus403, "handfast", "The server refuses this request"},
	{"handfast, a stop", answered(503, "The server is stopping.\n", "Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"),
		status(FaultStatus503), FaultStatus503, "handfast is stopping", ""},
	{"handfast, a slow head", answered(408, "408 Request Timeout\n\nthe head of the request did not arrive in time (RFC 9110 §15.5.9).\n",
		"Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"), status(FaultStatusOther), FaultStatusOther, "http.head_timeout", ""},
	{"handfast, a listener that redirects", answered(403, "403 Forbidden\n\nWebSockets are served with TLS only.\nNext step: use wss://a.example/ws\n",
		"Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"), status(FaultStatus403), FaultStatus403, "redirect_https", ""},
	{"uvicorn 0.17 without a library, behind nginx", answered(400, "Unsupported upgrade request.", "Server: nginx/1.22.1"), status(FaultStatus400),
		FaultStatus400, "This looks like uvicorn", "request invalid"},
	{"handfast, channels, --echo", answered(101, ""), Finding{Fault: FaultNoEcho, Stage: StageEcho, Warning: true,
		Detail: "1 message was received, but not the one that was sent"}, FaultNoEcho, "something other than the message", "did not reply"},
	{"Docker 20.10, another path", answered(404, "{\"message\":\"page not found\"}\n", "Content-Type: application/json"), status(FaultStatus404), FaultStatus404,
		"This looks like the API of Docker", "This is the API of Docker"},
	{"Docker 20.10, an unknown container", answered(404, "{\"message\":\"No such container: none\"}\n", docker), status(FaultStatus404), FaultStatus404,
		"has no container with the name", "rejects this path"},
	{"Docker 20.10, a paused container", answered(409, "{\"message\":\"container box is paused, unpause the container before attach\"}\n", docker),
		status(FaultStatusOther), FaultStatusOther, "docker unpause", ""},
	{"Docker 20.10, a version that is too new", answered(400, "{\"message\":\"client version 9.99 is too new. Maximum supported API version is 1.41\"}\n", docker),
		status(FaultStatus400), FaultStatus400, "version of its API", "request invalid"},
	{"Docker 20.10, a version that is too old", answered(400, "client version 1.10 is too old. Minimum supported API version is 1.12, please upgrade your client "+
		"to a newer version\n", docker), status(FaultStatus400), FaultStatus400, "version of its API", "request invalid"},
	{"Docker 20.10 behind HAProxy 2.6, no Upgrade", answered(400, "not websocket protocol", "Connection: close"), status(FaultStatus400), FaultUpgradeStripped,
		"did not receive an upgrade request", ""},
	{"Node 20, http2 behind nginx 1.22", answered(403, "Missing ALPN Protocol, expected `h2` to be available.\nIf this is a HTTP request: The server was not "+
		"configured with the `allowHTTP1` option or a listener for the `unknownProtocol` event.\n", "Server: nginx/1.22.1"), status(FaultHTTP2Only),
		FaultHTTP2Only, "allowHTTP1: true", "The port speaks HTTP/2"},
	{"Vite 8, no token", func() *Report {
		r := answered(400, "Bad Request")
		r.Origins = []OriginTry{{Status: 101, Opened: true}}
		return r
	}(), Finding{Fault: FaultOrigin, Stage: StageResponse}, FaultOrigin, "without an Origin header", "with another origin it accepts"},
}

// The responses of real programs are recognized, and no diagnosis contains a statement that is false for the program.
func TestRealPrograms(t *testing.T) {
	for _, c := range knownResponses {
		t.Run(c.program, func(t *testing.T) {
			f := c.found
			if f.Detail == "" {
				f.Detail = "seen"
			}
			d := diagnose(c.r, f)
			all := append(append([]string{d.Cause}, d.ForOwner...), d.ForClient...)
			if d.ID != c.id {
				t.Errorf("%s, want %s", d.ID, c.id)
			}
			holds := func(part string) bool {
				return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, part) })
			}
			if !holds(c.want) || c.not != "" && holds(c.not) {
				t.Errorf("want %q and not %q:\n%s", c.want, c.not, strings.Join(all, "\n"))
			}
		})
	}
}

// If another program may send the same text as a known program, or a longer text that contains it, the diagnosis does not present the
// known program as a fact.
func TestSimilarResponses(t *testing.T) {
	own := []string{"Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"}
	on := func(server string) []string { return append([]string{"Server: " + server}, own...) }
	for _, c := range []struct {
		r   *Report
		not string
	}{
		{answered(503, "The server is stopping.", on("Jetty(9)")...), "handfast"},
		{answered(503, "The server is stopping."), "handfast"},
		{answered(403, "Sorry, this is not allowed.", on("nginx")...), "handfast"},
		{answered(403, "<p>This is not allowed. Ask the operator.</p>", own...), "handfast"},
		{answered(403, "<p>This is not allowed.</p>", own...), "handfast"},
		{answered(400, "Sorry, this was refused: the path has been renamed", own...), "handfast"},
		{answered(400, "this was refused: the path has been renamed", on("Microsoft-IIS/10.0")...), "handfast"},
		{answered(408, "the head of the request did not arrive in time", on("Apache")...), "handfast"},
		{answered(408, "Sorry, the head of the request did not arrive in time", own...), "handfast"},
		{answered(431, "the request's head is longer than the server takes", on("Apache")...), "handfast"},
		{answered(421, "Here, this listener is not for that host", own...), "handfast"},
		{answered(404, "There is no endpoint and no page at this path, says the blog.", own...), "handfast"},
		{answered(403, "Our WebSockets are served with TLS only", own...), "handfast"},
		{answered(400, "My blog: Transport unknown"), "Socket.IO"},
		{answered(400, "error: unsupported protocol version 7"), "Socket.IO"},
		{answered(400, `see "Invalid session 5" in the log`), "python-engineio"},
		{answered(200, "Read this: Welcome to Hocuspocus!"), "did not receive an upgrade"},
		{answered(403, "403 Forbidden\n\nI wrote: pages of the origin may not connect here (RFC 6455 §10.2).\n"), "AcceptOptions"},
		{answered(404, "My blog: error Session ID unknown in PHP"), "Socket.IO"},
		{answered(400, "My blog: error Session ID unknown in PHP"), "Socket.IO"},
		{answered(400, "the client is using an unsupported version of the Socket.IO or Engine.IO protocols, says the manual"), "python"},
		{answered(200, `My notes: 0{"sid":"a","upgrades":[] }`), "Socket.IO"},
		{answered(200, "How to remove the page Welcome to SockJS!"), "SockJS"},
		{answered(400, `{"error":"connection id required"}`), "SignalR"},
		{answered(400, "Connection ID required", "Server: MyGame/2"), "SignalR"},
		{answered(404, "There is no connection with that ID."), "SignalR"},
		{answered(404, `{"message":"page not found"}`, "Server: MyDocker/2"), "Docker"},
		{answered(404, `{"message":"page not found"}`, "Server: Dockerless"), "Docker"},
		{answered(404, `{"message":"page not found"}`), "This is the API of Docker"},
		{answered(404, `{"message":"page not found","path":"/"}`), "Docker"},
		{answered(400, "client version 1.10 is too old. Minimum supported API version is 1.12, says the manual", docker), "Docker's daemon"},
		{answered(400, "This request was blocked as a potential cross-site request forgery.", "Server: Django"), "Apollo"},
		{answered(400, `{"errors":[{"message":"This operation has been blocked as a potential Cross-Site Request Forgery (CSRF). Please`, "Server: Django"), "Apollo"},
		{answered(400, "<center>Request Header Or Cookie Too Large</center><hr><center>tengine</center>", "Server: Tengine"), "too large for nginx"},
		{answered(400, "Request Header Or Cookie Too Large", "Server: Tengine"), "nginx"},
		{answered(400, "Unsupported upgrade request.", "Server: hyper"), "uvicorn"},
		{answered(400, "Unsupported upgrade request.", "Server: hyper", "Via: 1.1 Caddy"), "uvicorn"},
		{answered(400, "Unsupported upgrade request."), "uvicorn responds this way"},
		{answered(404, `{"detail":"Not Found"}`, "Server: notuvicorn"), "FastAPI"},
		{answered(403, "", "Server: mywebsockets/1"), "ASGI application closed"},
		{answered(405, "", "Server: notwebsockify"), "websockify"},
		{answered(404, "", "Server: MyWSGIServer"), "WSGI"},
		{answered(400, "Our proxy: the browser (or proxy) sent a request that this server could not understand"), "Werkzeug"},
		{answered(404, "Page not found? Set DEBUG in your Django settings file."), "Django responds"},
		{answered(400, "error gws: unauthorized in our log"), "gws"},
		{answered(404, "In Phoenix.Router.NoRouteError: no route found for GET /"), "Phoenix has"},
		{answered(403, `{"log":{"kind":"Status","apiVersion":"v1","reason":"Forbidden"}}`), "Kubernetes"},
		{answered(403, `{"kind":"Status","apiVersion":"v1","message":"pods \"a\" is forbidden: violates PodSecurity","reason":"Forbidden"}`), "Kubernetes"},
	} {
		d := diagnose(c.r, status(faultOfStatus(c.r.Response.Status)))
		if all := advice(d); strings.Contains(all, c.not) {
			t.Errorf("%d %q: %q in\n%s", c.r.Response.Status, c.r.Response.Body, c.not, all)
		}
	}
	for _, body := range []string{"The server is stopping.", "The server is stopping.\\n"} {
		r := withSteps(answered(101, ""), Step{Stage: StagePing, Frames: []Frame{{Opcode: "none", Preview: `HTTP/1.1 503 Service Unavailable\r\n` +
			`Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\r\n` + body}}})
		if d := diagnose(r, garbage); strings.Contains(advice(d), "handfast") {
			t.Errorf("after a 101: %s", advice(d))
		}
	}
}

// Behind a proxy, a response that only handfast sends is presented as a fact, and a short, general response as a suspicion.
func TestHandfastBehindAProxy(t *testing.T) {
	own := []string{"Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"}
	for _, c := range []struct {
		status      int
		body, proxy string
		cause, step string
		certain     bool
	}{
		{404, "404 Not Found\n\nThere is no endpoint and no page at this path.\nNext step: check the path, and the host\n", "Server: nginx/1.22.1",
			"handfast has no endpoint", "entry of endpoints", true},
		{421, "421 Misdirected Request\n\nThis was refused: this listener is not for that host.\nNext step: use another name\n", "Via: 1.1 Caddy",
			"listener of handfast", "hosts: [ws.example.com]", true},
		{400, "The endpoint speaks the subprotocol handfast.v1.json only; offer it, or none.\n", "Server: nginx/1.22.1", "target channels", "another target", true},
		{403, "This is not allowed.\n", "Server: nginx/1.22.1", "names nginx", "rules of the endpoint", false},
		{403, "This is not allowed.\n", "Via: 1.1 proxy", "names a proxy", "rules of the endpoint", false},
		{401, "The credentials are missing or not valid.\n", "Server: Apache", "names Apache", "token check", false},
		{429, "There are too many connections from your address.\n", "Server: cloudflare", "names Cloudflare", "limits.connections_per_address", false},
	} {
		d := diagnose(answered(c.status, c.body, append(own, c.proxy)...), status(faultOfStatus(c.status)))
		suspected := strings.Contains(d.Cause, "most likely handfast is behind it")
		if !strings.Contains(d.Cause, c.cause) || suspected == c.certain || strings.Contains(advice(d), "If the server is not handfast:") == c.certain {
			t.Errorf("%d %q: %s", c.status, c.body, advice(d))
		}
		if !strings.Contains(strings.Join(d.ForOwner, "\n"), c.step) || c.certain && strings.Contains(advice(d), "proxy_set_header") {
			t.Errorf("%d %q: %q", c.status, c.body, d.ForOwner)
		}
	}
}

// advice returns the cause and the steps of d.
func advice(d Diagnosis) string {
	return strings.Join(append(append([]string{d.Cause}, d.ForOwner...), d.ForClient...), "\n")
}

// A 400 that only quotes the message of a TLS server does not prove that a proxy sent plain HTTP to a TLS server.
func TestPlainHTTPToTLSPort(t *testing.T) {
	const flat = "A proxy on the path speaks plain HTTP"
	nginx := "<html>\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\n<body>\n<center><h1>400 Bad Request</h1></center>\n" +
		"<center>The plain HTTP request was sent to HTTPS port</center>\n<hr><center>nginx/1.22.1</center>\n</body>\n</html>\n"
	for body, proves := range map[string]bool{
		nginx: true,
		strings.Replace(nginx, "1.22.1", "1.18.0 (Ubuntu)", 1): true,
		"Client sent an HTTP request to an HTTPS server.\n":    true,
		"<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>400 Bad Request</title>\n</head><body>\n<h1>Bad Request</h1>\n<p>Your " +
			"browser sent a request that this server could not understand.<br />\nReason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n " +
			"Instead use the HTTPS scheme to access this URL, please.<br />\n</p>\n</body></html>\n": true,
		"Bad Request\nThis combination of host and port requires TLS.\n":                     true,
		"400 Bad Request\n\nThis port speaks TLS.\nNext step: use https:// or wss://\n":      true,
		"<p>The error 'The plain HTTP request was sent to HTTPS port' means this: ...</p>":   false,
		nginx + "<p>That is the page of nginx.</p>":                                          false,
		"FAQ: why do I see Client sent an HTTP request to an HTTPS server.":                  false,
		"You're speaking plain HTTP to an SSL-enabled server port. Read our documentation.":  false,
		"<h1>Docs</h1> Bad Request: This combination of host and port requires TLS. Why so?": false,
	} {
		d := diagnose(withSteps(answered(400, body, "Server: cloudflare"), askedNoTLS), status(FaultStatus400))
		if strings.Contains(d.Cause, flat) != proves {
			t.Errorf("%q: %s", body, d.Cause)
		}
		if !proves && (!strings.Contains(d.Cause, "may") || !strings.Contains(advice(d), "proof")) {
			t.Errorf("%q: %s", body, advice(d))
		}
	}
}
