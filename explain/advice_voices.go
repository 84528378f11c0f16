package explain

import (
	"slices"
	"strings"
)

// A voice is the answer of a known server to a handshake that lacks what the server requires.
type voice struct {
	name string
	// status is the status of the answer, 0 for any error. The body must contain all of says, in lower case, and the Server field server.
	status int
	says   []string
	server string
	// whole requires that the body is says, which is one text, and nothing else.
	whole bool
	// when is a further condition, nil for none.
	when func(r *Report) bool
	// cause replaces the general one; "" keeps it. owner is added before the general steps, client replaces them.
	cause  string
	owner  []string
	client []string
	// detail adds the steps for one report to an answer of handfast itself. It may be nil.
	detail func(r *Report, d *Diagnosis)
}

// voices are recognized by their text: a body that no other known server sends, or a body together with the server's name.
var voices = []voice{
	{
		name: "Socket.IO that allows polling only", says: []string{"transport unknown"}, when: asksWebSocket,
		cause:  "This looks like a Socket.IO server (Engine.IO) that does not allow the websocket transport, which the query asks for.",
		owner:  []string{"Allow the websocket transport:", `    new Server(http, { transports: ["polling", "websocket"] })`},
		client: []string{"Use the Socket.IO client with the polling transport until the owner allows websocket."},
	},
	{
		name: "Socket.IO without a transport", says: []string{"transport unknown"},
		cause:  "This looks like a Socket.IO server (Engine.IO) that finds no supported transport in the query: use transport=websocket.",
		client: socketIOClient,
	},
	{
		name: "Socket.IO of another version", says: []string{"unsupported protocol version"},
		cause:  "This looks like a Socket.IO server (Engine.IO) that does not support the client's version of its protocol, given as EIO in the query.",
		client: socketIOClient,
	},
	{
		name: "Socket.IO of another version, in Python", says: []string{"unsupported version of the socket.io or engine.io protocols"},
		cause:  "This is a Socket.IO server (python-engineio) that does not support the client's version of its protocol, given as EIO in the query.",
		client: socketIOClient,
	},
	{
		name: "Socket.IO that answers a poll", status: 200, says: []string{`0{"sid":"`, `"upgrades":[`},
		cause:  "This is a Socket.IO server (Engine.IO) that answers a poll: the query lacks transport=websocket.",
		owner:  []string{"If the query has it, the Upgrade header did not reach the server."},
		client: socketIOClient,
	},
	{
		name: "Socket.IO with an unknown session, in Python", status: 400, says: []string{`"invalid session `},
		cause: "This looks like a Socket.IO server (python-engineio) that does not know the session in the query: it has ended, or belongs to another node.",
		owner: stickySessions,
	},
	{
		name: "Socket.IO with an unknown session", says: []string{"session id unknown"},
		cause: "This is a Socket.IO server (Engine.IO) that does not know the session in the query: it has ended, or belongs to another node.",
		owner: stickySessions,
	},
	{
		name: "SockJS", status: 200, says: []string{"welcome to sockjs!"},
		cause:  "This is the base path of a SockJS server, which answers with a greeting: its WebSocket is below it.",
		client: []string{"Use the SockJS client, or add this to the path for the plain WebSocket:", "    /websocket"},
	},
	{
		name: "SignalR without negotiation", says: []string{"connection id required"},
		cause: "This is a SignalR hub (ASP.NET Core), which requires a connection ID: the client must negotiate one first, with a POST to the hub's path.",
		client: []string{"Use a SignalR client. By hand: POST to PATH/negotiate?negotiateVersion=1, then connect with ?id= and the connectionToken of the response, and " +
			"send the protocol as the first message."},
	},
	{
		name: "SignalR with an unknown connection", status: 404, says: []string{"no connection with that id"},
		cause: "This is a SignalR hub (ASP.NET Core) that does not know the connection ID in the query: it has timed out, or another node issued it.",
		owner: []string{"With several nodes, route negotiation and connection to the same one (sticky sessions), or use skipNegotiation."},
	},
	{
		name: "uvicorn without a WebSocket library", status: 400, says: []string{"unsupported upgrade request."},
		cause: "uvicorn responds this way if it has no WebSocket library. The upgrade request reached it.",
		owner: uvicornLibrary, client: onlyOwner,
	},
	{
		name: "FastAPI on uvicorn without a WebSocket library", status: 404, says: []string{`{"detail":"not found"}`}, server: "uvicorn",
		cause: "FastAPI on uvicorn answers with 404, as for a page. For a WebSocket without a route it answers with 403: most likely uvicorn has no WebSocket library, or " +
			"the Upgrade header did not reach it.",
		owner: uvicornLibrary,
	},
	{
		name: "ASGI with websockets", status: 403, server: "websockets/", when: wordless,
		cause: refusedByASGI, client: checkRoute,
	},
	{
		name: "ASGI on Hypercorn", status: 403, server: "hypercorn", when: wordless,
		cause: refusedByASGI, client: checkRoute,
	},
	{
		name: "Flask and Quart", status: 400, says: []string{"the browser (or proxy) sent a request that this server could not understand"},
		cause: "Werkzeug (Flask, Quart) rejects the request. Most often the route is for the other kind of request: for pages, or, if the Upgrade header " +
			"was lost on the way, for WebSockets.",
		owner:  []string{"Check that the route is for WebSockets (@app.websocket in Quart, @sock.route with flask-sock), and that each proxy forwards the upgrade."},
		client: []string{"Check the path: a page and a WebSocket have different paths."},
	},
	{
		name: "WSGI server of Python", server: "wsgiserver", when: answeredPage,
		cause:  "The response is from Python's WSGI server for development (wsgiref), which Django's runserver uses: WSGI cannot carry a WebSocket.",
		owner:  djangoASGI,
		client: onlyOwner,
	},
	{
		name: "Django on gunicorn", status: 404, server: "gunicorn", says: djangoDebug,
		cause:  "Django responds as to a request for a page: gunicorn's own workers run it over WSGI, which cannot carry a WebSocket.",
		owner:  djangoASGI,
		client: onlyOwner,
	},
	{
		name: "Django", status: 404, says: djangoDebug,
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
		name: "gws without a subprotocol", status: 400, says: []string{"gws: sub-protocol negotiation failed"},
		cause:  "The server (gws) requires a subprotocol, and the client offered none that it supports.",
		client: []string{"Offer the one that the server's documentation names:", "    --subprotocol NAME"},
	},
	{
		name: "gws that refuses the client", status: 400, says: []string{"gws: unauthorized"},
		cause:  "The server's Authorize function (gws) refused the client. The reason may be a credential, the origin, or the path.",
		client: []string{"Send the credential that the server's documentation names, and check the origin."},
	},
	{
		name: "Apollo Server without a WebSocket", status: 400, says: []string{"blocked as a potential cross-site request forgery"},
		cause: "This is the HTTP endpoint of a GraphQL server (Apollo), which treats the handshake as a query: there is no WebSocket at this path, or the " +
			"Upgrade header was lost on the way.",
		owner: []string{"Run a WebSocket server for subscriptions next to Apollo's, with graphql-ws:",
			"    useServer({ schema }, new WebSocketServer({ server, path: \"/graphql\" }))"},
		client: []string{"Check the path for subscriptions, and offer the subprotocol: --subprotocol graphql-transport-ws"},
	},
	{
		name: "nginx, a large request", status: 400, says: []string{"request header or cookie too large"},
		cause:  "A header of the request is too large for nginx, most often Cookie.",
		owner:  []string{"Raise the limit, or set fewer and smaller cookies:", "    large_client_header_buffers 4 16k;"},
		client: []string{"Clear the cookies of this host, and send smaller tokens."},
	},
	{
		name: "Phoenix", status: 404, says: []string{"no route found for get", "router"},
		cause:  "Phoenix has no route for this path: the WebSocket of an endpoint's socket is one level below.",
		client: []string{"For socket \"/socket\" in the endpoint the path is:", "    /socket/websocket?vsn=2.0.0"},
	},
	{
		name: "Docker", server: "docker/", says: []string{`"message":`},
		cause:  "This is the API of Docker's daemon, and it rejects this path: its WebSocket is for attaching to a container.",
		client: []string{"Attach by the container's name or ID, with the version of the API in front:", "    /v1.41/containers/NAME/attach/ws?stream=1&stdout=1"},
	},
	{
		name: "Kubernetes", says: []string{`"kind":"status"`, `"apiversion":"v1"`, "upgrade request required"},
		cause: "This is the API of Kubernetes, which says that the request is not an upgrade: the Upgrade header did not reach it.",
		owner: []string{"A proxy in front of the API must forward Upgrade and Connection; kubectl exec and attach need them, too."},
	},
	{
		name: "Kubernetes, no right", status: 403, says: []string{`"kind":"status"`, `"reason":"forbidden"`},
		cause:  "This is the API of Kubernetes, and the user of the request lacks permission: the message in the body names both.",
		owner:  []string{"Check with: kubectl auth can-i create pods/exec --as USER"},
		client: []string{"A browser offers the token as a subprotocol (--token-subprotocol), in addition to v4.channel.k8s.io or v5.channel.k8s.io."},
	},
}

