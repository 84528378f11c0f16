//go:build e2e && servers

package explain

const at = "ws://127.0.0.1:@PORT"

// Samples that most servers have.
var (
	healthy = sample{name: "healthy", truth: "Nothing is wrong, except that any origin is admitted.", must: []string{"healthy"}}
	notTLS  = sample{name: "TLS", url: "wss://127.0.0.1:@PORT/ws", truth: "The port speaks plain HTTP, not TLS.", must: []string{"=tls-to-plain-port"}, never: direct}
	lost    = sample{name: "another path", url: at + "/chat", truth: "The server has nothing at this path: 404.", must: []string{"=status-404", "path"},
		never: also(direct, "=origin-refused", "=status-401")}
	page = sample{name: "a page", url: at + "/page", truth: "The path has an ordinary page: 200.", must: []string{"=status-200", "path"},
		never: also(direct, "=origin-refused")}
	late = sample{name: "closed with 4401", url: at + "/late", truth: "The server accepts, then closes with 4401 because the token has expired.",
		must: []string{"=closed-after-101", "4401", "token expired"}, never: direct}
	crash = sample{name: "an exception before the 101", url: at + "/crash", truth: "The handler raises an exception before it answers: 500.",
		must: []string{"=status-500", "log"}, never: also(direct, "=origin-refused")}
	broken = sample{name: "an exception after the 101", url: at + "/broken", truth: "The handler raises an exception after the 101, and the server ends the connection.",
		must: []string{"=closed-after-101|closed-without-close-frame", "log|exception|crash|1011"}, never: also(direct, "expects nothing more")}
	noToken = sample{name: "no token", url: at + "/token", truth: "The server wants a token: 401.", must: []string{"=status-401", "token|credential"},
		never: also(direct, "=origin-refused")}
	withToken = sample{name: "the right token", url: at + "/token", args: []string{"--query-token", "token=s3cret"}, truth: "Nothing is wrong.", must: []string{"healthy"}}
	noChat    = sample{name: "another subprotocol", url: at + "/sub", args: []string{"--subprotocol", "chat.v2"},
		truth: "The server speaks chat.v1 only, and chooses none of those offered.", must: []string{"=no-subprotocol"}, never: direct}
	foreign = sample{name: "another origin", url: at + "/origin", truth: "The server admits only https://app.example: 403.",
		must: []string{"=status-403|origin-refused", "origin"}, never: also(direct, notOrigin)}
	postOnly = sample{name: "a path for POST", url: at + "/send", truth: "The path has a handler for POST only: 405.", must: []string{"=status-405", "path"},
		never: also(direct, "=origin-refused")}
)

// tlsSamples are for a server whose configuration is a file with a key and a certificate.
func tlsSamples() []sample {
	const url = "wss://127.0.0.1:@PORT/ws"
	trust := []string{"--cacert", "@CA"}
	return []sample{
		{name: "healthy TLS", conf: "@BOTH", url: url, args: trust, truth: "Nothing is wrong.", must: []string{"healthy"}},
		{name: "an unknown CA", conf: "@BOTH", url: url, truth: "The client does not trust the CA.", must: []string{"=cert-unknown-issuer"},
			never: []string{"=cert-expired", "=cert-wrong-name", "=cert-self-signed", "=cert-missing-intermediate"}},
		{name: "plain HTTP to TLS", conf: "@BOTH", truth: "The port speaks TLS, the client plain HTTP.", must: []string{"=plain-to-tls-port"}, never: direct},
		{name: "an expired certificate", conf: "@OLD", url: url, args: trust, truth: "The certificate expired two days ago.", must: []string{"=cert-expired"},
			never: []string{"=cert-wrong-name", "=cert-unknown-issuer"}},
		{name: "a certificate for another name", conf: "@ALIEN", url: url, args: trust, truth: "The certificate is for shop.example only.",
			must: []string{"=cert-wrong-name", "shop.example"}, never: []string{"=cert-expired", "=cert-unknown-issuer"}},
		{name: "a self-signed certificate", conf: "@SELF", url: url, args: trust, truth: "The certificate is self-signed.", must: []string{"=cert-self-signed"},
			never: []string{"=cert-expired", "=cert-wrong-name"}},
	}
}

