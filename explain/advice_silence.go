package explain

import "strings"

// silenceAdvice is about servers that take the request and answer with something that is no answer of HTTP/1.
var silenceAdvice = []explanation{
	{
		fault: FaultReset, clause: "RFC 9112 §9.6",
		cause: "The connection was reset instead of answered: the server crashed, or something on the path refuses the request.",
		owner: []string{
			"See the server's log for a crash at that moment, and whether it was out of connections or memory.",
			"If the log shows no request, a firewall or an intrusion filter on the path has cut it: ask for the rule.",
		},
		client: []string{"Try again, then from another network. If wss:// works where ws:// does not, the path looks into plain HTTP."},
		detail: explainReset,
	},
	{
		fault: FaultClosedUnanswered, clause: "RFC 9112 §9.6",
		cause: "The server closed the connection without an answer to the request.",
		owner: []string{
			"See the server's log: a handler that crashes before its first byte looks like this, as does a limit of connections.",
			"nginx does it on purpose where the configuration says",
			"    return 444;",
		},
		client: []string{"Check host and path: many servers hang up on a Host header that they do not know."},
	},
	{
		fault: FaultNoResponse, clause: "RFC 9112 §9.5",
		cause: "The server took the request and gave no answer in time.",
		owner: []string{
			"See what the handler waits for before its 101: a login service, a database, a free worker.",
			"A server with a fixed number of workers has none left when each holds a WebSocket: use one made for many connections.",
		},
		client: []string{"Check the port: a service of another protocol may wait for other bytes. Else try again later."},
	},
	{
		fault: FaultNotHTTP, clause: "RFC 9112 §4",
		cause:  "What answers on this port does not speak HTTP.",
		owner:  []string{"Check which service listens there (ss -ltnp), and which port was published for WebSocket."},
		client: []string{"Check the host and the port: ws:// without one means 80, wss:// means 443."},
		detail: explainBanner,
	},
	{
		fault: FaultHeadBroken, clause: "RFC 9112 §2.1", general: true,
		cause: "The head of the answer breaks the grammar of HTTP/1.1, so that no client may use it.",
		owner: []string{
			"A handshake written by hand: status line, fields with a colon, an empty line, each ended by CR LF:",
			"    HTTP/1.1 101 Switching Protocols",
			"    Upgrade: websocket",
			"    Connection: Upgrade",
			"    Sec-WebSocket-Accept: VALUE",
			"Better, use a WebSocket library: it writes the head itself, and the application must write nothing before it.",
		},
		client: []string{"Only the server's owner can fix this. See in the evidence what came."},
		detail: explainLineEnd,
	},
	{
		fault: FaultHeadTooLarge, clause: "RFC 9110 §5.4",
		cause:  "The head of the answer is larger than clients take.",
		owner:  []string{"Send fewer and smaller fields: most often it is a heap of Set-Cookie, or a token or a debug trace in a header."},
		client: []string{"Clear the cookies of this host and try again. The bound is there for safety; do not lift it."},
	},
	{
		fault: FaultHeadEndless, clause: "RFC 9112 §8",
		cause: "The head of the answer began and did not end: the empty line behind the last field did not come.",
		owner: []string{
			"End the head with an empty line, CR LF CR LF, and flush it before waiting for the first message.",
			"If the handler ends while it writes, see its log for a crash.",
		},
		client: []string{"Only the server's owner can fix this. See in the evidence how far it came."},
	},
}

// explainReset is for a connection that was reset before anything was sent.
func explainReset(_ *Report, f Finding, d *Diagnosis) {
	if f.Stage == StageTCP {
		d.Cause = "The connection was reset as soon as it was open, before the client had sent anything."
		d.forOwner("A listener whose process has gone, a full one, and a proxy without a backend do this.")
	}
}

// explainLineEnd tells of the one breach that not every client minds.
func explainLineEnd(_ *Report, f Finding, d *Diagnosis) {
	if strings.Contains(f.Detail, bareLF) {
		d.Cause = "Lines of the answer's head end in a bare LF instead of CR LF: browsers let it pass, as RFC 9112 allows, and strict clients " +
			"refuse it, those of Node, of Python's websockets and of handfast among them."
		d.ForClient = []string{"Only the server's owner can fix this. A browser opens the connection all the same."}
	}
}

// The services that speak first, by how they begin.
var banners = []struct{ prefix, service string }{
	{"SSH-", "an SSH server"}, {"220", "an SMTP or FTP server"}, {"+OK", "a POP3 server"}, {"* OK", "an IMAP server"},
	{"-ERR", "a Redis server, or one of POP3"}, {"RFB ", "a VNC server"}, {"INFO {", "a NATS server"},
}
