package explain

// openAdvice explains faults after the handshake.
var openAdvice = []explanation{
	{
		fault: FaultGarbage, clause: "RFC 6455 §5.2",
		cause: "The bytes that the server sent after its 101 are not WebSocket frames.",
		owner: []string{"Only frames may follow the empty line of the 101: find out what else writes to the connection, such as an error page, " +
			"a second response or a log line.",
			"If there is a proxy in front, make sure that it forwards bytes unchanged after a 101."},
		client: []string{"Only the server's owner can fix this. The evidence shows what was received."},
		detail: explainGarbage,
	},
	{
		fault: FaultMasked, clause: "RFC 6455 §5.1",
		cause: "The server masks its frames, which only a client may do, so the client must fail the connection.",
		owner: []string{"Use the server side of the WebSocket library: this server uses the client side.",
			"In a hand-written frame, the first bit of the second byte, MASK, must be 0, and no masking key follows."},
		client: []string{"Only the server's owner can fix this."},
	},
	{
		fault: FaultFrame, clause: "RFC 6455 §5", general: true,
		cause: "The server sent a frame that breaks a rule, so the client must fail the connection.",
		owner: []string{"The clause names the rule. Use an up-to-date WebSocket library, and only one writer at a time: concurrent writers mix " +
			"their frames."},
		client: []string{"Only the server's owner can fix this. If the error occurs only with compression, do not offer compression."},
		detail: explainFrame,
	},
	{
		fault: FaultClosedAtOnce, clause: "RFC 6455 §7.4",
		cause: "The server opened the connection and closed it immediately with a close frame, whose code and reason say why.",
		owner: []string{checkLog + "; a credential that is checked only after the handshake is a common cause.",
			"Report errors that are known before the 101 with a status, such as 401, 403, 429 or 503: a client can distinguish these."},
		client: []string{"Do what the code and the reason require before reconnecting."},
		detail: explainCloseCode,
	},
	{
		fault: FaultNoCloseFrame, clause: "RFC 6455 §7.1.5",
		cause: "The connection ended without a close frame from the server: a browser reports code 1006 and no reason.",
		owner: []string{"Check the log for a crash, a kill or a restart at that time; end connections with a close frame, with 1001 when the server goes away.",
			"If the log shows nothing, a proxy or firewall on the path has closed the connection: check its timeouts and its limits on connections."},
		client: []string{"Treat the end as a lost connection: reconnect with exponential backoff and jitter."},
		detail: explainNoCloseFrame,
	},
	{
		fault: FaultNoPong, clause: "RFC 6455 §5.5.2",
		cause: "The server did not answer a ping, which it must unless it is closing.",
		owner: []string{"Answer each ping with a pong that has the same payload. Most libraries do so automatically, as long as the application reads from the " +
			"connection: keep a reader running."},
		client: []string{"A missing pong does not mean that the connection is dead; send an application message to find out."},
		detail: explainNoPong,
	},
	{
		fault: FaultNoEcho,
		cause: "The server did not reply to the message that it was sent.",
		owner: []string{"Nothing, unless an echo is expected at this path: handfast serve has one at /echo."},
		client: []string{"Send what the application's protocol expects as the first message, such as a login or a subscription.",
			"If the server never replies, check whether it reads from the connection at all."},
		detail: explainNoEcho,
	},
	{
		fault: FaultNoCloseAnswer, clause: "RFC 6455 §5.5.1",
		cause:  "The server did not answer the client's close frame with one of its own.",
		owner:  []string{"Answer a close frame with a close frame, then close the connection. Keep a reader running: libraries answer while reading."},
		client: []string{"Wait for the answer for a bounded time, a few seconds, then close the connection."},
	},
	{
		fault: FaultIdle, clause: "RFC 6455 §5.5.2",
		cause: "Something on the path, or the server, ends connections that are idle for a while.",
		owner: []string{"Send pings at less than half of that interval (25 seconds works almost everywhere), and raise the proxy's timeout. nginx, HAProxy, AWS ALB:",
			"    proxy_read_timeout 3600s;",
			"    timeout tunnel 1h",
			"    aws elbv2 modify-load-balancer-attributes --load-balancer-arn ARN --attributes Key=idle_timeout.timeout_seconds,Value=3600"},
		client: []string{"Send pings. A browser cannot: send a small application message, and reconnect when the connection ends."},
		detail: explainIdle,
	},
	{
		fault: FaultCrossSite, clause: "RFC 6455 §10.2",
		cause: "The server accepts a handshake from a page of another site: any page can connect as its visitor, with the credentials that the " +
			"visitor's browser adds (cross-site WebSocket hijacking, CWE-1385).",
		owner: []string{"Compare the Origin header with an exact list of your own, and answer 403 to others; do not match substrings or wildcards:",
			"    origins: [https://app.example]",
			"This is harmless only if the visitor's browser has no access that the attacker lacks: no cookie, no Basic credentials, no client certificate, no private network.",
			"SameSite=Lax or Strict on the cookie helps in addition, but does not replace the check of the origin."},
		client: []string{"Nothing: a page cannot protect itself from others. Tell the server's owner."},
		detail: explainCrossSite,
	},
}
