//go:build e2e && servers

package explain

import "strings"

const (
	v4 = root + "socket.io/?EIO=4&transport=websocket"
	v3 = root + "socket.io/?EIO=3&transport=websocket"
)

func socketIOPrograms() []program {
	return []program{
		node("Socket.IO 4", "socketio",
			sample{name: "the right URL", conf: "v4", url: v4, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "no query", conf: "v4", url: root + "socket.io/", truth: "The query lacks EIO=4&transport=websocket.", must: []string{"=status-400", "EIO=4&transport=websocket"}},
			sample{name: "no transport", conf: "v4", url: root + "socket.io/?EIO=4", truth: "The query lacks transport=websocket.", must: []string{"=status-400", "transport=websocket"}},
			sample{name: "polling", conf: "v4", url: root + "socket.io/?EIO=4&transport=polling", truth: "The query names the transport polling, for which an upgrade is not allowed.", must: []string{"transport=websocket"}},
			sample{name: "EIO=3", conf: "v4", url: v3, truth: "A client of version 2 meets a server of version 4, which lacks allowEIO3: it writes a 400 after the 101.", must: []string{"=garbage-after-101", "version", "allowEIO3"}},
			sample{name: "an unknown session", conf: "v4", url: v4 + "&sid=gone", truth: "The session of the sid is unknown: most often another process has it, for lack of sticky sessions.",
				must: []string{"=status-400", "sid|session"}},
			sample{name: "another path", conf: "v4", url: root + "ws", truth: "The path is wrong: Engine.IO ends an upgrade without a handler after a second.", must: []string{"=closed-before-response", "path"}},
			sample{name: "a plain message", conf: "v4", url: v4, args: []string{"--echo", "hello"}, truth: "The text is not a packet of Engine.IO, so that the server closes.", must: []string{"Socket.IO|Engine.IO|protocol"}},
			sample{name: "polling only", conf: "v4polling", url: v4, truth: "The server's transports do not include websocket.", must: []string{"=status-400", "transport"}},
			sample{name: "its own path", conf: "v4path", url: v4, truth: "The server's path is /live/.", must: []string{"=closed-before-response", "path"}},
			sample{name: "the right path", conf: "v4path", url: root + "live/?EIO=4&transport=websocket", truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "too large", conf: "v4small", url: v4, args: []string{"--echo", strings.Repeat("4", 200)}, truth: "The message exceeds maxHttpBufferSize.", must: []string{"1009|large"}, never: []string{"a credential that is checked"}},
			sample{name: "a client of version 2", conf: "v4old", url: v3, truth: "Nothing is wrong: allowEIO3 is set.", must: []string{"healthy"}},
			sample{name: "another origin", conf: "v4origin", url: v4, truth: "allowRequest refuses the origin.", must: []string{"origin", "allowRequest"}},
			sample{name: "no token", conf: "v4token", url: v4, truth: "allowRequest requires a token in the query.", must: []string{"credential|token", "allowRequest"}},
		),
		node("Socket.IO 3", "socketio",
			sample{name: "the right URL", conf: "v3", url: v4, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "EIO=3", conf: "v3", url: v3, truth: "A client of version 2 meets a server of version 3, which lacks allowEIO3: it opens the connection and never sends a packet.", must: []string{"EIO|version"}},
			sample{name: "no query", conf: "v3", url: root + "socket.io/", truth: "The query lacks EIO=4&transport=websocket.", must: []string{"=status-400", "transport=websocket"}},
			sample{name: "an unknown session", conf: "v3", url: v4 + "&sid=gone", truth: "The session is unknown.", must: []string{"=status-400", "sid|session"}},
			sample{name: "another path", conf: "v3", url: root + "chat", truth: "The path is wrong.", must: []string{"=closed-before-response", "path"}},
		),
		node("Socket.IO 2", "socketio",
			sample{name: "the right URL", conf: "v2", url: v3, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "no query", conf: "v2", url: root + "socket.io/", truth: "The query lacks EIO=3&transport=websocket.", must: []string{"=status-400", "transport=websocket"}},
			sample{name: "EIO=4", conf: "v2", url: v4, truth: "A server of version 2 opens for a client of version 4; it speaks Engine.IO 3, so that no packet of the client is understood. The handshake itself is right.",
				must: []string{"healthy"}},
			sample{name: "another origin", conf: "v2origin", url: v3, truth: "The origins option refuses the origin.", must: []string{"origin"}},
			sample{name: "an unknown session", conf: "v2", url: v3 + "&sid=gone", truth: "The session is unknown.", must: []string{"=status-400", "sid|session"}},
		),
		node("Engine.IO", "socketio",
			sample{name: "the right URL", conf: "engine", url: root + "engine.io/?EIO=4&transport=websocket", truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "no query", conf: "engine", url: root + "engine.io/", truth: "The query lacks EIO=4&transport=websocket.", must: []string{"=status-400", "transport=websocket"}},
			sample{name: "the path of Socket.IO", conf: "engine", url: v4, truth: "The path is /engine.io/.", must: []string{"=closed-before-response", "path"}},
			sample{name: "polling only", conf: "enginePolling", url: root + "engine.io/?EIO=4&transport=websocket", truth: "The server's transports do not include websocket.", must: []string{"=status-400", "transport"}},
			sample{name: "too large", conf: "engineSmall", url: root + "engine.io/?EIO=4&transport=websocket", args: []string{"--echo", strings.Repeat("4", 64)}, truth: "The message exceeds maxHttpBufferSize.", must: []string{"1009|large"}, never: []string{"a credential that is checked"}},
		),
		node("SockJS", "socketio",
			sample{name: "the raw path", conf: "sockjs", url: root + "echo/websocket", args: []string{"--echo", "hello"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "a session", conf: "sockjs", url: root + "echo/000/abc/websocket", truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "the prefix alone", conf: "sockjs", url: root + "echo", truth: "The path is SockJS' prefix; a WebSocket is at /echo/websocket.", must: []string{"=status-200", "/websocket"}},
			sample{name: "another transport", conf: "sockjs", url: root + "echo/000/abc/xhr", truth: "The path is that of the transport xhr, which takes a POST.", must: []string{"=status-404|status-405", "path"}},
			sample{name: "another prefix", conf: "sockjs", url: root + "chat/websocket", truth: "The path is wrong.", must: []string{"path"}},
			sample{name: "websocket is off", conf: "sockjsWithout", url: root + "echo/websocket", truth: "The server's option websocket is false.", must: []string{"=status-404|status-405|status-400"}, never: []string{"the path is wrong, or the Upgrade"}},
			sample{name: "wss", conf: "sockjs", url: "wss://127.0.0.1:@PORT/echo/websocket", truth: "The port speaks plain HTTP.", must: []string{"=tls-to-plain-port"}},
		),
		node("Primus", "socketio",
			sample{name: "the right path", conf: "primus", url: root + "primus", truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "another path", conf: "primus", url: root + "ws", truth: "The path is wrong.", must: []string{"path"}},
			sample{name: "its own path", conf: "primusPath", url: root + "primus", truth: "The path is /live.", must: []string{"path"}},
			sample{name: "no token", conf: "primusToken", url: root + "primus", truth: "authorize refuses the request with 403, since it has no token.", must: []string{"=status-403", "token"}},
			sample{name: "the right token", conf: "primusToken", url: root + "primus", args: []string{"--query-token", "token=right"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			sample{name: "too large", conf: "primusSmall", url: root + "primus", args: []string{"--echo", strings.Repeat("1", 200)}, truth: "The message exceeds maxLength.", must: []string{"1009|large"}, never: []string{"a credential that is checked"}},
		),
	}
}
