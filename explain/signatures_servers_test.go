package explain

// serverResponses are of servers that cannot carry a WebSocket as they are configured, or that want one more thing.
var serverResponses = []knownResponse{
	{"gunicorn 20.1, a sync worker with an ASGI application", answered(500, "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n  <body>\n"+
		"    <h1><p>Internal Server Error</p></h1>\n    \n  </body>\n</html>\n"), status(FaultStatus500), FaultStatus500, "uvicorn.workers.UvicornWorker", ""},
	{"Flask-SocketIO 5.3 on Werkzeug 2.2", queried(answered(400, `"Bad Request"`, "Server: Werkzeug/2.2.2 Python/3.11.2"), websocketQuery), status(FaultStatus400),
		FaultStatus400, "pip install simple-websocket", ""},
	{"Python's websockets 10.4 behind nginx, HTTP/1.0", answered(400, "Failed to open a WebSocket connection: did not receive a valid HTTP request.\n",
		"Server: nginx/1.22.1"), status(FaultStatus400), FaultUpgradeStripped, "forwards it as HTTP/1.0", "did not forward the Upgrade and Connection headers"},
	{"gevent 22.10 without WebSocketHandler", answered(400, "Expected WebSocket request."), status(FaultStatus400), FaultUpgradeStripped,
		"handler_class=WebSocketHandler", "The server did not receive"},
	{"PHP 8.2, the built-in server", answered(200, "<!doctype html><title>Shop</title><h1>Welcome</h1>", "X-Powered-By: PHP/8.2.36"), status(FaultStatus200),
		FaultStatus200, "cannot carry a WebSocket", ""},
	{"Tomcat 10.1, a login form", answered(200, `<form method="POST" action='j_security_check'><input type="password" name="j_password"></form>`),
		status(FaultStatus200), FaultStatus200, "Log in first", ""},
	{"a page about passwords", answered(200, "<p>Never send your password by mail</p>"), status(FaultStatus200), FaultStatus200, "ordinary response", "Log in first"},
	{"Prosody 0.12, no subprotocol", queried(answered(501, "<title>501 Not Implemented</title>"), "/xmpp-websocket"), status(FaultStatus500), FaultStatus500,
		"--subprotocol xmpp", ""},
	{"Traffic Server 9.2, no rule", answered(404, "<title>Not Found on Accelerator</title>", "Server: ATS/9.2.5"), status(FaultStatus404), FaultStatus404,
		"map ws://HOST/", ""},
	{"Cockpit 287, no session", closedBy(1001, "no-session", "init"), atOnce, FaultClosedAtOnce, "Send a valid credential", "Reconnect later"},
	{"em-websocket 0.5, an exception", closedBy(3000, "Application error"), atOnce, FaultClosedAtOnce, "the reason decides", "a credential is missing"},
	{"Hypercorn 0.13, an exception", closedBy(1000, ""), atOnce, FaultClosedAtOnce, "returns early or fails", "expects nothing more"},
	{"CivetWeb 1.15, another path", withSteps(answered(0, ""), Step{Stage: StageResponse, Received: []Line{{Text: "Error 404: Not Found"}}}),
		Finding{Fault: FaultNotHTTP, Stage: StageResponse}, FaultNotHTTP, "Check the path first", "on this port does not"},
	{"Caddy 2.6, a redirect to another host", answered(302, "", "Location: https://shop.example/ws"), status(FaultStatus302), FaultStatus302, "another host", ""},
	{"sslh 1.20, whose server for TLS is down", answered(0, ""), Finding{Fault: FaultTLSToPlain, Stage: StageTLS, Detail: "the server closed the connection" + answersPlain},
		FaultTLSToPlain, "as with sslh", "the response is not a TLS record"},
	{"hitch 1.7 with write-proxy-v1", answered(400, "Failed to open a WebSocket connection: did not receive a valid HTTP request.\n", "Server: Python/3.11 websockets/10.4"),
		status(FaultStatus400), FaultUpgradeStripped, "a line of the PROXY protocol", ""},
	{"ws4py 0.5", answered(101, "", "Content-Length: 0"), Finding{Fault: FaultBody101, Stage: StageResponse, Warning: true, Detail: emptyBody101}, FaultBody101,
		"Clients ignore it", "declares a body"},
}
