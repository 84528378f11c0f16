package explain

import "strings"

// silenceAdvice explains faults of servers that receive the request and do not respond with HTTP/1.
var silenceAdvice = []explanation{
	{
		fault: FaultReset, clause: "RFC 9112 §9.6",
		cause: "The connection was reset instead of answered: most likely the server crashed, something on the path rejects the request, or the port is for " +
			"another protocol.",
		owner: []string{
			"Check the server's log for a crash at that time, and whether the server ran out of connections or memory.",
			"If the log shows no request, a firewall or an intrusion prevention system on the path has reset the connection: ask its operator which rule matched.",
			"A listener that expects the PROXY protocol also resets the connection, as does a TLS proxy such as stunnel if its backend is down.",
		},
		client: []string{"Check the port. Try again, then from another network. If wss:// works where ws:// does not, something on the path inspects plain HTTP."},
		detail: explainReset,
	},
	{
		fault: FaultClosedUnanswered, clause: "RFC 9112 §9.6",
		cause: "The connection was closed without a response to the request.",
		owner: []string{
			"Check the server's log: a handler that crashes before it responds has this effect, as does a limit on connections.",
			"nginx closes the connection on purpose where its configuration has",
			"    return 444;",
			"A proxy written in Node, such as http-proxy or Vite's, does so if it cannot reach its backend: check the log of the proxy.",
			"A TCP balancer or a proxy that terminates TLS also does so if the server behind it is down or expects TLS a second time.",
		},
		client: []string{"Check the host and the path: many servers close the connection for an unknown Host header, and Socket.IO for a path that is not its own.",
			"Check the port: a service that speaks another protocol closes the connection, too."},
		detail: explainClosedConnection,
	},
	{
		fault: FaultNoResponse, clause: "RFC 9112 §9.5",
		cause: "The server accepted the connection but did not respond to the request in time.",
		owner: []string{
			"Find out what the handler waits for before its 101: a login service, a database, a free worker.",
			"A server with a fixed number of workers has none left when each holds a WebSocket: use one designed for many connections.",
			"A proxy written in Node, such as http-proxy or Vite's, forwards WebSockets only if its configuration has",
			"    ws: true",
		},
		client: []string{"Check the path: Node does not respond if no upgrade handler accepts the request, as on any path but that of a server for SockJS, Faye, " +
			"webpack or Vite. Vite also requires the subprotocol: --subprotocol vite-hmr",
			"Check the port: a service that speaks another protocol may be waiting for different data. Otherwise try again later."},
	},
	{
		fault: FaultNotHTTP, clause: "RFC 9112 §4",
		cause:  "The server on this port does not respond with HTTP.",
		owner:  []string{"Check which service is listening there (ss -ltnp), and which port was published for WebSocket."},
		client: []string{"Check the host and the port: ws:// without a port means 80, wss:// means 443."},
		detail: explainBanner,
	},
	{
		fault: FaultHeadBroken, clause: "RFC 9112 §2.1", general: true,
		cause: "The response head is not valid HTTP/1.1, so clients must reject it.",
		owner: []string{
			"For a hand-written handshake: a status line, fields with a colon, and an empty line, each ending in CR LF:",
			"    HTTP/1.1 101 Switching Protocols",
			"    Upgrade: websocket",
			"    Connection: Upgrade",
			"    Sec-WebSocket-Accept: VALUE",
			"Better: use a WebSocket library, which writes the head itself; the application must not write anything before it.",
		},
		client: []string{"Only the server's owner can fix this. The evidence shows what was received."},
		detail: explainLineEnd,
	},
	{
		fault: FaultHeadTooLarge, clause: "RFC 9110 §5.4",
		cause:  "The response head is larger than clients accept.",
		owner:  []string{"Send fewer and smaller fields: most often the cause is many Set-Cookie fields, or a token or a debug trace in a header."},
		client: []string{"Clear the cookies of this host and try again. The limit is there for safety; do not raise it."},
	},
	{
		fault: FaultHeadEndless, clause: "RFC 9112 §8",
		cause: "The response head is incomplete: the empty line after the last field was not received.",
		owner: []string{
			"End the head with an empty line, CR LF CR LF, and flush it before waiting for the first message.",
			"If the handler stops while writing, check its log for a crash.",
		},
		client: []string{"Only the server's owner can fix this. The evidence shows how much was received."},
		detail: explainOnlyInterim,
	},
}

// explainClosedConnection adds that some servers close the connection if they support none of the offered subprotocols.
func explainClosedConnection(r *Report, _ Finding, d *Diagnosis) {
	if r.Target != nil && len(r.Target.Subprotocols) == 0 {
		d.forClient("Check whether the server requires a subprotocol or a token in the query: libwebsockets and websockify close the connection without them.")
	}
	if r.Target != nil && len(r.Target.Subprotocols) > 0 {
		d.forClient("Check the subprotocol: libwebsockets closes the connection if it knows none of those offered (" + strings.Join(r.Target.Subprotocols, ", ") + ").")
	}
}

// explainOnlyInterim explains interim responses without a final response.
func explainOnlyInterim(_ *Report, f Finding, d *Diagnosis) {
	if !strings.HasPrefix(f.Detail, onlyInterim) {
		return
	}
	d.Cause = "The server sent only interim responses (1xx), which a client skips, and no final one."
	d.Clause = clauseInterim
	d.ForOwner = []string{
		"Send the final response on the same connection: 101 for a WebSocket.",
		"If the handler stops after an interim response, check its log for a crash. A proxy may also have lost the final response: check its log.",
	}
}

// explainReset explains a connection that was reset before the client had sent anything.
func explainReset(r *Report, f Finding, d *Diagnosis) {
	explainOnlyInterim(r, f, d)
	if f.Stage == StageTCP {
		d.Cause = "The connection was reset immediately after it was opened, before the client had sent anything."
		d.forOwner("A listener whose process has exited, one with a full queue, and a proxy without a backend do this.")
	}
}

// explainLineEnd explains a bare LF, which some clients tolerate.
func explainLineEnd(_ *Report, f Finding, d *Diagnosis) {
	if strings.Contains(f.Detail, bareLF) {
		d.Cause = "Lines of the response head end in a bare LF instead of CR LF: browsers accept this, as RFC 9112 allows, but strict clients " +
			"reject it, among them those of Node, Python's websockets and handfast."
		d.ForClient = []string{"Only the server's owner can fix this. A browser opens the connection anyway."}
	}
}

// banners contains the beginnings of the greetings that services send first.
var banners = []struct{ prefix, service string }{
	{"SSH-", "an SSH server"}, {"220", "an SMTP or FTP server"}, {"+OK", "a POP3 server"}, {"* OK", "an IMAP server"},
	{"-ERR", "a Redis or POP3 server"}, {"RFB ", "a VNC server"}, {"INFO {", "a NATS server"},
}
