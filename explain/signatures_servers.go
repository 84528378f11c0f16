package explain

import (
	"regexp"
	"strings"
)

// serverSignatures are responses of servers that cannot carry a WebSocket as they are configured, or that want one more thing.
var serverSignatures = []signature{
	{
		name: "gunicorn's own error page", status: 500, platforms: pythonServers, body: regexp.MustCompile(
			`^<html>\s*<head>\s*<title>Internal Server Error</title>\s*</head>\s*<body>\s*<h1><p>Internal Server Error</p></h1>\s*</body>\s*</html>$`),
		cause: "This looks like an error page of gunicorn, whose application failed. Its sync worker fails on every request to an ASGI application.",
		owner: []string{"Check gunicorn's log for the exception. If it is about arguments of the application, use a worker for ASGI:",
			"    gunicorn -k uvicorn.workers.UvicornWorker app:app"},
	},
	{
		name: "flask-socketio on Werkzeug", status: 400, platforms: pythonServers, body: exactly(`"Bad Request"`), when: asksWebSocket,
		cause: "This looks like a Socket.IO server (python-engineio) that could not open a WebSocket: most likely it runs on a WSGI server without " +
			"simple-websocket, eventlet or gevent.",
		owner:  []string{"Install one of the three, and let Flask-SocketIO choose its async_mode:", "    pip install simple-websocket"},
		client: []string{"Use the Socket.IO client with the polling transport until the owner has fixed it."},
	},
	{
		name: "python-websockets that gets HTTP/1.0", status: 400, platforms: pythonServers,
		body: regexp.MustCompile(`^Failed to open a WebSocket connection: did not receive a valid HTTP request\.`),
		cause: "Python's websockets rejects the request because it does not begin as HTTP/1.1: most likely a proxy in front forwards it as HTTP/1.0, as nginx does " +
			"by default, or begins with a line of the PROXY protocol, which this server does not read.",
		owner: []string{"In nginx, and in a proxy that sends the PROXY protocol (HAProxy's send-proxy, hitch's write-proxy-v1):", "    proxy_http_version 1.1;",
			"    # remove send-proxy, or write-proxy-v1"},
	},
	{
		name: "PHP", status: 200, when: poweredByPHP,
		cause:  "The response is that of a PHP script: PHP under php -S, FPM or Apache runs a script for each request and cannot carry a WebSocket.",
		owner:  []string{"Run a WebSocket server of its own, such as Ratchet, Swoole or Workerman, and publish its port or proxy a path to it."},
		client: []string{"Check the path and the port: those of the WebSocket differ from the page's."},
	},
	{
		name: "a login form", status: 200, when: loginForm,
		cause:  "The server answered with a page that has a password field: most likely the path requires a login, and the request has no session.",
		owner:  []string{"Answer a WebSocket with 401 instead, which the client can recognize."},
		client: []string{"Log in first, and send the session's cookie along: --cookie NAME=VALUE. If the path is that of a page, use the WebSocket's."},
	},
	{
		name: "Prosody without a subprotocol", status: 501, when: asksXMPP,
		cause:  "The server answers 501 at a path of XMPP over WebSocket: Prosody does so if the client does not offer the subprotocol xmpp.",
		client: []string{"Offer it:", "    --subprotocol xmpp"},
	},
	{
		name: "Traffic Server without a rule", status: 404, contains: []string{"not found on accelerator"}, platforms: []string{"ats"},
		cause: "This looks like Apache Traffic Server without a rule for this URL: a rule for http:// does not apply to a WebSocket.",
		owner: []string{"Add a rule to remap.config:", "    map ws://HOST/ ws://BACKEND/"},
	},
}

// poweredByPHP reports whether a response names PHP in X-Powered-By.
func poweredByPHP(_ *Report, a *Response) bool {
	return strings.HasPrefix(a.Value("X-Powered-By"), "PHP/")
}

var passwordField = regexp.MustCompile(`(?i)<input[^>]*\stype=["']?password\b`)

// loginForm reports whether a page has a field for a password.
func loginForm(_ *Report, a *Response) bool { return passwordField.MatchString(a.Body) }

// asksXMPP reports whether the path is that of XMPP over WebSocket, and the subprotocol is missing.
func asksXMPP(r *Report, _ *Response) bool {
	return r.Target != nil && len(r.Target.Subprotocols) == 0 && strings.Contains(r.Target.Path, "xmpp-websocket")
}
