//go:build e2e && servers

package explain

import "github.com/handfast/handfast/e2e/internal/harness"

// daemons are programs that have a WebSocket of their own.
func daemons() []program {
	wss, trust := "wss://127.0.0.1:@PORT/", []string{"--cacert", "@CA"}
	return []program{
		{name: "websocketd", needs: "websocketd", start: func(l *lab, conf string) {
			args := []string{"--address=127.0.0.1", "--port=@PORT", "--loglevel=fatal"}
			l.run("websocketd", append(args, map[string][]string{"": {"cat"}, "false": {"false"}, "origin": {"--origin=app.example", "cat"}, "same": {"--sameorigin", "cat"}, "missing": {"--dir=@HOME"}}[conf]...)...)
		}, samples: []sample{healthy, {name: "TLS", url: wss, truth: "The port speaks plain HTTP, not TLS.", must: []string{"=tls-to-plain-port"}, never: direct},
			{name: "a program that ends", conf: "false", truth: "The program ends immediately, so websocketd closes.", must: []string{"=closed-after-101|closed-without-close-frame", "log|crash|end|exit|program|handler"}, never: direct},
			{name: "another origin", conf: "origin", truth: "Only app.example is admitted: 403.", must: []string{"=status-403|origin-refused", "origin"}, never: also(direct, notOrigin)},
			{name: "another site", conf: "same", args: []string{"--origin", "https://evil.example"}, truth: "Only the server's own host is admitted as an origin: 403.", must: []string{"=origin-refused"}, never: direct},
			{name: "another path", conf: "missing", truth: "There is no program at this path: 404.", must: []string{"=status-404", "path"}, never: also(direct, "=origin-refused")},
		}},
		{name: "websockify", needs: "websockify", start: func(l *lab, conf string) {
			l.run("websockify", append([]string{"127.0.0.1:@PORT"}, map[string][]string{"": {"127.0.0.1:@MUTE"}, "dead": {"127.0.0.1:@DEAD"},
				"token": {"--token-plugin", "ReadOnlyTokenFile", "--token-source", l.file("tokens", "known: 127.0.0.1:@MUTE\n")},
				"tls":   {"--cert=@BOTH", "--ssl-only", "127.0.0.1:@MUTE"}}[conf]...)...)
		}, samples: []sample{healthy,
			{name: "a target that is down", conf: "dead", truth: "Nothing listens on the target's port, so websockify closes after the 101.",
				must: []string{"=closed-after-101|closed-without-close-frame", "target|behind|downstream|connect"}, never: direct},
			{name: "no token", conf: "token", url: at + "/websockify", truth: "The query lacks the token of a target.", must: []string{"token"}, never: also(direct, "=origin-refused")},
			{name: "the right token", conf: "token", url: at + "/websockify?token=known", truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "healthy TLS", conf: "tls", url: wss, args: trust, truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "plain HTTP to TLS", conf: "tls", truth: "The port speaks TLS only.", must: []string{"=plain-to-tls-port"}, never: direct},
		}},
		{name: "libwebsockets", needs: "libwebsockets-test-server", start: func(l *lab, _ string) { l.run("libwebsockets-test-server", "--port=@PORT", "-i", "lo", "-d", "1") }, samples: []sample{
			{name: "healthy", url: at + "/", args: []string{"--subprotocol", "dumb-increment-protocol"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "another subprotocol", url: at + "/", args: []string{"--subprotocol", "chat.v2"}, truth: "The server does not speak the subprotocol, and closes or refuses.", must: []string{"subprotocol"}, never: also(direct, "=origin-refused")},
			{name: "TLS", url: wss, truth: "The port speaks plain HTTP, not TLS.", must: []string{"=tls-to-plain-port"}, never: direct},
		}},
		{name: "Mosquitto", needs: "/usr/sbin/mosquitto", start: func(l *lab, conf string) {
			l.run("mosquitto", "-c", l.file("mosquitto.conf", "listener @DEAD 127.0.0.1\nlistener @PORT 127.0.0.1\nprotocol "+conf+"\nallow_anonymous true\nlog_type none\nuser root\n"))
		}, samples: []sample{
			{name: "healthy", conf: "websockets", url: at + "/mqtt", args: []string{"--subprotocol", "mqtt"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "no subprotocol", conf: "websockets", url: at + "/mqtt", truth: "Nothing is wrong yet: Mosquitto opens a connection without a subprotocol, too.", must: []string{"healthy"}},
			{name: "another subprotocol", conf: "websockets", url: at + "/mqtt", args: []string{"--subprotocol", "chat.v2"}, truth: "Mosquitto speaks mqtt only.", must: []string{"subprotocol"}, never: also(direct, "=origin-refused")},
			{name: "not a message of MQTT", conf: "websockets", url: at + "/mqtt", args: []string{"--subprotocol", "mqtt", "--echo", "hello"},
				truth: "The text is not a packet of MQTT, so Mosquitto closes the connection.", must: []string{"=closed-after-101|closed-without-close-frame|no-echo"}, never: direct},
			{name: "the listener of MQTT", conf: "mqtt", truth: "The port speaks MQTT over TCP, not over WebSocket, and closes.",
				must: []string{"=closed-before-response|connection-reset|not-http", "another protocol|other protocol|MQTT"}, never: also(direct, "=origin-refused")},
			{name: "TLS to MQTT", conf: "mqtt", url: wss, truth: "The port speaks MQTT without TLS.", must: []string{"=tls-to-plain-port|tls-failed|connection-reset|closed-before-response"}, never: also(direct, "=cert-unknown-issuer")},
		}},
		{name: "openssl s_server", needs: "openssl", start: func(l *lab, conf string) {
			args := []string{"s_server", "-quiet", "-accept", "127.0.0.1:@PORT", "-cert", "@PEM", "-key", "@KEY"}
			l.run("openssl", append(args, map[string][]string{"-www": {"-www"}, "": {"-WWW"}, "alpn": {"-www", "-alpn", "h2"}, "verify": {"-www", "-Verify", "1", "-verify_return_error"},
				"old": {"-www", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, "cipher": {"-www", "-tls1_2", "-cipher", "ECDHE-ECDSA-CAMELLIA128-SHA256:@SECLEVEL=0"}}[conf]...)...)
		}, samples: []sample{
			{name: "a page", conf: "-www", url: wss, args: trust, truth: "The server answers every request with a page about the connection: 200.", must: []string{"=status-200"}, never: also(direct, "=origin-refused")},
			{name: "a missing file", url: wss + "chat", args: trust, truth: "The server serves files only, and the file does not exist: an error page without a valid 404, or 200.",
				must: []string{"path|file|not HTTP|HTTP/1.0"}, never: also(direct, "=origin-refused")},
			{name: "HTTP/2 in ALPN", conf: "alpn", url: wss, args: trust, truth: "The server's ALPN has h2 only.", must: []string{"=alpn-without-http11|http2-only"}, never: direct},
			{name: "a client certificate", conf: "verify", url: wss, args: trust, truth: "The server requires a client certificate.", must: []string{"=client-cert-required"}, never: direct},
			{name: "TLS 1.1 only", conf: "old", url: wss, args: trust, truth: "The server speaks no newer TLS than 1.1.", must: []string{"=tls-version-too-old"}},
			{name: "no common cipher", conf: "cipher", url: wss, args: trust, truth: "The server allows one cipher suite, which the client does not have.", must: []string{"=tls-no-common-cipher"}},
		}},
		{name: "Cockpit", needs: "/usr/lib/cockpit/cockpit-ws", start: func(l *lab, _ string) {
			l.run("/usr/lib/cockpit/cockpit-ws", "--no-tls", "-a", "127.0.0.1", "-p", "@PORT")
		}, samples: []sample{
			{name: "no session", url: at + "/cockpit/socket", truth: "There is no login session, so Cockpit refuses or closes.", must: []string{"session|log ?in|credential|cookie"}, never: also(direct, "=origin-refused", "going away or restarting", "Reconnect later")},
			{name: "another origin", url: at + "/cockpit/socket", args: []string{"--origin", "https://evil.example"}, truth: "Cockpit admits only its own origin, and there is no session.", must: []string{"origin|session|log ?in|credential"}, never: direct},
			{name: "another path", url: at + "/ws", truth: "Cockpit's WebSocket is at /cockpit/socket; other paths have its login page.", must: []string{"path|log ?in"}, never: also(direct, "=origin-refused")},
		}},
		{name: "WeeChat", needs: "weechat-headless", start: func(l *lab, conf string) {
			origins := ""
			if conf == "origins" {
				origins = "websocket_allowed_origins = \"https://app.example\"\n"
			}
			l.file("relay.conf", "[network]\nbind_address = \"127.0.0.1\"\npassword = \"s3cret\"\nipv6 = off\n"+origins+"[port]\nweechat = @PORT\n")
			l.run("weechat-headless", "-d", "@HOME", "-P", "relay")
		}, samples: []sample{
			{name: "healthy", url: at + "/weechat", truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "another path", url: at + "/ws", truth: "The relay recognizes a WebSocket only at /weechat; it takes other requests for its own protocol.",
				must: []string{"path|another protocol|other protocol"}, never: also(direct, "=origin-refused")},
			{name: "another origin", conf: "origins", url: at + "/weechat", truth: "Only https://app.example is admitted: 403.", must: []string{"=status-403|origin-refused", "origin"}, never: also(direct, notOrigin)},
			{name: "TLS", url: wss, truth: "The relay's port has no TLS.", must: []string{"=tls-to-plain-port|tls-failed|tls-timeout|connection-reset|closed-before-response"}, never: direct},
		}},
		{name: "Prosody", needs: "prosody", start: func(l *lab, conf string) {
			l.run("prosody", "-F", "--config", l.file("prosody.cfg.lua", `run_as_root = true; pidfile = "@HOME/pid"; data_path = "@HOME/data"; daemonize = false; log = { error = "*console" }
c2s_ports = {}; s2s_ports = {}; component_ports = {}; https_ports = {}; http_ports = { @PORT }; http_interfaces = { "127.0.0.1" }
modules_enabled = { "saslauth", "`+map[string]string{"": "websocket", "off": "http"}[conf]+`" }; authentication = "internal_plain"; c2s_require_encryption = false
VirtualHost "localhost"
`))
		}, samples: []sample{
			{name: "healthy", url: "ws://localhost:@PORT/xmpp-websocket", args: []string{"--subprotocol", "xmpp"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "no subprotocol", url: "ws://localhost:@PORT/xmpp-websocket", truth: "Prosody requires the subprotocol xmpp.", must: []string{"subprotocol|xmpp"}, never: also(direct, "=origin-refused")},
			{name: "another path", url: "ws://localhost:@PORT/ws", args: []string{"--subprotocol", "xmpp"}, truth: "Prosody's WebSocket is at /xmpp-websocket: 404.", must: []string{"=status-404", "path"}, never: also(direct, "=origin-refused")},
			{name: "another Host", url: "ws://127.0.0.1:@PORT/xmpp-websocket", args: []string{"--subprotocol", "xmpp"}, truth: "Nothing is wrong: an unknown Host is served by the only virtual host.", must: []string{"healthy"}},
			{name: "no mod_websocket", conf: "off", url: "ws://localhost:@PORT/xmpp-websocket", args: []string{"--subprotocol", "xmpp"}, truth: "The module is not enabled: 404.", must: []string{"=status-404", "path|not enabled|module"}, never: also(direct, "=origin-refused")},
		}},
		{name: "RabbitMQ", needs: "/usr/lib/rabbitmq/bin/rabbitmq-server", start: func(l *lab, _ string) {
			l.file("plugins", "[rabbitmq_web_mqtt,rabbitmq_web_stomp].\n")
			l.file("rabbitmq.conf", "listeners.tcp = none\nweb_mqtt.tcp.ip = 127.0.0.1\nweb_mqtt.tcp.port = @PORT\nweb_stomp.tcp.ip = 127.0.0.1\nweb_stomp.tcp.port = @DEAD\nmqtt.listeners.tcp = none\nstomp.listeners.tcp = none\nlog.console = false\n")
			l.Env = append(l.Env, "RABBITMQ_NODENAME=corpus"+l.port+"@localhost", "RABBITMQ_ENABLED_PLUGINS_FILE="+l.Home+"/plugins", "RABBITMQ_CONFIG_FILE="+l.Home+"/rabbitmq.conf",
				"RABBITMQ_MNESIA_BASE="+l.Home+"/mnesia", "RABBITMQ_LOG_BASE="+l.Home+"/log", "RABBITMQ_PID_FILE="+l.Home+"/pid", "RABBITMQ_DIST_PORT="+harness.FreePort(l.T), "ERL_EPMD_ADDRESS=127.0.0.1",
				"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-start_epmd false -erl_epmd_port 0")
			l.run("/usr/lib/rabbitmq/bin/rabbitmq-server")
		}, samples: []sample{
			{name: "healthy", url: at + "/ws", args: []string{"--subprotocol", "mqtt"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "no subprotocol", url: at + "/ws", truth: "Nothing is wrong yet: RabbitMQ opens a connection with any subprotocol or none.", must: []string{"healthy"}},
			{name: "another subprotocol", url: at + "/ws", args: []string{"--subprotocol", "chat.v2"}, truth: "Nothing is wrong yet: RabbitMQ opens a connection with any subprotocol or none.", must: []string{"healthy"}},
			{name: "another path", url: at + "/mqtt", args: []string{"--subprotocol", "mqtt"}, truth: "RabbitMQ's WebSocket is at /ws: 404.", must: []string{"=status-404", "path"}, never: also(direct, "=origin-refused")},
			notTLS,
		}},
		{name: "Janus", needs: "janus", start: func(l *lab, _ string) {
			l.file("janus/janus.transport.websockets.jcfg", "general: { ws = true\n ws_port = @PORT\n ws_ip = \"127.0.0.1\" }\n")
			l.file("janus/janus.jcfg", "general: { configs_folder = \"@HOME/janus\"\n transports_folder = \"/usr/lib/x86_64-linux-gnu/janus/transports\"\n debug_level = 0 }\n"+
				"plugins: { disable = \"libjanus_audiobridge.so,libjanus_sip.so,libjanus_nosip.so,libjanus_streaming.so,libjanus_lua.so,libjanus_duktape.so,libjanus_recordplay.so,libjanus_videoroom.so,libjanus_videocall.so,libjanus_voicemail.so,libjanus_textroom.so\" }\n"+
				"transports: { disable = \"libjanus_http.so,libjanus_rabbitmq.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so\" }\nevents: { disable = \"libjanus_gelfevh.so\" }\n")
			l.run("janus", "-F", "@HOME/janus", "-C", "@HOME/janus/janus.jcfg")
		}, samples: []sample{
			{name: "healthy", url: at + "/", args: []string{"--subprotocol", "janus-protocol"}, truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "another subprotocol", url: at + "/", args: []string{"--subprotocol", "chat.v2"}, truth: "Janus speaks janus-protocol only.", must: []string{"subprotocol"}, never: also(direct, "=origin-refused")},
			{name: "no subprotocol", url: at + "/", truth: "Janus wants the subprotocol janus-protocol.", must: []string{"subprotocol"}, never: also(direct, "=origin-refused")},
		}},
		{name: "Jupyter Server", needs: "jupyter-server", start: func(l *lab, _ string) {
			l.run("jupyter-server", "--allow-root", "--no-browser", "--ip=127.0.0.1", "--port=@PORT", "--ServerApp.token=s3cret", "--ServerApp.root_dir=@HOME", "--log-level=CRITICAL")
		}, samples: []sample{
			{name: "no token", url: at + "/api/kernels/00000000-0000-0000-0000-000000000000/channels", truth: "Jupyter wants its token: 403.", must: []string{"=status-403|status-401", "token|credential|log in"}, never: also(direct, "=origin-refused")},
			{name: "another kernel", url: at + "/api/kernels/00000000-0000-0000-0000-000000000000/channels", args: []string{"--query-token", "token=s3cret"}, truth: "There is no kernel of this identifier: 404.",
				must: []string{"=status-404", "path|kernel"}, never: also(direct, "=origin-refused", "=status-401")},
			{name: "another path", url: at + "/ws", args: []string{"--query-token", "token=s3cret"}, truth: "Jupyter has nothing at this path: 404.", must: []string{"=status-404", "path"}, never: also(direct, "=origin-refused")},
			{name: "a page", url: at + "/api", args: []string{"--query-token", "token=s3cret"}, truth: "The path has an ordinary resource: 200.", must: []string{"=status-200", "path"}, never: also(direct, "=origin-refused")},
			{name: "the front page", url: at + "/", truth: "The path has a page: 200.", must: []string{"=status-200", "path"}, never: direct},
		}},
		{name: "CivetWeb", needs: "civetweb", start: func(l *lab, _ string) {
			l.run("civetweb", l.file("civetweb.conf", "listening_ports 127.0.0.1:@PORT\ndocument_root @HOME\nnum_threads 2\n"))
		}, samples: []sample{
			{name: "another path", url: at + "/chat", truth: "The server has no WebSocket at this path, and sends an error page without a status line.", must: []string{"path"}, never: also(direct, "=origin-refused", "does not speak HTTP")},
			{name: "a directory", url: at + "/", truth: "The server answers a handshake at a directory, where there is no WebSocket.", must: []string{"path"}, never: also(direct, "=origin-refused", "does not speak HTTP")},
		}},
	}
}