func pythonServers() []program {
	return []program{
		pythonProgram("websockets", "websockets", "websockets", append([]sample{healthy, lost, foreign, noToken, withToken, page, late, crash, broken, notTLS,
			{name: "a handler that returns", url: at + "/once", truth: "The handler returns immediately, so the library closes with 1000.",
				must: []string{"=closed-after-101", "1000", "handler|return|finish"}, never: also(direct, "expects nothing more")},
			{name: "a handler that never reads", url: at + "/silent", args: []string{"--echo", "hello"}, truth: "The handler neither reads nor sends.",
				must: []string{"=no-echo"}, never: also(direct, "=no-pong")},
			{name: "the library's list of origins", conf: "origins", truth: "The server admits only https://app.example: 403 with a body that says so.",
				must: []string{"=origin-refused"}, never: direct},
			{name: "the library's list of subprotocols", conf: "subprotocols", args: []string{"--subprotocol", "chat.v2"}, truth: "The server speaks chat.v1 only.",
				must: []string{"=no-subprotocol"}, never: direct},
			{name: "no credentials", conf: "basic", truth: "The server wants Basic credentials: 401.", must: []string{"=status-401", "Basic"},
				never: also(direct, "=origin-refused")},
			{name: "wrong credentials", conf: "basic", args: []string{"--basic", "ann:guess"}, truth: "The password is wrong: 401.",
				must: []string{"=status-401", "wrong|not accept|does not know|expired|refus"}, never: also(direct, "=origin-refused", "sent no credential")},
			{name: "right credentials", conf: "basic", args: []string{"--basic", "ann:s3cret"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "a message that is too large", conf: "small", args: []string{"--echo", "a message of more than sixteen bytes"},
				truth: "The server allows messages of 16 bytes, and closes with 1009.", must: []string{"1009", "large|big|long|size"}, never: direct},
		}, tlsSamples()...)),
		pythonProgram("aiohttp", "aiohttp", "aiohttp", []sample{healthy, lost, foreign, noToken, withToken, page, late, crash, broken, noChat, postOnly, notTLS,
			{name: "a login page", url: at + "/login", truth: "The server redirects to its login page, because there is no session.",
				must: []string{"=status-302", "log ?in|credential|cookie|session"}, never: direct},
		}),
		pythonProgram("tornado", "tornado", "tornado", []sample{healthy, lost, noToken, withToken, page, late, crash, broken, noChat, postOnly, notTLS,
			{name: "another origin", args: []string{"--origin", "https://evil.example"}, truth: "Tornado admits only its own host as an origin: 403.",
				must: []string{"=origin-refused"}, never: direct},
		}),
		pythonProgram("autobahn", "autobahn,twisted", "autobahn", []sample{healthy, lost, withToken, late, crash, noChat, notTLS,
			{name: "no token", url: at + "/token", truth: "The application denies the connection with 403 \"invalid token\".",
				must: []string{"=status-403|status-401", "token"}, never: also(direct, "=origin-refused")},
			{name: "the factory's URL", conf: "url", truth: "The factory's URL has another port than the client's Host, which Autobahn does not mind.",
				must: []string{"healthy"}},
			{name: "another origin", conf: "origins", truth: "The server admits only https://app.example: 400 with a text that says so.",
				must: []string{"=origin-refused|status-400", "origin"}, never: also(direct, notOrigin)},
		}),
		pythonProgram("gevent-websocket", "gevent,geventwebsocket", "gevent", []sample{healthy,
			{name: "another path", url: at + "/chat", truth: "The library opens every handshake before the application sees its path, then closes without a code.",
				must: []string{"=closed-after-101", "path"}, never: also(direct, "=origin-refused")},
			{name: "an exception after the 101", url: at + "/crash", truth: "The library opens the connection, the handler raises, and it is closed without a code.",
				must: []string{"=closed-after-101", "log"}, never: direct},
			{name: "a close frame that is not valid", url: at + "/late", truth: "In Python 3 the library packs the code and the reason wrongly, so its close frame is not valid.",
				must: []string{"=frame-invalid"}, never: direct},
			{name: "no handler class", conf: "plain", truth: "The WSGI server runs without WebSocketHandler, so the application sees an ordinary request: 400.",
				must: []string{"handler|WSGI|library"}, never: []string{"=origin-refused", "=status-401", "The server did not receive an upgrade request"}},
		}),
		pythonProgram("eventlet", "eventlet", "eventlet", []sample{healthy, lost, page, late, crash, notTLS,
			{name: "an exception after the 101", url: at + "/broken", truth: "The handler raises, and eventlet writes an HTTP response with status 500 into the open connection.",
				must: []string{"=garbage-after-101", "500|error page"}, never: direct}}),
		pythonProgram("ws4py", "ws4py", "ws4py", []sample{lost, page, late,
			{name: "Content-Length: 0", truth: "It works, although the 101 has a Content-Length of 0, which RFC 9110 does not allow.", must: []string{"=101-with-body"}, never: also(direct, "declares a body")},
			{name: "another subprotocol", url: at + "/sub", args: []string{"--subprotocol", "chat.v2"}, truth: "The server speaks chat.v1 only.",
				must: []string{"subprotocol"}, never: also(direct, "=origin-refused")},
		}),
		pythonProgram("ws4py on CherryPy", "ws4py,cherrypy", "cherrypy", []sample{healthy, lost, page, crash, notTLS}),
		pythonProgram("wsgiref", "wsgiref", "wsgiref", []sample{
			{name: "WebSocket path", truth: "A server of WSGI cannot carry a WebSocket, and the application has no such path: 404.",
				must: []string{"=status-404", "WSGI"}, never: []string{"=origin-refused"}},
			{name: "a page", url: at + "/page", truth: "A server of WSGI cannot carry a WebSocket: 200.", must: []string{"=status-200", "WSGI"},
				never: []string{"=origin-refused", "=upgrade-stripped"}},
		}),
		pythonProgram("python-socketio", "socketio,eventlet", "socketio", []sample{
			{name: "healthy", url: at + "/socket.io/?EIO=4&transport=websocket", args: []string{"--origin", "https://app.example"},
				truth: "Nothing is wrong, and other origins are refused.", must: []string{"healthy"}, never: []string{"=cross-site-origin-accepted"}},
			{name: "another origin", url: at + "/socket.io/?EIO=4&transport=websocket", args: []string{"--origin", "https://evil.example"},
				truth: "Only https://app.example is admitted: 400.", must: []string{"=origin-refused"}, never: direct},
			{name: "no query", url: at + "/socket.io/", args: []string{"--origin", "https://app.example"},
				truth: "The query lacks EIO and transport, which Engine.IO requires: 400.", must: []string{"EIO"}, never: also(direct, "=origin-refused")},
			{name: "an old protocol", url: at + "/socket.io/?EIO=3&transport=websocket", args: []string{"--origin", "https://app.example"},
				truth: "The client's Engine.IO protocol is version 3, the server speaks 4: 400.", must: []string{"EIO|version"}, never: also(direct, "=origin-refused")},
			lost,
		}),
		pythonProgram("flask-socketio", "flask_socketio", "flask", []sample{
			{name: "Werkzeug", url: at + "/socket.io/?EIO=4&transport=websocket", truth: "Neither simple-websocket nor eventlet is used, so Werkzeug cannot carry a WebSocket: 400.",
				must: []string{"simple-websocket|eventlet|WSGI"}, never: []string{"=origin-refused"}},
			{name: "a page", url: at + "/page", truth: "The path has a page, whose route Werkzeug does not match with a handshake: 400.", must: []string{"=status-400", "path|route"}, never: []string{"=origin-refused"}},
			lost,
		}),
		pythonProgram("trio-websocket", "trio_websocket", "trio", []sample{healthy, lost, noToken, withToken, notTLS,
			{name: "another origin", url: at + "/origin", truth: "The server refuses the origin, and its body names it.", must: []string{"=origin-refused"}, never: direct},
			{name: "closed with 4401", conf: "alone", url: at + "/late", truth: "The server closes with 4401 because the token has expired. A ping that arrives then ends its process, with or without a close frame.",
				must: []string{"=closed-after-101|closed-without-close-frame", "4401|crash"}, never: direct},
		}),
		pythonProgram("QtWebSockets", "PyQt5.QtWebSockets", "qt", []sample{healthy, notTLS,
			{name: "closed with 1008", url: at + "/late", truth: "The server closes with 1008 because the token has expired.",
				must: []string{"=closed-after-101", "1008", "token expired"}, never: direct},
			{name: "another origin", conf: "origins", truth: "The server admits only https://app.example.", must: []string{"origin"}, never: direct},
		}),
		pythonProgram("libsoup", "gi", "soup", []sample{healthy, lost, page, late, notTLS, foreign,
			{name: "another subprotocol", url: at + "/sub", args: []string{"--subprotocol", "chat.v2"}, truth: "The server speaks chat.v1 only.",
				must: []string{"subprotocol"}, never: also(direct, "=origin-refused")},
		}),
	}
}
