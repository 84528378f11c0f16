//go:build e2e && servers

package explain

func stunnel(l *lab, conf string) {
	l.run("stunnel4", l.file("stunnel.conf", "foreground = yes\npid =\ndebug = 0\n[ws]\naccept = 127.0.0.1:@PORT\n"+conf+"\n"))
}

func hitch(l *lab, conf string) {
	l.run("hitch", "--config="+l.file("hitch.conf", "frontend = { host = \"127.0.0.1\" port = \"@PORT\" }\nworkers = 1\nuser = \"proxy\"\nquiet = on\n"+conf+"\n"))
}

func nghttpx(l *lab, conf string) {
	l.run("nghttpx", "--conf="+l.file("nghttpx.conf", "workers=1\nerrorlog-file=/dev/null\nno-ocsp=yes\n"+conf+"\n"))
}

func tinyproxy(l *lab, conf string) {
	l.run("tinyproxy", "-d", "-c", l.file("tinyproxy.conf", "Port @PORT\nListen 127.0.0.1\nTimeout 30\nLogLevel Critical\n"+conf+"\n"))
}

func mitmdump(l *lab, conf string) {
	l.run("mitmdump", "-q", "--set", "confdir=@HOME/mitm", "--listen-host", "127.0.0.1", "-p", "@PORT", "--mode", conf)
}

func trafficserver(l *lab, conf string) {
	l.file("ats/etc/remap.config", conf+"\n")
	for _, name := range []string{"ip_allow.yaml", "logging.yaml", "plugin.config", "sni.yaml", "storage.config", "volume.config"} {
		l.file("ats/etc/"+name, "")
	}
	l.file("ats/etc/ip_allow.yaml", "ip_allow:\n- apply: in\n  ip_addrs: 127.0.0.1\n  action: allow\n  methods: ALL\n")
	l.file("ats/etc/records.config", `CONFIG proxy.config.http.server_ports STRING @PORT:ip-in=127.0.0.1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.http.connect_attempts_max_retries INT 0
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.body_factory.template_sets_dir STRING /etc/trafficserver/body_factory
`)
	l.file("ats/var/.keep", "")
	l.file("ats/runroot.yaml", "prefix: @HOME/ats\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/bin\nsysconfdir: @HOME/ats/etc\ndatadir: @HOME/ats/var\n"+
		"includedir: /usr/include\nlibdir: /usr/lib\nlibexecdir: /usr/lib/trafficserver/modules\nlocalstatedir: @HOME/ats/var\nruntimedir: @HOME/ats/var\nlogdir: @HOME/ats/var\nmandir: /usr/share/man\ncachedir: @HOME/ats/var\n")
	l.run("traffic_server", "--run-root=@HOME/ats/runroot.yaml")
}

