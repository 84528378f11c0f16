package explain

import "strings"

// A voice is the answer of a known server to a handshake that lacks what the server requires.
type voice struct {
	name string
	// status is the status of the answer, 0 for any. The body must contain all of says, in lower case, and the Server field header.
	status int
	says   []string
	server string
	// cause replaces the general one; "" keeps it. owner and client are added before the general steps.
	cause  string
	owner  []string
	client []string
}

// voices are recognized by their text: a body that no other known server sends, or a body together with the server's name.
var voices = []voice{
	{
		name: "Socket.IO without a transport", says: []string{"transport unknown"},
		cause: "This looks like a Socket.IO server (Engine.IO) that finds no supported transport in the query: use transport=websocket.",
		client: []string{"Connect with the Socket.IO client of the server's version; it is not a plain WebSocket. By hand:",
			"    /socket.io/?EIO=4&transport=websocket"},
	},
	{
		name: "Socket.IO of another version", says: []string{"unsupported protocol version"},
		cause: "This looks like a Socket.IO server (Engine.IO) that does not support the client's version of its protocol, given as EIO in the query.",
		client: []string{"Connect with the Socket.IO client of the server's version; versions 3 and 4 use EIO=4. By hand:",
			"    /socket.io/?EIO=4&transport=websocket"},
	},
	{
		name: "Socket.IO with an unknown session", says: []string{"session id unknown"},
		cause: "This is a Socket.IO server (Engine.IO) that does not know the session in the query: it has ended, or belongs to another node.",
		owner: []string{"With several nodes, route all requests of a session to the same one (sticky sessions), or allow only the transport websocket."},
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
		name: "uvicorn without a WebSocket library", status: 404, says: []string{`{"detail":"not found"}`}, server: "uvicorn",
		cause: "FastAPI on uvicorn answers with 404, as for a page. For a WebSocket without a route it answers with 403: most likely uvicorn has no WebSocket library, or " +
			"the Upgrade header did not reach it.",
		owner: []string{"Check the log for \"No supported WebSocket library detected\", which is the proof. Then:", "    pip install 'uvicorn[standard]'"},
	},
	{
		name: "Django's development server", status: 404, server: "wsgiserver", says: []string{"page not found"},
		cause: "Django answers over WSGI (its development server without ASGI), which cannot carry a WebSocket.",
		owner: []string{"Put daphne first in INSTALLED_APPS and set ASGI_APPLICATION, so that runserver speaks ASGI, or run an ASGI server:",
			"    python -m daphne project.asgi:application"},
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
		owner: []string{"A proxy in front of the API must forward Upgrade and Connection; kubectl exec and attach need that, too."},
	},
	{
		name: "Kubernetes, no right", status: 403, says: []string{`"kind":"status"`, `"reason":"forbidden"`},
		cause:  "This is the API of Kubernetes, and the user of the request lacks permission: the message in the body names both.",
		owner:  []string{"Check with: kubectl auth can-i create pods/exec --as USER"},
		client: []string{"A browser offers the token as a subprotocol (--token-subprotocol), in addition to v4.channel.k8s.io or v5.channel.k8s.io."},
	},
}

// hear adds what is known about the server that an answer is from.
func hear(r *Report, f Finding, d *Diagnosis) {
	a := r.Response
	if a == nil || a.FromProxy || f.Stage != StageResponse || f.Warning || d.ID == FaultOrigin {
		return
	}
	server, body := strings.ToLower(a.Value("Server")), strings.ToLower(plain(a.Body))
	for _, v := range voices {
		if v.status != 0 && v.status != a.Status || v.status == 0 && a.Status < 400 || !strings.HasPrefix(server, v.server) || !v.said(body) {
			continue
		}
		d.Cause = v.cause
		if len(v.owner) > 0 {
			d.ForOwner = append(append([]string(nil), v.owner...), d.ForOwner...)
		}
		if len(v.client) > 0 {
			d.ForClient = append([]string(nil), v.client...)
		}
		return
	}
}

// said reports whether a body contains all texts of v.
func (v *voice) said(body string) bool {
	for _, s := range v.says {
		if !strings.Contains(body, s) {
			return false
		}
	}
	return true
}
