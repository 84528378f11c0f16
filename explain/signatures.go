package explain

import (
	"cmp"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// signature identifies a product's response to a handshake that does not meet the product's requirements, and explains the response.
type signature struct {
	name string
	// status is the status of the response, or 0 for any error. The body must match body, unless body is nil, and contain all texts of
	// contains, in lower case. A cause that presents the product as a fact requires body or server, because other programs may send
	// bodies that contain the texts.
	status   int
	body     *regexp.Regexp
	contains []string
	// server is the product that the Server field must name. If server is "", the field must be missing, or name a proxy or one of
	// platforms, in which the product runs. server and platforms are in lower case.
	server    string
	platforms []string
	// when is an additional condition. It may be nil.
	when func(r *Report, a *Response) bool
	// cause replaces the general cause, unless it is "". owner is added before the general steps for the owner. client replaces the general
	// steps for the client, unless it is empty.
	cause  string
	owner  []string
	client []string
	// detail adds steps that depend on the report. It is used only in handfastSignatures, and may be nil.
	detail func(r *Report, d *Diagnosis)
	// certain means that only handfast sends this body, so that the body is a proof even if a proxy forwarded the response. It is used
	// only in handfastSignatures.
	certain bool
}

// signatures contains the signatures of products other than handfast. If a signature has neither body nor server, its cause is phrased as
// a suspicion.
var signatures = []signature{
	{
		name: "Socket.IO that allows polling only", body: engineIOError(0, "Transport unknown"), when: asksWebSocket,
		cause:  "This looks like a Socket.IO server (Engine.IO) that does not allow the websocket transport, which the query asks for.",
		owner:  []string{"Allow the websocket transport:", `    new Server(http, { transports: ["polling", "websocket"] })`},
		client: []string{"Use the Socket.IO client with the polling transport until the owner allows websocket."},
	},
	{
		name: "Socket.IO without a transport", body: engineIOError(0, "Transport unknown"),
		cause:  "This looks like a Socket.IO server (Engine.IO) that finds no supported transport in the query: use transport=websocket.",
		client: socketIOClient,
	},
	{
		name: "Socket.IO of another version", body: engineIOError(5, "Unsupported protocol version"),
		cause:  "This looks like a Socket.IO server (Engine.IO) that does not support the client's version of its protocol, given as EIO in the query.",
		owner:  []string{"To accept clients of version 2 as well, with EIO=3:", "    new Server(http, { allowEIO3: true })"},
		client: socketIOClient,
	},
	{
		name: "Socket.IO of another version, in Python", body: exactly(`"The client is using an unsupported version of the Socket.IO or Engine.IO protocols"`),
		platforms: pythonServers,
		cause:     "This is a Socket.IO server (python-engineio) that does not support the client's version of its protocol, given as EIO in the query.",
		client:    socketIOClient,
	},
	{
		name: "Socket.IO that answers a poll", status: 200, body: regexp.MustCompile(`^(?:\d+:)?0\{"sid":"[^"]+","upgrades":\[.*"pingTimeout":\d+`),
		platforms: pythonServers,
		cause:     "This is a Socket.IO server (Engine.IO) that answers a poll: the query lacks transport=websocket.",
		owner:     []string{"If the query has it, the Upgrade header did not reach the server."},
		client:    socketIOClient,
	},
	{
		name: "Socket.IO with an unknown session, in Python", status: 400, body: regexp.MustCompile(`^"Invalid session [^"]*"$`), platforms: pythonServers,
		cause: "This looks like a Socket.IO server (python-engineio) that does not know the session in the query: it has ended, or belongs to another node.",
		owner: stickySessions,
	},
	{
		name: "Socket.IO with an unknown session", status: 400, body: engineIOError(1, "Session ID unknown"),
		cause: "This is a Socket.IO server (Engine.IO) that does not know the session in the query: it has ended, or belongs to another node.",
		owner: stickySessions,
	},
	{
		name: "SockJS", status: 200, body: exactly("Welcome to SockJS!"),
		cause:  "This is the base path of a SockJS server, which answers with a greeting: its WebSocket is below it.",
		client: []string{"Use the SockJS client, or add this to the path for the plain WebSocket:", "    /websocket"},
	},
	{
		name: "SignalR without negotiation", status: 400, body: exactly("Connection ID required"), platforms: []string{"kestrel"},
		cause: "This is a SignalR hub (ASP.NET Core), which requires a connection ID: the client must negotiate one first, with a POST to the hub's path.",
		client: []string{"Use a SignalR client. By hand: POST to PATH/negotiate?negotiateVersion=1, then connect with ?id= and the connectionToken of the response, and " +
			"send the protocol as the first message."},
	},
	{
		name: "SignalR with an unknown connection", status: 404, body: exactly("No Connection with that ID"), platforms: []string{"kestrel"},
		cause: "This is a SignalR hub (ASP.NET Core) that does not know the connection ID in the query: it has timed out, or another node issued it.",
		owner: []string{"With several nodes, route negotiation and connection to the same one (sticky sessions), or use skipNegotiation."},
	},
	{
		name: "uvicorn without a WebSocket library", status: 400, body: unsupportedUpgrade, server: "uvicorn",
		cause: "uvicorn responds this way if it has no WebSocket library. The upgrade request reached it.",
		owner: uvicornLibrary, client: onlyOwner,
	},
	{
		name: "uvicorn behind a proxy, without a WebSocket library", status: 400, body: unsupportedUpgrade,
		cause: "This looks like uvicorn, which responds this way if it has no WebSocket library. The upgrade request reached the server.",
		owner: uvicornLibrary, client: onlyOwner,
	},
	{
		name: "FastAPI on uvicorn without a WebSocket library", status: 404, body: exactly(`{"detail":"Not Found"}`), server: "uvicorn",
		cause: "FastAPI on uvicorn answers with 404, as for a page. For a WebSocket without a route it answers with 403: most likely uvicorn has no WebSocket library, or " +
			"the Upgrade header did not reach it.",
		owner: uvicornLibrary,
	},
	{
		name: "ASGI with websockets", status: 403, server: "websockets", when: emptyBody,
		cause: refusedByASGI, client: checkRoute,
	},
	{
		name: "ASGI on Hypercorn", status: 403, server: "hypercorn", when: emptyBody,
		cause: refusedByASGI, client: checkRoute,
	},
	{
		name: "Flask and Quart", status: 400, platforms: pythonServers,
		body: regexp.MustCompile(`(?i)^<!doctype html[^>]*>\n(?:<html lang=en>\n)?<title>400 Bad Request</title>\n<h1>Bad Request</h1>\n` +
			`<p>The browser \(or proxy\) sent a request that this server could not understand\.</p>$`),
		cause: "Werkzeug (Flask, Quart) rejects the request. Most often the route is for the other kind of request: for pages, or, if the Upgrade header " +
			"was lost on the way, for WebSockets.",
		owner:  []string{"Check that the route is for WebSockets (@app.websocket in Quart, @sock.route with flask-sock), and that each proxy forwards the upgrade."},
		client: []string{"Check the path: a page and a WebSocket have different paths."},
	},
	{
		name: "WSGI server of Python", server: "wsgiserver", when: pageOrError,
		cause:  "The response is from Python's WSGI server for development (wsgiref), which Django's runserver uses: WSGI cannot carry a WebSocket.",
		owner:  djangoASGI,
		client: onlyOwner,
	},
	{
		name: "Django on gunicorn", status: 404, server: "gunicorn", body: djangoDebug,
		cause:  "Django responds as to a request for a page: gunicorn's own workers run it over WSGI, which cannot carry a WebSocket.",
		owner:  djangoASGI,
		client: onlyOwner,
	},
	{
		name: "Django", status: 404, body: djangoDebug, platforms: pythonServers,
		cause: "Django responds as to a request for a page: it runs over WSGI, which cannot carry a WebSocket, or the Upgrade header was lost on the way.",
		owner: djangoASGI,
	},
	{
		name: "websockify without an upgrade", status: 405, server: "websockify",
		cause:  "websockify responds this way to an ordinary request: most likely the Upgrade header was lost on the way.",
		owner:  []string{"Configure each proxy on the way to forward the upgrade. The log of websockify shows the request."},
		client: onlyOwner,
	},
	{
		name: "gws without a subprotocol", status: 400, body: exactly("gws: sub-protocol negotiation failed"),
		cause:  "The server (gws) requires a subprotocol, and the client offered none that it supports.",
		client: []string{"Offer the one that the server's documentation names:", "    --subprotocol NAME"},
	},
	{
		name: "gws that refuses the client", status: 400, body: exactly("gws: unauthorized"),
		cause:  "The server's Authorize function (gws) refused the client. The reason may be a credential, the origin, or the path.",
		client: []string{"Send the credential that the server's documentation names, and check the origin."},
	},
	{
		name: "Apollo Server without a WebSocket", status: 400, body: regexp.MustCompile(
			`^\{"errors":\[\{"message":"This operation has been blocked as a potential Cross-Site Request Forgery \(CSRF\)\. `),
		cause: "This is the HTTP endpoint of a GraphQL server (Apollo), which treats the handshake as a query: there is no WebSocket at this path, or the " +
			"Upgrade header was lost on the way.",
		owner: []string{"Run a WebSocket server for subscriptions next to Apollo's, with graphql-ws:",
			"    useServer({ schema }, new WebSocketServer({ server, path: \"/graphql\" }))"},
		client: []string{"Check the path for subscriptions, and offer the subprotocol: --subprotocol graphql-transport-ws"},
	},
	{
		name: "GraphQL over HTTP", status: 400, body: regexp.MustCompile(`^\{"errors":\[\{"message":"Must provide query string\."\}\]\}$`),
		cause:  "This looks like the HTTP endpoint of a GraphQL server, which treats the handshake as a query: there is no WebSocket handler at this path, or the Upgrade header was lost on the way.",
		owner:  []string{"Run a WebSocket server for subscriptions next to it, such as that of the package graphql-ws."},
		client: []string{"Check the path for subscriptions, and offer the subprotocol: --subprotocol graphql-transport-ws"},
	},
	{
		name: "Node's inspector", status: 400, body: exactly("WebSockets request was expected"),
		cause:  "This looks like the inspector of Node, which accepts only the path of one of its targets, and a Host that is an IP address or localhost.",
		client: []string{"Use the value of webSocketDebuggerUrl in the response to:", "    curl http://HOST:PORT/json/list"},
	},
	{
		name: "Socket.IO that refuses the client", status: 400, when: refusedByEngineIO,
		cause:  "If this is a Socket.IO server (Engine.IO), its function allowRequest, or the option origins of version 2, refuses the request: because of its origin, a credential, or something else.",
		client: []string{"Try --origin with that of the page in question, and send the credential that the server's documentation names."},
	},
	{
		name: "nginx, a large request", status: 400, body: nginxPageOf("Request Header Or Cookie Too Large", "[^<]*"), platforms: []string{"tengine"},
		cause:  "A header of the request is too large for the server or proxy that answers, nginx or one derived from it; most often it is Cookie.",
		owner:  []string{"Raise the limit, or set fewer and smaller cookies. In nginx:", "    large_client_header_buffers 4 16k;"},
		client: []string{"Clear the cookies of this host, and send smaller tokens."},
	},
	{
		name: "Phoenix", status: 404, contains: []string{"phoenix.router.norouteerror", "no route found for get"}, platforms: []string{"cowboy"},
		cause:  "This looks like Phoenix without a route for this path: the WebSocket of an endpoint's socket is one level below.",
		client: []string{"For socket \"/socket\" in the endpoint the path is:", "    /socket/websocket?vsn=2.0.0"},
	},
	{
		name: "Docker without the container", status: 404, server: "docker", body: regexp.MustCompile(`^\{"message":"No such container: [^\n]*"\}$`),
		cause:  "Docker's daemon has no container with the name or ID in the path.",
		client: []string{"Check the name, and that the container exists on this host: docker ps -a"},
	},
	{
		name: "Docker with a container that is paused", status: 409, server: "docker",
		body:   regexp.MustCompile(`^\{"message":"container [^\n]* is paused, unpause the container before attach"\}$`),
		cause:  "The container is paused, and Docker's daemon attaches only to one that is not.",
		owner:  []string{"Unpause it:", "    docker unpause NAME"},
		client: []string{"Ask the owner of the container to unpause it."},
	},
	{
		name: "Docker of another API version", status: 400, server: "docker",
		body: regexp.MustCompile(`^(?:\{"message":")?client version [\d.]+ is too (?:new\. Maximum|old\. Minimum) supported API version is [\d.]+` +
			`(?:, please upgrade your client to a newer version)?(?:"\})?$`),
		cause:  "Docker's daemon does not support the version of its API in the path.",
		client: []string{"Use the version that the response names, or omit it from the path:", "    /containers/NAME/attach/ws?stream=1&stdout=1"},
	},
	{
		name: "Docker, another path", status: 404, body: exactly(`{"message":"page not found"}`),
		cause:  "This looks like the API of Docker's daemon, which has nothing at this path: its WebSocket is for attaching to a container.",
		client: dockerAttach,
	},
	{
		name: "Docker", status: 404, server: "docker", body: regexp.MustCompile(`^\{"message":"[^\n]*"\}$`),
		cause:  "This is the API of Docker's daemon, and it rejects this path: its WebSocket is for attaching to a container.",
		client: dockerAttach,
	},
	{
		name: "Kubernetes", status: 400, body: kubernetesStatus(`"Upgrade request required"`),
		cause: "This is the API of Kubernetes, which says that the request is not an upgrade: the Upgrade header did not reach it.",
		owner: []string{"A proxy in front of the API must forward Upgrade and Connection; kubectl exec and attach need them, too."},
	},
	{
		name: "Kubernetes, no right", status: 403, body: kubernetesStatus(`"[^\n]* is forbidden: User [^\n]* cannot `),
		cause:  "This is the API of Kubernetes, and the user of the request lacks permission: the message in the body names both.",
		owner:  []string{"Check with: kubectl auth can-i create pods/exec --as USER"},
		client: []string{"A browser offers the token as a subprotocol (--token-subprotocol), in addition to v4.channel.k8s.io or v5.channel.k8s.io."},
	},
}

// Steps that several signatures use.
var (
	socketIOClient = []string{"Connect with a Socket.IO client of the server's version: Socket.IO is not a plain WebSocket. By hand, with EIO=3 for versions before 3:",
		"    /socket.io/?EIO=4&transport=websocket"}
	uvicornLibrary = []string{"Check the log for \"No supported WebSocket library detected\", which is the proof. Then:", "    pip install 'uvicorn[standard]'"}
	checkRoute     = []string{"Check the path and the query first: a route that does not exist and a missing parameter get the same response.",
		"If they are correct, check the credential and the origin."}
	djangoASGI = []string{"Put daphne first in INSTALLED_APPS and set ASGI_APPLICATION, so that runserver speaks ASGI, or run an ASGI server:",
		"    python -m daphne project.asgi:application"}
	dockerAttach = []string{"Attach by the container's name or ID, with the version of the API in front:",
		"    /v1.41/containers/NAME/attach/ws?stream=1&stdout=1"}
	stickySessions   = []string{"With several nodes, route all requests of a session to the same one (sticky sessions), or allow only the websocket transport."}
	fewerConnections = []string{"Close connections that are not needed, then reconnect with exponential backoff and jitter."}
	onlyOwner        = []string{"Only the server's owner can fix this."}
)

const refusedByASGI = "Most likely the ASGI application closed the WebSocket before accepting it, so the server answers with 403: there is no route for this " +
	"path, a parameter is missing, or the application refuses the client."

// Bodies that several signatures use.
var (
	unsupportedUpgrade = exactly("Unsupported upgrade request.")
	djangoDebug        = regexp.MustCompile(`(?s)^(?:<!DOCTYPE html>.*)?<title>Page not found at [^<]*</title>.*You.{1,5}re seeing this error because you have ` +
		`<code>DEBUG = True</code> in\s+your\s+Django\s+settings\s+file`)
)

// pythonServers lists Python's web servers, in which applications run.
var pythonServers = []string{"daphne", "gunicorn", "hypercorn", "python", "uvicorn", "waitress", "werkzeug", "wsgiserver"}

// exactly returns an expression that matches only text.
func exactly(text string) *regexp.Regexp {
	return regexp.MustCompile(`^` + regexp.QuoteMeta(text) + `$`)
}

// engineIOError returns an expression that matches an error of Engine.IO for Node: a JSON object, or only the message in a response to an
// upgrade.
func engineIOError(code int, message string) *regexp.Regexp {
	return regexp.MustCompile(fmt.Sprintf(`^(?:\{"code":%d,"message":"%s"\}|%s)$`, code, message, message))
}

// kubernetesStatus returns an expression that matches a Status object of the Kubernetes API whose message begins with message.
func kubernetesStatus(message string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)^\{\s*"kind":\s*"Status",\s*"apiVersion":\s*"v1",.*"message":\s*` + message)
}

// asksWebSocket reports whether the query requests the transport websocket of Engine.IO.
func asksWebSocket(r *Report, _ *Response) bool {
	return r.Target != nil && strings.Contains(r.Target.Path, "transport=websocket")
}

// refusedByEngineIO reports whether the query is that of Engine.IO and the body is not one of its errors about the query, the session or
// the handshake: it is empty, or the message of the function allowRequest.
func refusedByEngineIO(r *Report, a *Response) bool {
	body := lowerText(a.Body)
	return asksWebSocket(r, a) && strings.Contains(r.Target.Path, "EIO=") && len(body) < 200 && !strings.HasPrefix(body, `{"code":`) &&
		!containsAny(body, []string{"bad request", "session", "transport", "version", "upgrade"})
}

// emptyBody reports whether a response has no body.
func emptyBody(_ *Report, a *Response) bool { return plain(a.Body) == "" }

// pageOrError reports whether a response is a page or an error rather than a redirect.
func pageOrError(_ *Report, a *Response) bool { return a.Status/100 == 2 || a.Status >= 400 }

// applySignature adds what is known about the product that sent a response.
func applySignature(r *Report, f Finding, d *Diagnosis) {
	a := r.Response
	if a == nil || a.FromProxy || f.Stage != StageResponse && d.ID != FaultGarbage || f.Warning || d.ID == FaultOrigin {
		return
	}
	if d.ID == FaultGarbage {
		if a = unframed(r); a == nil {
			return
		}
	} else if fromHandfast(a) {
		if s := matchSignature(handfastSignatures, r, a); s != nil {
			s.applyHandfast(r, d)
			return
		}
	}
	s := matchSignature(signatures, r, a)
	if s == nil {
		s = matchSignature(serverSignatures, r, a)
	}
	if s == nil {
		return
	}
	d.Cause = cmp.Or(s.cause, d.Cause)
	if d.ID == FaultGarbage { // the general steps are about frames, but an HTTP response follows the 101
		d.ForOwner = nil
	}
	d.ForOwner = slices.Concat(s.owner, d.ForOwner)
	if len(s.client) > 0 {
		d.ForClient = slices.Clone(s.client)
	}
}

// matchSignature returns the first signature in known that matches a response, or nil if none does.
func matchSignature(known []signature, r *Report, a *Response) *signature {
	for i := range known {
		if s := &known[i]; s.matches(a) && (s.when == nil || s.when(r, a)) {
			return s
		}
	}
	return nil
}

// matches reports whether a matches the signature, except for the condition when.
func (s *signature) matches(a *Response) bool {
	if s.status != a.Status && (s.status != 0 || a.Status < 400 && s.when == nil) {
		return false
	}
	if s.body != nil && !s.body.MatchString(strings.TrimSpace(a.Body)) {
		return false
	}
	body := lowerText(a.Body)
	return s.matchesServer(a) && !slices.ContainsFunc(s.contains, func(text string) bool { return !strings.Contains(body, text) })
}

// matchesServer reports whether the Server field of a response matches the signature.
func (s *signature) matchesServer(a *Response) bool {
	server := a.Value("Server")
	if s.server != "" {
		return names(server, s.server)
	}
	proxy := func(p product) bool { return p.server != "" && strings.HasPrefix(strings.ToLower(server), p.server) }
	return server == "" || slices.ContainsFunc(products, proxy) ||
		slices.ContainsFunc(s.platforms, func(platform string) bool { return names(server, platform) })
}

// names reports whether a Server field (RFC 9110 §10.2.4) names a program, which is in lower case. The field may also contain the
// program's name with a suffix after a hyphen, such as hypercorn-h11.
func names(server, program string) bool {
	return slices.ContainsFunc(strings.Fields(strings.ToLower(server)), func(product string) bool {
		rest, ok := strings.CutPrefix(product, program)
		return ok && (rest == "" || rest[0] == '/' || rest[0] == '-')
	})
}

// unframed returns the HTTP response in bytes that are not a frame, or nil if there is none.
func unframed(r *Report) *Response {
	for _, s := range r.Steps {
		for _, f := range s.Frames {
			if !f.Sent && f.Opcode == "none" {
				return parseResponse(strings.ReplaceAll(f.Preview, `\r\n`, "\n"))
			}
		}
	}
	return nil
}

// parseResponse parses the beginning of an HTTP response. It returns nil if s is not one.
func parseResponse(s string) *Response {
	head, body, _ := strings.Cut(s, "\n\n")
	lines := strings.Split(head, "\n")
	version, status, _ := strings.Cut(lines[0], " ")
	status, _, _ = strings.Cut(status, " ")
	code, err := strconv.Atoi(status)
	if err != nil || !strings.HasPrefix(version, "HTTP/1.") {
		return nil
	}
	a := &Response{Proto: version, Status: code, Body: body}
	for _, line := range lines[1:] {
		if name, value, ok := strings.Cut(line, ":"); ok {
			a.Header = append(a.Header, Field{textproto.TrimString(name), textproto.TrimString(value)})
		}
	}
	return a
}
