//go:build e2e && servers

package explain

import (
	"os"
	"path/filepath"
	"strings"
)

const dead = "Nothing listens on the upstream's port."

func haproxy(l *lab, conf string) {
	front, server := "", "127.0.0.1:@BACK"
	if i := strings.Index(conf, "bind "); i >= 0 {
		front, conf = conf[i:], conf[:i]
	} else {
		front = "bind 127.0.0.1:@PORT"
	}
	if s, rest, ok := strings.Cut(conf, "|"); ok {
		server, conf = s, rest
	}
	if server != "none" {
		conf += "\n\tserver one " + server
	}
	timeouts := "timeout connect 5s\n\ttimeout client 1m\n\ttimeout server 1m\n"
	if strings.Contains(conf, "timeout server") {
		timeouts = "timeout connect 5s\n\ttimeout client 1m\n"
	}
	l.run("haproxy", "-db", "-f", l.file("haproxy.cfg", "defaults\n\tmode http\n\t"+timeouts+"listen ws\n\t"+front+"\n\t"+conf+"\n"))
}

func caddy(l *lab, conf string) {
	site := "http://127.0.0.1:@PORT"
	if strings.Contains(conf, "tls ") {
		site = "https://127.0.0.1:@PORT"
	}
	l.run("caddy", "run", "--adapter", "caddyfile", "--config",
		l.file("Caddyfile", "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tstorage file_system @HOME/caddy\n}\n"+site+" {\n"+conf+"\n}\n"))
}

func apache(l *lab, conf string) {
	modules := ""
	for _, m := range strings.Fields("mpm_event authz_core authz_host authn_core authn_file auth_basic authz_user proxy proxy_http proxy_wstunnel rewrite alias ssl dir mime headers") {
		if m == "proxy_wstunnel" && strings.HasPrefix(conf, "#plain") {
			continue
		}
		modules += "LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n"
	}
	l.run("apache2", "-D", "FOREGROUND", "-f", l.file("httpd.conf", modules+`ServerRoot @HOME
ServerName 127.0.0.1
PidFile @HOME/pid
DefaultRuntimeDir @HOME
Mutex file:@HOME
ErrorLog /dev/null
TypesConfig /dev/null
Listen 127.0.0.1:@PORT
DocumentRoot @HOME
`+conf+"\n"))
}

func lighttpd(l *lab, conf string) {
	l.run("lighttpd", "-D", "-f", l.file("lighttpd.conf", "server.port = @PORT\nserver.bind = \"127.0.0.1\"\nserver.document-root = \"@HOME\"\n"+conf+"\n"))
}

func varnish(l *lab, conf string) {
	back := "@BACK"
	if s, rest, ok := strings.Cut(conf, "|"); ok {
		back, conf = s, rest
	}
	l.run("varnishd", "-F", "-a", "127.0.0.1:@PORT", "-n", "@HOME/varnish", "-s", "malloc,10m", "-j", "none",
		"-f", l.file("default.vcl", "vcl 4.1;\nbackend default { .host = \"127.0.0.1\"; .port = \""+back+"\"; }\n"+conf+"\n"))
}

func h2o(l *lab, conf string) {
	listen := "listen:\n  host: 127.0.0.1\n  port: @PORT\n"
	if cert, rest, ok := strings.Cut(conf, "|"); ok {
		listen, conf = listen+"  ssl:\n    certificate-file: "+cert+"\n    key-file: "+cert+"\n", rest
	}
	l.run("h2o", "-c", l.file("h2o.conf", "user: root\nnum-threads: 1\n"+listen+"hosts:\n  default:\n    paths:\n      /:\n"+conf+"\n"))
}

func squid(l *lab, conf string) {
	if err := os.Chmod(filepath.Dir(l.Home), 0o755); err != nil {
		l.T.Fatal(err)
	}
	l.run("squid", "-n", "corpus"+l.port, "-N", "-f", l.file("squid.conf", "pid_filename none\nvisible_hostname proxy.example\naccess_log none\ncache_log /dev/null\ncache deny all\n"+
		"shutdown_lifetime 0 seconds\nnetdb_filename none\npinger_enable off\ncache_effective_user proxy\n"+conf+"\n"))
}

