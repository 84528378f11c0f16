//go:build e2e && servers

package explain

import (
	"path/filepath"
	"strings"
)

// node is a program of servers/FILE.js: the configuration of a sample is the function there, with its arguments.
func node(name, file string, samples ...sample) program {
	modules, _ := filepath.Abs("servers/node_modules/ws")
	script, _ := filepath.Abs("servers/run.js")
	return program{name: name, needs: modules, samples: samples, start: func(l *lab, conf string) {
		l.run("node", append([]string{script, l.port, file}, strings.Fields(conf)...)...)
	}}
}

const root = "ws://127.0.0.1:@PORT/"

func nodePrograms() []program {
	return []program{
		node("ws", "ws",
			sample{name: "echo", conf: "plain", args: []string{"--echo", "hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "wrong path", conf: "plain", url: root + "chat", truth: "The server has its path option, and answers 400 to any other path.",
				must: []string{"=status-400", "path"}},
			sample{name: "wss to a plain port", conf: "plain", url: "wss://127.0.0.1:@PORT/ws", truth: "The port speaks plain HTTP, not TLS.",
				must: []string{"=tls-to-plain-port", "ws://"}},
			sample{name: "compression", conf: "deflate", args: []string{"--echo", "hello hello hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "another origin", conf: "origin", truth: "verifyClient refuses the origin; ws answers 401, although no credential is missing.",
				must: []string{"origin"}, never: []string{"requires authentication"}},
			sample{name: "the allowed origin", conf: "origin", args: []string{"--origin", origin}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "no token", conf: "token", truth: "verifyClient requires a token in the query, and the request has none.", must: []string{"=status-401", "token|credential"}},
			sample{name: "wrong token", conf: "token", args: []string{"--query-token", "token=wrong"}, truth: "The token in the query is not valid.",
				must: []string{"it is wrong, expired or revoked", "=status-401", "token|credential"}, never: []string{"has sent no credential"}},
			sample{name: "the right token", conf: "token", args: []string{"--query-token", "token=right"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "no bearer", conf: "bearer", truth: "verifyClient requires Authorization: Bearer, and the request has none.", must: []string{"=status-401", "credential|--bearer"}},
			sample{name: "another subprotocol", conf: "subprotocol", args: []string{"--subprotocol", "chat.v1"},
				truth: "The server speaks chat.v2 only, so it chooses none of the offered ones, and a browser fails the connection.",
				must:  []string{"=no-subprotocol", "chat.v1"}},
			sample{name: "the right subprotocol", conf: "subprotocol", args: []string{"--subprotocol", "chat.v2"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "a message too large", conf: "small", args: []string{"--echo", strings.Repeat("x", 100)},
				truth: "The message has 100 bytes, and the server's maxPayload is 64.", must: []string{"1009|large|too big"}, never: []string{"credential"}},
			sample{name: "a handler that crashes", conf: "crash", args: []string{"--echo", "hello"},
				truth: "The handler throws because the message is not JSON, so that the process ends and the connection breaks.",
				must:  []string{"log|crash"}, never: []string{"firewall dropped", "idle timeout"}},
			sample{name: "a handler that crashes when it is opened", conf: "crashOnOpen", truth: "The connection handler throws, so that the process ends.",
				must: []string{"log|crash|exception"}},
			sample{name: "closed with 1008", conf: "close 1008 token required", truth: "The server closes with 1008, since a token is required.", must: []string{"1008", "token required"}},
			sample{name: "closed with 4401", conf: "close 4401 Unauthorized", truth: "The server closes with an application code, since the client is not authorized.", must: []string{"4401", "Unauthorized"}},
			sample{name: "closed with 1011", conf: "close 1011", truth: "The server closes with 1011: an error in the server.", must: []string{"1011", "log"}},
			sample{name: "closed with 1000", conf: "close 1000 done", truth: "The server closes normally, right after opening.", must: []string{"1000", "done"}, never: []string{"a credential that is checked", "credential is wrong"}},
			sample{name: "closed with 1012", conf: "close 1012 restarting", truth: "The server restarts.", must: []string{"1012", "restart"}, never: []string{"a credential that is checked"}},
			sample{name: "terminated", conf: "terminate", truth: "The server ends the TCP connection without a close frame, right after opening.", must: []string{"without a close frame|no close frame"}},
			sample{name: "no pong", conf: "mute", truth: "The server does not answer pings: autoPong is false.", must: []string{"pong|ping"}},
			sample{name: "echo as binary", conf: "buffers", args: []string{"--echo", "hello"}, truth: "The server answers a text message with a binary one, since ws passes text as a Buffer.",
				must: []string{"binary"}, never: []string{"the same message was received"}},
			sample{name: "ws to a TLS port", conf: "tls @PEM @KEY", truth: "The port speaks TLS.", must: []string{"=plain-to-tls-port", "wss://"}},
			sample{name: "unknown CA", conf: "tls @PEM @KEY", url: "wss://localhost:@PORT/ws", truth: "The certificate is of a CA that the client does not know.",
				must: []string{"=cert-unknown-issuer|cert-missing-intermediate"}},
			sample{name: "TLS", conf: "tls @PEM @KEY", url: "wss://localhost:@PORT/ws", args: []string{"--cacert", "@CA"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "two servers, the first", conf: "two", url: root + "chat", truth: "Two servers of ws share an HTTP server: the second one writes its 400 for another path into the connection that the first one has opened.", must: []string{"=garbage-after-101", "WebSocketServer"}},
			sample{name: "two servers, the second", conf: "two", url: root + "news",
				truth: "Two servers of ws share an HTTP server, and the first one answers 400 for the second's path.", must: []string{"=status-400", "WebSocketServer"}},
		),
		node("http of Node", "ws",
			sample{name: "destroyed", conf: "destroy", truth: "The upgrade listener destroys the socket, as for a path it does not know.", must: []string{"=closed-before-response"}, never: []string{"credential is missing"}},
			sample{name: "forgotten", conf: "forgotten", args: []string{"--step-timeout", "2s"}, truth: "The upgrade listener never answers.", must: []string{"=response-timeout"}},
			sample{name: "a bare 401", conf: "bare401", truth: "The upgrade listener answers 401 with nothing else.", must: []string{"=status-401"}},
			sample{name: "no WebSocket", conf: "unattached", truth: "No WebSocket server is attached to the HTTP server, so that it answers 200.", must: []string{"=status-200"}},
			sample{name: "throwing", conf: "throwing", truth: "The upgrade listener throws, and the process ends.", must: []string{"=closed-before-response|connection-reset", "log|crash"}},
			sample{name: "an overloaded server", conf: "slow", truth: "The server answers 503.", must: []string{"=status-503"}},
		),
		node("a handshake by hand", "ws",
			sample{name: "hex", conf: "hex", truth: "The accept value is in hexadecimal, not in base64.", must: []string{"=accept-wrong", "in hexadecimal"}},
			sample{name: "another GUID", conf: "otherGUID", truth: "The GUID is mistyped.", must: []string{"=accept-wrong", "GUID"}},
			sample{name: "no GUID", conf: "noGUID", truth: "The accept value is the SHA-1 of the key without the GUID.", must: []string{"=accept-wrong", "without the GUID"}},
			sample{name: "no Connection", conf: "noConnection", truth: "The 101 has no Connection header.", must: []string{"=connection-header-missing"}},
			sample{name: "a fixed subprotocol", conf: "fixedProtocol", truth: "The server always answers a subprotocol, and the client offered none.", must: []string{"=unasked-subprotocol", "chat"}},
			sample{name: "an unasked extension", conf: "unaskedExtension", truth: "The server agrees to an extension that was not offered.", must: []string{"=unasked-extension"}},
			sample{name: "no end of the head", conf: "unended", args: []string{"--step-timeout", "2s"}, truth: "The empty line after the 101 is missing.", must: []string{"=head-never-ends"}},
			sample{name: "200 with the headers of a 101", conf: "status200", truth: "The server answers 200 instead of 101, with all other headers of a handshake.", must: []string{"=status-200"},
				never: []string{"has no WebSocket"}},
			sample{name: "masked frames", conf: "masked", truth: "The server masks its frames.", must: []string{"=masked-server-frames"}},
			sample{name: "text without frames", conf: "plainText", truth: "The server sends text without framing after the 101.", must: []string{"=garbage-after-101|frame-invalid"}},
			sample{name: "invalid UTF-8", conf: "invalidUTF8", truth: "A text message is not valid UTF-8.", must: []string{"UTF-8"}},
			sample{name: "a reserved opcode", conf: "opcode", truth: "The server sends a frame with the reserved opcode 3.", must: []string{"opcode"}},
			sample{name: "a ping of 126 bytes", conf: "longPing", truth: "The server sends a ping of more than 125 bytes.", must: []string{"125"}},
			sample{name: "fragments", conf: "fragmented", truth: "Two text frames begin without the first message's end.", must: []string{"=frame-invalid", "fragment|continuation"}},
			sample{name: "compressed, though not agreed", conf: "compressed", truth: "The server sends a compressed frame, and compression was not agreed on.", must: []string{"RSV1", "compress"}},
			sample{name: "a reserved code", conf: "badCode", truth: "The server closes with 1005, which must never be sent.", must: []string{"1005"}},
		),
		node("Node's inspector", "dev",
			sample{name: "no identifier", conf: "inspect", truth: "The path lacks the identifier of the target.", must: []string{"=status-400", "path|URL"}},
			sample{name: "another Host", conf: "inspect", args: []string{"-H", "Host: node.example"}, truth: "The inspector accepts only an IP address or localhost as Host.", must: []string{"=status-400", "Host"}},
			sample{name: "wss", conf: "inspect", url: "wss://127.0.0.1:@PORT/", truth: "The port speaks plain HTTP.", must: []string{"=tls-to-plain-port"}},
		),
		node("http2 of Node", "dev",
			sample{name: "cleartext HTTP/2", conf: "http2", truth: "The port speaks HTTP/2 only.", must: []string{"=http2-only"}},
		),
	}
}