func tunnels() []program {
	wss, trust := "wss://127.0.0.1:@PORT/ws", []string{"--cacert", "@CA"}
	ok := func(conf string) sample {
		return sample{name: "healthy TLS", conf: conf, url: wss, args: trust, truth: "Nothing is wrong.", must: []string{"healthy"}}
	}
	expired := func(conf string) sample {
		return sample{name: "an expired certificate", conf: conf, url: wss, args: trust, truth: "The certificate expired two days ago.", must: []string{"=cert-expired"}}
	}
	down := func(conf string) sample {
		return sample{name: "a backend that is down", conf: conf, url: wss, args: trust, truth: "TLS ends at the tunnel, behind which nothing listens, so it closes without a response.",
			must: []string{"=closed-before-response|connection-reset", "behind|backend|upstream|tunnel|terminat|proxy"}, never: []string{"=upgrade-stripped", "=response-timeout"}}
	}
	plain := func(conf string) sample {
		return sample{name: "plain HTTP to TLS", conf: conf, truth: "The port speaks TLS, the client plain HTTP.", must: []string{"=plain-to-tls-port"}, never: direct}
	}
	via := []string{"--proxy", "http://127.0.0.1:@PORT"}
	return []program{
		{name: "stunnel", needs: "stunnel4", start: stunnel, samples: []sample{
			ok("connect = 127.0.0.1:@BACK\ncert = @BOTH"), expired("connect = 127.0.0.1:@BACK\ncert = @OLD"), down("connect = 127.0.0.1:@DEAD\ncert = @BOTH"),
			plain("connect = 127.0.0.1:@BACK\ncert = @BOTH"),
			{name: "a client certificate", conf: "connect = 127.0.0.1:@BACK\ncert = @BOTH\nCAfile = @CA\nverifyChain = yes", url: wss, args: trust,
				truth: "stunnel requires a client certificate.", must: []string{"=client-cert-required"}, never: direct},
			{name: "TLS behind TLS", conf: "connect = 127.0.0.1:@TLSBACK\ncert = @BOTH", url: wss, args: trust,
				truth: "The server behind stunnel expects TLS as well, and closes.", must: []string{"=closed-before-response|connection-reset|plain-to-tls-port", "TLS"}, never: []string{"=upgrade-stripped"}},
		}},
		{name: "hitch", needs: "/usr/sbin/hitch", start: hitch, samples: []sample{
			ok("backend = \"[127.0.0.1]:@BACK\"\npem-file = \"@BOTH\""), expired("backend = \"[127.0.0.1]:@BACK\"\npem-file = \"@OLD\""),
			down("backend = \"[127.0.0.1]:@DEAD\"\npem-file = \"@BOTH\""), plain("backend = \"[127.0.0.1]:@BACK\"\npem-file = \"@BOTH\""),
			{name: "the PROXY protocol", conf: "backend = \"[127.0.0.1]:@BACK\"\npem-file = \"@BOTH\"\nwrite-proxy-v1 = on", url: wss, args: trust,
				truth: "hitch precedes the request with a PROXY line, which the server does not expect: 400 or a closed connection.",
				must:  []string{"PROXY protocol|PROXY line|proxy_protocol|write-proxy|send-proxy|accept-proxy"}, never: []string{"=origin-refused"}},
		}},
		{name: "nghttpx", needs: "/usr/sbin/nghttpx", start: nghttpx, samples: []sample{
			{name: "healthy", conf: "frontend=127.0.0.1,@PORT;no-tls\nbackend=127.0.0.1,@BACK", truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "a backend that is down", conf: "frontend=127.0.0.1,@PORT;no-tls\nbackend=127.0.0.1,@DEAD", truth: dead, must: []string{"=status-502|status-503", "backend runs|not run|is down|listen|backend|connect"},
				never: []string{"=upgrade-stripped"}},
			ok("frontend=127.0.0.1,@PORT\nbackend=127.0.0.1,@BACK\nprivate-key-file=@KEY\ncertificate-file=@PEM"),
			expired("frontend=127.0.0.1,@PORT\nbackend=127.0.0.1,@BACK\nprivate-key-file=@OLD\ncertificate-file=@OLD"),
			{name: "a backend of HTTP/2", conf: "frontend=127.0.0.1,@PORT;no-tls\nbackend=127.0.0.1,@BACK;;proto=h2", truth: "nghttpx speaks HTTP/2 to a server that does not.",
				must: []string{"=status-502|status-503|status-504", "HTTP/2|protocol|backend"}, never: []string{"=upgrade-stripped"}},
		}},
		{name: "Traffic Server", needs: "traffic_server", start: trafficserver, samples: []sample{
			{name: "healthy", conf: "map ws://127.0.0.1:@PORT/ ws://127.0.0.1:@BACK/", truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "http:// only", conf: "map http://127.0.0.1:@PORT/ http://127.0.0.1:@BACK/", truth: "No rule of remap.config is for ws://, so the upgrade is not forwarded, or the request has no rule.",
				must: []string{"remap.config|map ws|Traffic Server"}, never: []string{"=origin-refused"}},
			{name: "no rule", conf: "map ws://shop.example/ ws://127.0.0.1:@BACK/", truth: "No rule of remap.config matches the request: 404.",
				must: []string{"=status-404", "remap|path|host|rule"}, never: []string{"=origin-refused", "=upgrade-stripped"}},
			{name: "a backend that is down", conf: "map ws://127.0.0.1:@PORT/ ws://127.0.0.1:@DEAD/", truth: dead, must: []string{"=status-502|status-503|status-500", "backend runs|not run|is down|listen|backend|connect"},
				never: []string{"=upgrade-stripped"}},
		}},
		{name: "Tinyproxy", needs: "tinyproxy", start: tinyproxy, samples: []sample{
			{name: "healthy forward proxy", url: "ws://127.0.0.1:@BACK/ws", args: via, truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "ConnectPort", conf: "ConnectPort 443", url: "ws://127.0.0.1:@BACK/ws", args: via, truth: "The proxy allows CONNECT to port 443 only.", must: []string{"=proxy-refused", "443"},
				never: also(direct, "=status-403", "=origin-refused")},
			{name: "credentials", conf: "BasicAuth ann s3cret", url: "ws://127.0.0.1:@BACK/ws", args: via, truth: "The proxy wants credentials: 407.", must: []string{"=status-407"}, never: also(direct, "=status-401")},
			{name: "Allow", conf: "Allow 192.0.2.1", url: "ws://127.0.0.1:@BACK/ws", args: via, truth: "The proxy does not admit the client's address.", must: []string{"=proxy-refused", "address|client|allow"},
				never: also(direct, "=status-403")},
			{name: "a dead server", conf: "Timeout 31", url: "ws://127.0.0.1:@DEAD/ws", args: via, truth: "The proxy cannot reach the server, on whose port nothing listens.",
				must: []string{"=proxy-refused|proxy-unreachable", "reach|refused|listen|connect"}, never: direct},
		}},
		{name: "mitmproxy", needs: "mitmdump", start: mitmdump, samples: []sample{
			{name: "healthy", conf: "reverse:http://127.0.0.1:@BACK", truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "a backend that is down", conf: "reverse:http://127.0.0.1:@DEAD", truth: dead, must: []string{"=status-502|closed-before-response", "backend runs|not run|is down|listen|backend|connect"}, never: []string{"=upgrade-stripped"}},
			{name: "interception", conf: "regular", url: "wss://127.0.0.1:@TLSBACK/ws", args: via, truth: "The proxy intercepts TLS with a certificate of its own CA (or fails to verify the server's).",
				must: []string{"=cert-unknown-issuer|status-502|tls-failed|proxy-refused", "intercept|inspect|mitmproxy|proxy"}, never: []string{"=cert-expired"}},
		}},
		{name: "sslh", needs: "/usr/sbin/sslh", start: func(l *lab, _ string) {
			l.run("sslh", "-f", "-n", "-u", "root", "-P", "@HOME/pid", "-p", "127.0.0.1:@PORT", "--http", "127.0.0.1:@BACK", "--tls", "127.0.0.1:@DEAD")
		}, samples: []sample{
			{name: "healthy", truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "TLS to a dead backend", url: wss, truth: "sslh forwards TLS to a port on which nothing listens, and closes.", must: []string{"=tls-failed|tls-to-plain-port|closed-before-response|connection-reset", "behind"},
				never: []string{"=cert-unknown-issuer", "to a port that does not:"}},
		}},
		{name: "pen", needs: "pen", start: func(l *lab, conf string) { l.run("pen", "-f", "127.0.0.1:@PORT", "127.0.0.1:"+conf) }, samples: []sample{
			{name: "healthy", conf: "@BACK", truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "a backend that is down", conf: "@DEAD", truth: "Nothing listens behind the balancer, which closes without a response.", must: []string{"=closed-before-response|connection-reset", "behind|backend|balancer|proxy"},
				never: []string{"=upgrade-stripped"}},
		}},
	}
}
