//go:build e2e && servers

package explain

import (
	"path/filepath"
	"strings"
)

// goServer is a program of servers/go: the configuration of a sample is the name there, with its arguments.
func goServer(name string, samples ...sample) program {
	binary, _ := filepath.Abs("../../bin/corpus-servers")
	return program{name: name, needs: binary, samples: samples, start: func(l *lab, conf string) {
		name, args, _ := strings.Cut(conf, " ")
		l.run(binary, append([]string{name, l.port}, strings.Fields(args)...)...)
	}}
}

// long is a message that exceeds the limits of the servers with a limit.
var long = strings.Repeat("x", 100)

func goLibraries() []program {
	return []program{
		goServer("gorilla",
			sample{name: "echo", conf: "gorilla", args: []string{"--echo", "hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "another path", conf: "gorilla", url: root + "other", truth: "The path is wrong.", must: []string{"=status-404", "path"}},
			sample{name: "another origin", conf: "gorilla", args: []string{"--origin", origin}, truth: "The default of CheckOrigin refuses another origin than that of the host.", must: []string{"=origin-refused"}},
			sample{name: "an origin by CheckOrigin", conf: "gorilla-origin", truth: "CheckOrigin allows only https://app.example.", must: []string{"=origin-refused|status-403", "origin"}, never: []string{"the origin is not the likely reason"}},
			sample{name: "another subprotocol", conf: "gorilla-subprotocol", args: []string{"--subprotocol", "chat.v1"}, truth: "The server speaks chat.v2 only.", must: []string{"=no-subprotocol"}},
			sample{name: "too large", conf: "gorilla-small", args: []string{"--echo", long}, truth: "The message exceeds the read limit.", must: []string{"1009|large"}, never: []string{"a credential that is checked"}},
			sample{name: "compression", conf: "gorilla-deflate", args: []string{"--echo", "hello hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "no bearer", conf: "gorilla-bearer", truth: "The request has no bearer token.", must: []string{"=status-401", "Bearer"}},
			sample{name: "the wrong bearer", conf: "gorilla-bearer", args: []string{"--bearer", "wrong"}, truth: "The bearer token is not valid.", must: []string{"it is wrong, expired or revoked", "=status-401", "token|credential"}},
			sample{name: "no Hijacker", conf: "gorilla-logging", truth: "A middleware hides http.Hijacker, so that the upgrade fails with 500.", must: []string{"=status-500", "Hijacker"}},
			sample{name: "TimeoutHandler", conf: "gorilla-timeout", truth: "http.TimeoutHandler hides http.Hijacker, so that the upgrade fails with 500.", must: []string{"=status-500", "Hijacker"}},
			sample{name: "a middleware that compresses", conf: "gorilla-gzip", truth: "A middleware that compresses hides http.Hijacker, so that the upgrade fails with 500.", must: []string{"=status-500", "Hijacker"}},
			sample{name: "a panic after the upgrade", conf: "gorilla-panic", truth: "The handler panics after the upgrade, so that the connection ends.", must: []string{"log|panic|crash"}},
			sample{name: "a panic before the upgrade", conf: "gorilla-panic-before", truth: "The handler panics before the upgrade, so that net/http closes the connection.", must: []string{"=closed-before-response", "log|panic|crash"}},
			sample{name: "200 before the upgrade", conf: "gorilla-header", truth: "The handler has written a 200 before it upgrades.", must: []string{"=status-200|head-broken|garbage-after-101"}, never: []string{"there is no WebSocket at this path, or the upgrade request did not reach it"}},
			sample{name: "a handler that returns", conf: "gorilla-returns", truth: "The handler sends one message and closes TCP without a close frame.", must: []string{"without a close frame|no close frame|handler"}},
			sample{name: "no reader", conf: "gorilla-noreader", args: []string{"--step-timeout", "2s"}, truth: "The server never reads, so that it answers no ping.", must: []string{"pong|ping"}},
			sample{name: "POST only", conf: "gorilla-post", truth: "The route is for POST only.", must: []string{"=status-405", "GET"}},
			sample{name: "a trailing slash", conf: "gorilla-slash", truth: "The route is /ws/, so that net/http redirects.", must: []string{"=status-301|status-307|status-308", "/ws/"}},
			sample{name: "503", conf: "gorilla-limit", truth: "The server has too many connections, and names 30 s to wait.", must: []string{"=status-503", "30"}},
			sample{name: "not JSON", conf: "gorilla-bad-json", args: []string{"--echo", "hello"}, truth: "The message is not JSON: 1003.", must: []string{"1003", "expected JSON"}, never: []string{"a credential that is checked", "send text instead of binary, or vice versa"}},
			sample{name: "TLS with HTTP/2", conf: "gorilla-tls @PEM @KEY", url: "wss://localhost:@PORT/ws", args: []string{"--cacert", "@CA"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "ws to TLS", conf: "gorilla-tls @PEM @KEY", truth: "The port speaks TLS.", must: []string{"=plain-to-tls-port"}},
			sample{name: "an untrusted CA", conf: "gorilla-tls @PEM @KEY", url: "wss://localhost:@PORT/ws", truth: "The CA is unknown.", must: []string{"=cert-unknown-issuer|cert-missing-intermediate"}},
			sample{name: "an expired certificate", conf: "gorilla-tls @OLD @OLD", url: "wss://localhost:@PORT/ws", args: []string{"--cacert", "@CA"}, truth: "The certificate has expired.", must: []string{"=cert-expired"}},
			sample{name: "another name", conf: "gorilla-tls @ALIEN @ALIEN", url: "wss://localhost:@PORT/ws", args: []string{"--cacert", "@CA"}, truth: "The certificate is for another name.", must: []string{"=cert-wrong-name"}},
			sample{name: "a page for every path", conf: "gorilla-page", truth: "The server has no WebSocket: it answers with a page.", must: []string{"=status-200"}},
		),
		goServer("x/net/websocket",
			sample{name: "echo", conf: "xnet", args: []string{"--echo", "hello"}, truth: "The library answers no close frame: it ends TCP. Otherwise nothing is wrong.", must: []string{"=closed-without-close-frame", "x/net"}, never: []string{"Check the log for a crash", "reconnect with"}},
			sample{name: "no origin", conf: "xnet", args: []string{"--no-origin"}, truth: "The default handshake requires an Origin: 403.", must: []string{"=status-403|origin-refused", "origin"}, never: []string{"the page that the request comes from", "or sends no Origin"}},
			sample{name: "another origin", conf: "xnet-origin", truth: "The handshake function allows only https://app.example.", must: []string{"=status-403|origin-refused", "origin"}, never: []string{"the origin is not the likely reason"}},
			sample{name: "a fixed subprotocol", conf: "xnet-subprotocol", truth: "The server answers a subprotocol that the client did not offer.", must: []string{"=unasked-subprotocol"}},
			sample{name: "a handler that returns", conf: "xnet-returns", truth: "The handler sends one message and returns, so that the connection ends.", must: []string{"handler|returns|closed"}},
			sample{name: "no Hijacker", conf: "xnet-logging", truth: "A middleware hides http.Hijacker, so that the handler panics.", must: []string{"=closed-before-response|status-500", "Hijacker|log|crash|panic"}},
		),
		goServer("Melody",
			sample{name: "echo", conf: "melody", args: []string{"--echo", "hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "too large", conf: "melody", args: []string{"--echo", long}, truth: "The message exceeds MaxMessageSize.", must: []string{"1009|large"}, never: []string{"a credential that is checked"}},
			sample{name: "no Hijacker", conf: "melody-logging", truth: "A middleware hides http.Hijacker.", must: []string{"=status-500", "Hijacker"}},
			sample{name: "closed with 4401", conf: "melody-close", args: []string{"--probe-idle", "1s"}, truth: "The server closes with 4401, token expired.", must: []string{"4401", "token expired"}},
			sample{name: "no token", conf: "melody-token", truth: "The query lacks a token.", must: []string{"=status-403", "token"}, never: []string{"the origin is the reason"}},
		),
		goServer("coder",
			sample{name: "echo", conf: "coder", args: []string{"--echo", "hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "another origin", conf: "coder", args: []string{"--origin", origin}, truth: "The library refuses another origin than that of the host.", must: []string{"=origin-refused"}},
			sample{name: "the origin of a pattern", conf: "coder-origin", args: []string{"--origin", origin}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "another subprotocol", conf: "coder-subprotocol", args: []string{"--subprotocol", "chat.v1"}, truth: "The server speaks chat.v2 only.", must: []string{"=no-subprotocol"}},
			sample{name: "too large", conf: "coder-small", args: []string{"--echo", long}, truth: "The message exceeds the read limit.", must: []string{"1009|large"}, never: []string{"a credential that is checked"}},
			sample{name: "compression", conf: "coder-deflate", args: []string{"--echo", "hello hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "no Hijacker", conf: "coder-logging", truth: "A middleware hides http.Hijacker, so that the library answers 501.", must: []string{"=status-other|status-500", "Hijacker"}},
			sample{name: "closed with 1008", conf: "coder-close", truth: "The server closes with 1008: a subprotocol is required.", must: []string{"1008", "must speak the echo subprotocol"}},
			sample{name: "ended", conf: "coder-now", truth: "The server ends the connection without a close frame.", must: []string{"without a close frame|no close frame"}},
			sample{name: "no reader", conf: "coder-noreader", args: []string{"--step-timeout", "2s"}, truth: "The server never reads, so that it answers no ping.", must: []string{"pong|ping"}},
			sample{name: "a context that ends", conf: "coder-context", truth: "The context of the read ends, so that the library ends the connection without a close frame.", must: []string{"without a close frame|no close frame"}},
		),
		goServer("gws",
			sample{name: "echo", conf: "gws", args: []string{"--echo", "hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "no pong", conf: "gws-noping", args: []string{"--step-timeout", "2s"}, truth: "The library answers a ping with an empty pong.", must: []string{"=no-pong"}},
			sample{name: "no token", conf: "gws-authorize", truth: "Authorize refuses the request: gws writes an error.", must: []string{"=status-401|status-403|status-400|closed-before-response"}},
			sample{name: "another subprotocol", conf: "gws-subprotocol", args: []string{"--subprotocol", "chat.v1"}, truth: "The server speaks chat.v2 only: gws refuses the handshake.", must: []string{"subprotocol"}},
			sample{name: "too large", conf: "gws-small", args: []string{"--echo", long}, truth: "The message exceeds ReadMaxPayloadSize.", must: []string{"1009|large"}, never: []string{"a credential that is checked"}},
			sample{name: "compression", conf: "gws-deflate", args: []string{"--echo", "hello hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "no Hijacker", conf: "gws-logging", truth: "A middleware hides http.Hijacker.", must: []string{"=status-500|status-200|status-400|closed-before-response"}, never: []string{"there is no WebSocket at this path, or the upgrade request did not reach it"}},
		),
		goServer("gobwas",
			sample{name: "echo", conf: "gobwas", args: []string{"--echo", "hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "another Host", conf: "gobwas-host", truth: "The server refuses the Host.", must: []string{"=status-403", "host"}, never: []string{"the origin is the reason"}},
			sample{name: "another path", conf: "gobwas-uri", url: root + "other", truth: "The path is wrong.", must: []string{"=status-404", "path"}},
			sample{name: "a handler that returns", conf: "gobwas-returns", truth: "The server sends one message and ends TCP without a close frame.", must: []string{"without a close frame|no close frame"}},
			sample{name: "masked frames", conf: "gobwas-masked", truth: "The server masks its frames.", must: []string{"=masked-server-frames"}},
			sample{name: "frames that are still masked", conf: "gobwas-frames", args: []string{"--echo", "hello"}, truth: "The server sends payloads back without unmasking them, so that pongs and texts are wrong.", must: []string{"payload|UTF-8|pong"}},
			sample{name: "an error", conf: "gobwas-error", truth: "The server's callback fails: 500.", must: []string{"=status-500"}},
		),
		goServer("nbio",
			sample{name: "echo", conf: "nbio", url: root + "ws?room=1", args: []string{"--echo", "hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "a parameter is missing", conf: "nbio", truth: "The query lacks the parameter room.", must: []string{"=status-400", "room"}},
			sample{name: "another path", conf: "nbio", url: root + "other", truth: "The path is wrong.", must: []string{"=status-404", "path"}},
			sample{name: "another origin", conf: "nbio", url: root + "ws?room=1", args: []string{"--origin", origin}, truth: "The library refuses another origin than that of the host.", must: []string{"=origin-refused|status-403|status-500|closed-before-response", "origin"}},
		),
		goServer("Centrifuge",
			sample{name: "the right path", conf: "centrifuge", url: root + "connection/websocket", truth: "Nothing is wrong with the handshake.", must: []string{"healthy"}},
			sample{name: "another path", conf: "centrifuge", truth: "The path is wrong.", must: []string{"=status-404", "path"}},
			sample{name: "another origin", conf: "centrifuge", url: root + "connection/websocket", args: []string{"--origin", origin}, truth: "The library refuses another origin.", must: []string{"=origin-refused"}},
			sample{name: "another origin by CheckOrigin", conf: "centrifuge-origin", url: root + "connection/websocket", truth: "CheckOrigin allows only https://app.example.", must: []string{"=origin-refused|status-403", "origin"}, never: []string{"the origin is not the likely reason"}},
			sample{name: "not its protocol", conf: "centrifuge", url: root + "connection/websocket", args: []string{"--echo", "hello"}, truth: "The text is not a command: 3501 bad request.", must: []string{"3501", "bad request"}},
			sample{name: "no token", conf: "centrifuge", url: root + "connection/websocket", args: []string{"--echo", `{"id":1,"connect":{}}`}, truth: "The connect command has no valid token: 3500 invalid token.", must: []string{"3500", "invalid token"}},
		),
	}
}
