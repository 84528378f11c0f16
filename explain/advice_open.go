package explain

// openAdvice is about what happens once the handshake is over.
var openAdvice = []explanation{
	{
		fault: FaultGarbage, clause: "RFC 6455 §5.2",
		cause: "What the server sent after its 101 are no WebSocket frames.",
		owner: []string{"After the empty line of the 101 come frames and nothing else: see what still writes to the connection, such as an error " +
			"page, a second answer, a line of a log.",
			"If a proxy is in front, see that it passes bytes on unchanged once it has seen a 101."},
		client: []string{"Only the server's owner can fix this. See in the evidence what came."},
	},
	{
		fault: FaultMasked, clause: "RFC 6455 §5.1",
		cause: "The server masks its frames, which only a client may, so that the client has to fail the connection.",
		owner: []string{"Use the server's side of the WebSocket library: its client's side was put on this end.",
			"In a hand-written frame, the first bit of the second byte, MASK, has to be 0, and no mask follows."},
		client: []string{"Only the server's owner can fix this."},
	},
	{
		fault: FaultFrame, clause: "RFC 6455 §5", general: true,
		cause: "The server sent a frame that breaks a rule, so that the client has to fail the connection.",
		owner: []string{"The clause says which rule. Use a WebSocket library, up to date, and one writer at a time: two that write to one connection " +
			"at once mix their frames."},
		client: []string{"Only the server's owner can fix this. If it happens under compression only, do not offer compression."},
		detail: explainFrame,
	},
	{
		fault: FaultClosedAtOnce, clause: "RFC 6455 §7.4",
		cause: "The server opened the connection and closed it at once with a close frame, whose code and reason say why.",
		owner: []string{"See the server's log for what it did not like; a credential that is checked only after the handshake is a common cause.",
			"What is known before the 101 is better told by a status, such as 401, 403, 429 or 503: a client can tell these apart."},
		client: []string{"Do what the code and the reason ask for before connecting again."},
		detail: explainCloseCode,
	},
	{
		fault: FaultNoCloseFrame, clause: "RFC 6455 §7.1.5",
		cause: "The server ended the connection without a close frame: a browser reports code 1006 and no reason.",
		owner: []string{"See the log for a crash, a kill or a restart at that moment; end connections with a close frame, 1001 when the server goes away.",
			"If the log shows nothing, a proxy or firewall on the path has cut it: see its limits of time and of connections."},
		client: []string{"Treat it as a lost connection: connect again, with a wait that grows and has chance in it."},
		detail: explainNoCloseFrame,
	},
	{
		fault: FaultNoPong, clause: "RFC 6455 §5.5.2",
		cause: "The server did not answer a ping, which it has to unless it is closing.",
		owner: []string{"Answer each ping with a pong of the same payload. Most libraries do so by themselves, as long as the application reads from the " +
			"connection: keep a reader running."},
		client: []string{"Do not take the missing pong for a dead connection; send a message of the application's own to find out."},
		detail: explainNoPong,
	},
	{
		fault: FaultNoEcho,
		cause: "The server sent no message after the one that it was sent.",
		owner: []string{"Nothing, unless an echo is expected at this path: handfast serve has one at /echo."},
		client: []string{"Send what the application's protocol expects as the first message, such as a login or a subscription.",
			"If nothing ever comes back, see whether the server reads at all."},
	},
	{
		fault: FaultNoCloseAnswer, clause: "RFC 6455 §5.5.1",
		cause:  "The server did not answer the client's close frame with one of its own.",
		owner:  []string{"Answer a close frame with a close frame, then close the connection. Keep a reader running: libraries answer while reading."},
		client: []string{"Wait for the answer for a bounded time, a few seconds, then close the connection."},
	},
	{
		fault: FaultIdle, clause: "RFC 6455 §5.5.2",
		cause: "Something on the path, or the server, ends a connection on which nothing passes for a while.",
		owner: []string{"Send pings at less than half of that time, 25 seconds fit almost everywhere, and raise the proxy's time. nginx, HAProxy, AWS ALB:",
			"    proxy_read_timeout 3600s;",
			"    timeout tunnel 1h",
			"    aws elbv2 modify-load-balancer-attributes --load-balancer-arn ARN --attributes Key=idle_timeout.timeout_seconds,Value=3600"},
		client: []string{"Send pings. A browser cannot: send a small message of the application's own, and connect again when the connection ends."},
		detail: explainIdle,
	},
	{
		fault: FaultCrossSite, clause: "RFC 6455 §10.2",
		cause: "The server accepts a handshake from a page of another site: any page may connect with the visitor's cookies (cross-site " +
			"WebSocket hijacking, CWE-1385).",
		owner: []string{"Compare the Origin header with an exact list of your own, and answer 403 to others; no substring, no wildcard:",
			"    origins: [https://app.example]",
			"It is harmless only if nothing the visitor's browser sends by itself counts: no cookie, no Basic, no client certificate, no inner network.",
			"SameSite=Lax or Strict on the cookie helps beside it, not in its place."},
		client: []string{"Nothing: a page cannot protect itself from others. Tell the server's owner."},
		detail: explainCrossSite,
	},
}
