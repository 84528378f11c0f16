package explain

const useLibrary = "Use a WebSocket library instead of writing the response by hand, and make sure that nothing changes its fields afterwards."

// The advice for a 101 without Upgrade is also the advice for a 101 without Connection.
var (
	bothFields = []string{"The response needs both lines, and each proxy on the way must forward them:",
		"    Upgrade: websocket",
		"    Connection: Upgrade",
		useLibrary}
	fieldLost = []string{"If a proxy on the way removed the header, wss:// may avoid the proxy: try that. Otherwise only the server's owner can fix this."}
)

// switchingAdvice explains a 101 that violates a rule. Clients must then fail the connection, and browsers do.
var switchingAdvice = []explanation{
	{
		fault: FaultHTTP10, clause: "RFC 9110 §15.2",
		cause: "The server answered 101 in HTTP/1.0, which has no such status.",
		owner: []string{"Answer with HTTP/1.1. A proxy that speaks HTTP/1.0 to the server is a common cause. nginx:",
			"    proxy_http_version 1.1;"},
		client: []string{"Only the server's owner can fix this."},
		detail: nameProxy,
	},
	{
		fault: FaultUpgradeMissing, clause: "RFC 6455 §4.1",
		cause: "The 101 has no Upgrade header, so the response does not name the new protocol.",
		owner: bothFields, client: fieldLost, detail: explainStrippedAnswer,
	},
	{
		fault: FaultUpgradeWrong, clause: "RFC 6455 §4.1",
		cause:  "The Upgrade header of the 101 names a protocol other than websocket.",
		owner:  []string{"The response to this request must have:", "    Upgrade: websocket", useLibrary},
		client: []string{"Check the path: the server there upgrades to another protocol."},
	},
	{
		fault: FaultConnectionMissing, clause: "RFC 6455 §4.1",
		cause: "The 101 has no Connection header, so its Upgrade header does not apply.",
		owner: bothFields, client: fieldLost, detail: explainStrippedAnswer,
	},
	{
		fault: FaultConnectionWrong, clause: "RFC 6455 §4.1",
		cause: "The Connection header of the 101 lacks the token Upgrade, so its Upgrade header does not apply.",
		owner: []string{"The response needs both lines; a proxy must not put keep-alive or close in their place:",
			"    Upgrade: websocket",
			"    Connection: Upgrade"},
		client: []string{"If a proxy on the way changed the header, wss:// may avoid the proxy: try that. Otherwise only the server's owner can fix this."},
		detail: explainStrippedAnswer,
	},
	{
		fault: FaultAcceptMissing, clause: "RFC 6455 §4.1",
		cause: "The 101 has no Sec-WebSocket-Accept header, which proves that the server has understood this request.",
		owner: []string{"Send the SHA-1 of the key and the GUID, in base64:",
			"    Sec-WebSocket-Accept: base64(SHA-1(key + \"258EAFA5-E914-47DA-95CA-C5AB0DC85B11\"))",
			useLibrary},
		client: []string{"Only the server's owner can fix this. Servers that speak a draft from before 2011 do not send this header, nor do those that only pretend to speak WebSocket."},
	},
	{
		fault: FaultAcceptWrong, clause: "RFC 6455 §4.1",
		cause: "The Sec-WebSocket-Accept header of the 101 does not match the key of this request.",
		owner: []string{"Compute the value from the text of the key in the header, not decoded, without spaces around it:",
			"    Sec-WebSocket-Accept: base64(SHA-1(key + \"258EAFA5-E914-47DA-95CA-C5AB0DC85B11\"))",
			"The base64 is that of the 20 bytes of the hash, not of its 40 hexadecimal digits. A typing error in the GUID is another common mistake.",
			"If the computation is right, a cache or a proxy answers with the handshake of another client: do not cache responses to handshakes."},
		client: []string{"Only the server's owner can fix this. Do not skip this check: it prevents other services from being mistaken for a WebSocket."},
	},
	{
		fault: FaultAcceptRepeated, clause: "RFC 6455 §11.3.3",
		cause:  "The 101 has more than one Sec-WebSocket-Accept header.",
		owner:  []string{"Set the header in one place only: often a framework and the application both set it, or a proxy and the server.", useLibrary},
		client: []string{"Only the server's owner can fix this."},
	},
	{
		fault: FaultSubprotocolUnasked, clause: "RFC 6455 §4.1",
		cause: "The server chose a subprotocol that the client did not offer, so browsers fail the connection.",
		owner: []string{"Choose one of the subprotocols in the request's Sec-WebSocket-Protocol, compared exactly, including case; if the server speaks none of them, send no such header."},
		client: []string{"Offer a subprotocol that the server speaks. In a browser, and with handfast explain:",
			"    new WebSocket(url, [\"NAME\"])",
			"    --subprotocol NAME"},
		detail: explainSubprotocol,
	},
	{
		fault: FaultSubprotocolNone, clause: "WHATWG WebSockets §2.2",
		cause: "The client offered subprotocols and the server chose none: RFC 6455 allows that, but browsers fail the connection.",
		owner: []string{"Configure the subprotocols that the server speaks, so that it answers with one of those offered:",
			"    Sec-WebSocket-Protocol: NAME",
			"A proxy in front must forward the header in both directions."},
		client: []string{"Offer a subprotocol that the server speaks, or none at all.",
			"If a token is sent as a subprotocol, also offer a real subprotocol, which the server can choose."},
		detail: explainSubprotocol,
	},
	{
		fault: FaultSubprotocolRepeated, clause: "RFC 6455 §11.3.4",
		cause:  "The 101 has more than one Sec-WebSocket-Protocol header.",
		owner:  []string{"Choose one of those offered, and send it once; do not send the client's list back."},
		client: []string{"Offer one subprotocol only, until the owner has fixed it."},
		detail: explainSubprotocol,
	},
	{
		fault: FaultTokenEchoed, clause: "RFC 6750 §5.3",
		cause: "The server chose the subprotocol that carries the token, so the secret is in the response, and possibly in logs on the path.",
		owner: []string{"Remove the token from the list before the subprotocol is chosen, and choose a real one.",
			"Treat the echoed tokens as leaked: proxies and logs may have recorded them."},
		client: []string{"Offer a real subprotocol in addition to the token, first in the list, and use tokens that expire after a minute."},
	},
	{
		fault: FaultExtensionUnasked, clause: "RFC 6455 §4.1",
		cause:  "The server agreed to an extension that the client did not offer, so the client must fail the connection.",
		owner:  []string{"Answer only with extensions that are in the request's Sec-WebSocket-Extensions; without the header, send none."},
		client: []string{"If the extension is wanted, offer it: permessage-deflate is compression. Otherwise only the server's owner can fix this."},
	},
	{
		fault: FaultExtensionParams, clause: "RFC 7692 §7.1", general: true,
		cause: "The server agreed to an extension with parameters that are not allowed, so the client must fail the connection.",
		owner: []string{"permessage-deflate allows four parameters, each at most once: server_no_context_takeover and client_no_context_takeover without a value, " +
			"server_max_window_bits and client_max_window_bits from 8 to 15, the last only if the client has offered it.",
			"Turn compression off until the library is fixed or updated."},
		client: []string{"Offer no compression: then the server has nothing to agree to."},
	},
	{
		fault: FaultBody101, clause: "RFC 9110 §8.6", general: true,
		cause: "The 101 declares a body, but a 101 has no body: frames follow its head immediately.",
		owner: []string{"Send neither Content-Length nor Transfer-Encoding with a 101, and no body. A middleware that adds them must not change a 101.",
			useLibrary},
		client: []string{"Only the server's owner can fix this: what it sends cannot be distinguished from frames."},
		detail: explainBody101,
	},
}

const emptyBody101 = "the 101 has a Content-Length of 0, although it must have none"

// explainBody101 is for a Content-Length of 0, which does no harm.
func explainBody101(_ *Report, f Finding, d *Diagnosis) {
	if f.Detail == emptyBody101 {
		d.Cause = "The 101 has a Content-Length of 0, although a 101 must have none. Clients ignore it."
		d.ForClient = []string{"Nothing: the connection works."}
	}
}