func proxies() []program {
	wss, trust := "wss://127.0.0.1:@PORT/ws", []string{"--cacert", "@CA"}
	down := func(conf string, must ...string) sample {
		return sample{name: "an upstream that is down", conf: conf, truth: dead, must: append(must, "backend runs|not run|is down|listen|no backend|no server|connect"),
			never: []string{"=upgrade-stripped", "=status-504"}}
	}
	ok := func(conf string) sample {
		return sample{name: "healthy", conf: conf, truth: "Nothing is wrong.", must: []string{"healthy"}}
	}
	stripped := func(name, conf, must string) sample {
		return sample{name: name, conf: conf, truth: "The proxy does not forward the upgrade.", must: []string{"=upgrade-stripped", must}, never: []string{"=handshake-header-lost"}}
	}
	return []program{
		{name: "HAProxy", needs: "haproxy", start: haproxy, samples: []sample{
			ok(""), ok("option httpclose"),
			down("127.0.0.1:@DEAD|retries 0", "=status-503|status-502"),
			{name: "no server", conf: "none|", truth: "HAProxy has no server for the request: 503.", must: []string{"=status-503", "backend|server"}, never: []string{"=upgrade-stripped"}},
			{name: "an ACL", conf: "http-request deny if { path_beg /ws }", truth: "A rule of HAProxy denies the path: its own 403.", must: []string{"=status-403", "HAProxy|rule|deny|proxy"},
				never: []string{"=upgrade-stripped", "=origin-refused"}},
			{name: "a limit of the rate", conf: "http-request deny deny_status 429 if { path_beg /ws }", truth: "HAProxy limits the rate: 429.", must: []string{"=status-429"}, never: []string{"=upgrade-stripped"}},
			stripped("no Upgrade", "http-request del-header Upgrade", "haproxy|del-header|proxy"),
			{name: "timeout server", conf: "timeout server 2s", args: []string{"--probe-idle", "8s"}, truth: "HAProxy ends idle connections after two seconds, since timeout tunnel is not set.",
				must: []string{"=idle-timeout", "timeout tunnel"}},
			{name: "a server that does not answer", conf: "127.0.0.1:@MUTE|timeout server 2s", truth: "The server does not answer within timeout server: 504.", must: []string{"=status-504"}, never: []string{"=upgrade-stripped"}},
			{name: "a server that closes", conf: "127.0.0.1:@GONE|retries 0", truth: "The server closes without a response: 502.", must: []string{"=status-502", "crash|clos|log"}, never: []string{"=upgrade-stripped"}},
			{name: "a server of TLS", conf: "127.0.0.1:@TLSBACK|retries 0", truth: "The server expects TLS, and HAProxy speaks plain HTTP to it: 502.", must: []string{"=status-502", "TLS|scheme"}, never: []string{"=upgrade-stripped"}},
			{name: "Basic", conf: "http-request auth realm chat", truth: "HAProxy wants Basic credentials: 401.", must: []string{"=status-401", "Basic"}, never: []string{"=origin-refused"}},
			{name: "a redirect to https", conf: "http-request redirect scheme https", truth: "HAProxy redirects to https: the URL must be wss.", must: []string{"=status-302", "wss://"}, never: []string{"=upgrade-stripped"}},
			{name: "a certificate for another name", conf: "bind 127.0.0.1:@PORT ssl crt @ALIEN", url: wss, args: trust, truth: "The certificate is for shop.example only.", must: []string{"=cert-wrong-name", "shop.example"}},
			{name: "HTTP/2 only", conf: "bind 127.0.0.1:@PORT ssl crt @BOTH alpn h2", url: wss, args: trust, truth: "The port's ALPN has HTTP/2 only, but HAProxy accepts a client that offers only HTTP/1.1: nothing is wrong.", must: []string{"healthy"}},
		}},
		{name: "Caddy", needs: "caddy", start: caddy, samples: []sample{
			ok("reverse_proxy 127.0.0.1:@BACK"), down("reverse_proxy 127.0.0.1:@DEAD", "=status-502"),
			{name: "another path", conf: "handle /app/* {\n reverse_proxy 127.0.0.1:@BACK\n}", truth: "Caddy has no handler for the path, and answers 200 with an empty body.",
				must: []string{"=status-200", "path|handle"}, never: []string{"=origin-refused"}},
			{name: "file_server", conf: "root * @HOME\nfile_server", truth: "Caddy serves files here, and proxies nothing: 404.", must: []string{"=status-404", "path"}, never: []string{"=origin-refused"}},
			{name: "basicauth", conf: "basicauth {\n ann JDJhJDE0JFhDdzlWRC9wT1BwZS5sLmRrRkFwWS5PWXZnUkIwLnNyUzVWcnBQNEVuVEdDVHZwLk5tOC9p\n}\nreverse_proxy 127.0.0.1:@BACK",
				truth: "Caddy wants Basic credentials: 401.", must: []string{"=status-401", "Basic"}, never: []string{"=origin-refused"}},
			{name: "an upstream of TLS", conf: "reverse_proxy 127.0.0.1:@TLSBACK", truth: "The upstream expects TLS, and Caddy speaks plain HTTP to it: 502.", must: []string{"=status-502", "TLS|scheme"}, never: []string{"=upgrade-stripped"}},
			{name: "an upstream that does not answer", conf: "reverse_proxy 127.0.0.1:@MUTE {\n transport http {\n response_header_timeout 2s\n }\n}", truth: "The upstream does not answer in time: 504.",
				must: []string{"=status-504"}, never: []string{"=upgrade-stripped"}},
			{name: "tls internal", conf: "tls internal\nreverse_proxy 127.0.0.1:@BACK", url: wss, truth: "The certificate is from Caddy's local CA, which the client does not trust.",
				must: []string{"=cert-unknown-issuer", "Caddy|CA"}, never: []string{"=cert-expired"}},
			{name: "plain HTTP to TLS", conf: "tls internal\nreverse_proxy 127.0.0.1:@BACK", truth: "The port speaks TLS: 400.", must: []string{"=plain-to-tls-port"}, never: direct},
			{name: "a redirect", conf: "redir https://shop.example{uri}", truth: "Caddy redirects to https://shop.example.", must: []string{"=status-302", "shop.example"}, never: []string{"=upgrade-stripped", "Log in first"}},
		}},
		{name: "Apache httpd", needs: "/usr/sbin/apache2", start: apache, samples: []sample{
			ok(`ProxyPass / ws://127.0.0.1:@BACK/`), ok(`ProxyPass / http://127.0.0.1:@BACK/ upgrade=websocket`),
			stripped("http:// only", `ProxyPass / http://127.0.0.1:@BACK/`, "proxy_wstunnel|upgrade=websocket"),
			{name: "no mod_proxy_wstunnel", conf: "#plain\nProxyPass / ws://127.0.0.1:@BACK/", truth: "Nothing is wrong: since 2.4.47 mod_proxy_http serves ws:// too.",
				must: []string{"healthy"}},
			down(`ProxyPass / ws://127.0.0.1:@DEAD/`, "=status-503|status-502"),
			{name: "Require", conf: "ProxyPass / ws://127.0.0.1:@BACK/\n<Location />\nRequire ip 192.0.2.1\n</Location>", truth: "Apache admits another address only: its own 403.",
				must: []string{"=status-403", "Apache|Require|address"}, never: []string{"=origin-refused", "=upgrade-stripped"}},
			{name: "Basic", conf: "ProxyPass / ws://127.0.0.1:@BACK/\n<Location />\nAuthType Basic\nAuthName chat\nAuthUserFile /dev/null\nRequire valid-user\n</Location>",
				truth: "Apache wants Basic credentials: 401.", must: []string{"=status-401", "Basic"}, never: []string{"=origin-refused"}},
			{name: "another path", conf: `ProxyPass /app/ ws://127.0.0.1:@BACK/`, truth: "Apache does not proxy the path: its own 404.", must: []string{"=status-404", "path"}, never: []string{"=origin-refused", "=upgrade-stripped"}},
			{name: "a redirect", conf: "RewriteEngine on\nRewriteRule ^/(.*) https://shop.example/$1 [R=301,L]", truth: "Apache redirects to https://shop.example.", must: []string{"=status-301", "shop.example"}},
			{name: "an upstream that does not answer", conf: "ProxyTimeout 2\nProxyPass / ws://127.0.0.1:@MUTE/", truth: "The upstream does not answer within ProxyTimeout.",
				must: []string{"=status-502|status-504|response-timeout|closed-before-response", "log|time"}, never: []string{"=upgrade-stripped"}},
			{name: "ProxyTimeout", conf: "ProxyTimeout 2\nProxyPass / ws://127.0.0.1:@BACK/", args: []string{"--probe-idle", "8s"}, truth: "Nothing is wrong: ProxyTimeout does not apply to an upgraded connection.",
				must: []string{"healthy"}},
			{name: "plain HTTP to TLS", conf: "SSLEngine on\nSSLCertificateFile @BOTH\nProxyPass / ws://127.0.0.1:@BACK/", truth: "The port speaks TLS: 400.", must: []string{"=plain-to-tls-port"}, never: direct},
		}},
		{name: "lighttpd", needs: "/usr/sbin/lighttpd", start: lighttpd, samples: []sample{
			ok(`server.modules = ("mod_proxy")` + "\n" + `proxy.server = ("" => (("host" => "127.0.0.1", "port" => @BACK)))` + "\n" + `proxy.header = ("upgrade" => "enable")`),
			stripped("no upgrade", `server.modules = ("mod_proxy")`+"\n"+`proxy.server = ("" => (("host" => "127.0.0.1", "port" => @BACK)))`, "proxy.header|lighttpd|proxy"),
			down(`server.modules = ("mod_proxy")`+"\n"+`proxy.server = ("" => (("host" => "127.0.0.1", "port" => @DEAD)))`+"\n"+`proxy.header = ("upgrade" => "enable")`, "=status-503|status-502"),
			{name: "url.access-deny", conf: `server.modules = ("mod_access")` + "\n" + `url.access-deny = ("ws")`, truth: "lighttpd denies the path: its own 403.", must: []string{"=status-403", "lighttpd|path|rule"}, never: []string{"=origin-refused", "=upgrade-stripped"}},
			{name: "another path", conf: "", truth: "lighttpd serves files here, and proxies nothing: 404.", must: []string{"=status-404", "path"}, never: []string{"=origin-refused", "=upgrade-stripped"}},
		}},
		{name: "Varnish", needs: "/usr/sbin/varnishd", start: varnish, samples: []sample{
			ok("sub vcl_recv { if (req.http.upgrade ~ \"(?i)websocket\") { return (pipe); } }\nsub vcl_pipe { if (req.http.upgrade) { set bereq.http.upgrade = req.http.upgrade; set bereq.http.connection = req.http.connection; } }"),
			stripped("no pipe", "", "pipe|Varnish"),
			stripped("vcl_pipe without Upgrade", "sub vcl_recv { return (pipe); }\nsub vcl_pipe { unset bereq.http.upgrade; }", "pipe|Varnish"),
			down("@DEAD|", "=status-503|status-502"),
			{name: "synth", conf: "sub vcl_recv { return (synth(403)); }", truth: "Varnish refuses the request: its own 403.", must: []string{"=status-403", "Varnish|proxy|rule"}, never: []string{"=origin-refused", "=upgrade-stripped"}},
			{name: "an upstream that does not answer", conf: "@MUTE|sub vcl_backend_fetch { set bereq.first_byte_timeout = 2s; }", truth: "The upstream does not answer within first_byte_timeout: 503.",
				must: []string{"=status-503|status-504", "time|respond|answer|overload|log"}, never: []string{"=upgrade-stripped"}},
		}},
		{name: "h2o", needs: "h2o", start: h2o, samples: []sample{
			ok("        proxy.reverse.url: http://127.0.0.1:@BACK/\n        proxy.websocket: ON"),
			stripped("no proxy.websocket", "        proxy.reverse.url: http://127.0.0.1:@BACK/", "proxy.websocket|h2o|proxy"),
			down("        proxy.reverse.url: http://127.0.0.1:@DEAD/\n        proxy.websocket: ON", "=status-502|status-503"),
			{name: "another path", conf: "        file.dir: @HOME/none", truth: "h2o serves files here, and proxies nothing: 404.", must: []string{"=status-404", "path"}, never: []string{"=origin-refused", "=upgrade-stripped"}},
			{name: "an expired certificate", conf: "@OLD|        proxy.reverse.url: http://127.0.0.1:@BACK/\n        proxy.websocket: ON", url: wss, args: trust, truth: "The certificate expired two days ago.", must: []string{"=cert-expired"}},
		}},
		{name: "Squid", needs: "/usr/sbin/squid", start: squid, samples: []sample{
			{name: "healthy forward proxy", conf: "http_port 127.0.0.1:@PORT\nhttp_access allow all", url: "ws://127.0.0.1:@BACK/ws", args: []string{"--proxy", "http://127.0.0.1:@PORT"},
				truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "CONNECT to a port that is not safe", conf: "http_port 127.0.0.1:@PORT\nacl safe port 443\nhttp_access deny CONNECT !safe\nhttp_access allow all", url: "ws://127.0.0.1:@BACK/ws",
				args: []string{"--proxy", "http://127.0.0.1:@PORT"}, truth: "Squid allows CONNECT to port 443 only: 403.", must: []string{"=proxy-refused", "443"}, never: also(direct, "=status-403", "=origin-refused")},
			{name: "credentials of the proxy", conf: "http_port 127.0.0.1:@PORT\nauth_param basic program /bin/cat\nauth_param basic realm net\nacl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all",
				url: "ws://127.0.0.1:@BACK/ws", args: []string{"--proxy", "http://127.0.0.1:@PORT"}, truth: "Squid wants credentials: 407.", must: []string{"=status-407"}, never: also(direct, "=status-401")},
			{name: "a dead server through a proxy", conf: "http_port 127.0.0.1:@PORT\nhttp_access allow all", url: "ws://127.0.0.1:@DEAD/ws", args: []string{"--proxy", "http://127.0.0.1:@PORT"},
				truth: "Squid cannot reach the server, on whose port nothing listens: 503.", must: []string{"=proxy-refused|proxy-unreachable", "reach|refused|listen|connect"}, never: direct},
			stripped("accelerator", "http_port 127.0.0.1:@PORT accel defaultsite=127.0.0.1\ncache_peer 127.0.0.1 parent @BACK 0 no-query originserver\nhttp_access allow all", "http_upgrade_request_protocols|squid"),
			ok("http_port 127.0.0.1:@PORT accel defaultsite=127.0.0.1\ncache_peer 127.0.0.1 parent @BACK 0 no-query originserver\nhttp_access allow all\nhttp_upgrade_request_protocols websocket allow all"),
		}},
	}
}