// Steps of several voices.
var (
	socketIOClient = []string{"Connect with the Socket.IO client of the server's version; it is not a plain WebSocket. By hand, with EIO=3 before version 3:",
		"    /socket.io/?EIO=4&transport=websocket"}
	uvicornLibrary = []string{"Check the log for \"No supported WebSocket library detected\", which is the proof. Then:", "    pip install 'uvicorn[standard]'"}
	checkRoute     = []string{"Check the path and the query first: a route that does not exist and a missing parameter have the same response.",
		"If they are correct, check the credential and the origin."}
	djangoDebug = []string{"page not found", "in your django settings file"}
	djangoASGI  = []string{"Put daphne first in INSTALLED_APPS and set ASGI_APPLICATION, so that runserver speaks ASGI, or run an ASGI server:",
		"    python -m daphne project.asgi:application"}
	stickySessions   = []string{"With several nodes, route all requests of a session to the same one (sticky sessions), or allow only the transport websocket."}
	fewerConnections = []string{"Close connections that are not needed, then reconnect with exponential backoff and jitter."}
	onlyOwner        = []string{"Only the server's owner can fix this."}
)

const refusedByASGI = "The ASGI application closed the WebSocket before accepting it, so the server answers with 403: there is no route for this path, a " +
	"parameter is missing, or the application refuses the client."

