//go:build e2e && servers

package explain

// asgi is the same application on each ASGI server.
func asgi() []program {
	var all []program
	for name, server := range map[string]struct{ module, function string }{
		"uvicorn with websockets": {"uvicorn,websockets,starlette", "uvicorn"},
		"uvicorn with wsproto":    {"uvicorn,wsproto,starlette", "uvicorn_wsproto"},
		"hypercorn":               {"hypercorn,starlette", "hypercorn"},
		"daphne":                  {"daphne,starlette", "daphne"},
		"gunicorn":                {"gunicorn,uvicorn,starlette,websockets", "gunicorn"},
	} {
		p := pythonProgram(name, server.module, server.function, asgiSamples())
		if name == "daphne" {
			p.samples[6].must = []string{"=closed-after-101", "4401"} // it does not send the reason
			p.samples[8].args, p.samples[8].must = []string{"--echo", "hello"}, []string{"=no-echo|closed-after-101"}
			p.samples[8].truth = "The application raises after it has accepted; Daphne leaves the connection open, and nothing answers."
		}
		if name == "gunicorn" {
			p.samples = append(p.samples, sample{name: "a sync worker", conf: "sync",
				truth: "Gunicorn's default worker calls the ASGI application as if it were WSGI, so every request ends with 500.",
				must:  []string{"=status-500", "worker"}, never: direct})
		}
		all = append(all, p)
	}
	return append(all, pythonProgram("uvicorn without a library", "uvicorn,starlette", "uvicorn_none", []sample{
		{name: "WebSocket path", truth: "No WebSocket library is installed, so uvicorn refuses the handshake: 400.",
			must: []string{"uvicorn\\[standard\\]|wsproto|WebSocket library"}, never: []string{"=origin-refused", "=status-401"}},
		{name: "a page", url: "ws://127.0.0.1:@PORT/page", truth: "As above, although this path is an ordinary page.",
			must: []string{"=status-400", "uvicorn\\[standard\\]|wsproto|WebSocket library"}, never: []string{"=origin-refused"}},
	}))
}

// notOrigin would be false where the origin is the reason.
const notOrigin = "origin is not (the|a|the likely) reason"

// Nothing is between the client and the server.
var direct = []string{"=upgrade-stripped", "=handshake-header-lost", "=status-502", "=status-504"}

func also(a []string, b ...string) []string { return append(append([]string{}, a...), b...) }

// pythonProgram is a function of python.py.
func pythonProgram(name, modules, function string, samples []sample) program {
	return program{name: name, needs: "python3:" + modules, samples: samples, start: func(l *lab, conf string) {
		args := []string{l.script("python.py"), function, l.port}
		if conf != "" {
			args = append(args, conf)
		}
		l.run(python, args...)
	}}
}

func asgiSamples() []sample {
	const at = "ws://127.0.0.1:@PORT"
	return []sample{
		{name: "healthy", truth: "Nothing is wrong, except that any origin is admitted.", must: []string{"healthy"}},
		{name: "another path", url: at + "/chat", truth: "The application has no route for the path, which the server answers with 403.",
			must: []string{"=status-403", "route|path"}, never: also(direct, "=origin-refused", "=status-401")},
		{name: "a page", url: at + "/page", truth: "The path has an ordinary page and no WebSocket: 403.",
			must: []string{"=status-403", "route|path"}, never: also(direct, "=origin-refused")},
		{name: "another origin", url: at + "/origin", truth: "The application admits only https://app.example, and closes before it accepts: 403.",
			must: []string{"=status-403|origin-refused", "origin"}, never: also(direct, notOrigin, "=status-404")},
		{name: "the right origin", url: at + "/origin", args: []string{"--origin", "https://app.example"},
			truth: "Nothing is wrong, and other origins are refused.", must: []string{"healthy"}, never: []string{"=cross-site-origin-accepted"}},
		{name: "no token", url: at + "/token", truth: "The application wants a token in the query, and closes before it accepts: 403.",
			must: []string{"=status-403", "token|credential|log in|cookie"}, never: also(direct, "=origin-refused")},
		{name: "closed with 4401", url: at + "/late", truth: "The application accepts, then closes with 4401 because the token has expired.",
			must: []string{"=closed-after-101", "4401", "token expired"}, never: direct},
		{name: "an exception before accept", url: at + "/crash", truth: "The application raises before it accepts: 500.",
			must: []string{"=status-500", "log"}, never: also(direct, "=origin-refused")},
		{name: "an exception after accept", url: at + "/broken", truth: "The application raises after it has accepted, and the server ends the connection.",
			must: []string{"=closed-after-101|closed-without-close-frame", "log|exception|crash|1011"}, never: also(direct, "expects nothing more")},
		{name: "another subprotocol", url: at + "/sub", args: []string{"--subprotocol", "chat.v2"},
			truth: "The application speaks chat.v1 only, and chooses none of those offered.", must: []string{"=no-subprotocol"}, never: direct},
		{name: "the right subprotocol", url: at + "/sub", args: []string{"--subprotocol", "chat.v1"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
		{name: "TLS", url: "wss://127.0.0.1:@PORT/ws", truth: "The port speaks plain HTTP, not TLS.", must: []string{"=tls-to-plain-port"}, never: direct},
	}
}