// asksWebSocket reports whether the query names the transport websocket of Engine.IO.
func asksWebSocket(r *Report) bool {
	return r.Target != nil && strings.Contains(r.Target.Path, "transport=websocket")
}

// wordless reports whether an answer has no body.
func wordless(r *Report) bool { return plain(r.Response.Body) == "" }

// answeredPage reports whether an answer is a page or an error, and no redirect.
func answeredPage(r *Report) bool { return r.Response.Status/100 == 2 || r.Response.Status >= 400 }

// hear adds what is known about the server that an answer is from.
func hear(r *Report, f Finding, d *Diagnosis) {
	a := r.Response
	if a == nil || a.FromProxy || f.Stage != StageResponse && d.ID != FaultGarbage || f.Warning || d.ID == FaultOrigin {
		return
	}
	server, body := strings.ToLower(a.Value("Server")), strings.ToLower(plain(a.Body))
	if d.ID == FaultGarbage {
		server, body = "", strings.ToLower(unframed(r))
	}
	for i, v := range slices.Concat(ownVoices, voices) {
		if !strings.Contains(server, v.server) || !v.said(body) || v.when != nil && !v.when(r) || d.ID != FaultGarbage && !v.answers(a.Status) {
			continue
		}
		if v.cause != "" {
			d.Cause = v.cause
		}
		if d.ID == FaultGarbage { // an HTTP response follows the 101: the frames are not the problem
			d.ForOwner = nil
		}
		if i < len(ownVoices) { // the general steps are about other programs
			d.ForOwner, d.ForClient = slices.Clone(v.owner), slices.Clone(v.client)
			if v.detail != nil {
				v.detail(r, d)
			}
			return
		}
		if len(v.owner) > 0 {
			d.ForOwner = append(append([]string(nil), v.owner...), d.ForOwner...)
		}
		if len(v.client) > 0 {
			d.ForClient = append([]string(nil), v.client...)
		}
		return
	}
}

// answers reports whether v gives answers of a status.
func (v *voice) answers(status int) bool {
	return v.status == status || v.status == 0 && (status >= 400 || v.when != nil)
}

// unframed returns the received bytes that are not a frame.
func unframed(r *Report) string {
	for _, s := range r.Steps {
		for _, f := range s.Frames {
			if !f.Sent && f.Opcode == "none" {
				return f.Preview
			}
		}
	}
	return ""
}

// said reports whether a body contains all texts of v, or is the only one.
func (v *voice) said(body string) bool {
	if v.whole {
		return body == v.says[0]
	}
	for _, s := range v.says {
		if !strings.Contains(body, s) {
			return false
		}
	}
	return true
}
