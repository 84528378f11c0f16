//go:build e2e && servers

package explain

import "net/http"

// otherLanguages are libraries of Ruby, Perl, Java and PHP.
func otherLanguages() []program {
	wss, trust := "wss://127.0.0.1:@PORT/ws", []string{"--cacert", "@CA"}
	rack := func(server string) func(l *lab, conf string) {
		return func(l *lab, conf string) {
			l.Env = append(l.Env, "SERVER="+server)
			if server == "thin" {
				l.run("thin", "-R", l.script(conf), "-a", "127.0.0.1", "-p", "@PORT", "-e", "production", "-q", "start")
				return
			}
			l.run("puma", "-q", "-e", "production", "-b", "tcp://127.0.0.1:@PORT", l.script(conf))
		}
	}
	on := func(conf string, list ...sample) []sample {
		for i := range list {
			list[i].conf = conf
		}
		return list
	}
	return []program{
		{name: "faye-websocket on Puma", needs: "puma", start: rack("puma"), samples: on("faye.ru", healthy, lost, page, late, foreign, noToken, withToken, noChat, crash, notTLS)},
		{name: "faye-websocket on Thin", needs: "thin", start: rack("thin"), samples: on("faye.ru", healthy, lost, page, late, foreign, notTLS)},
		{name: "Action Cable", needs: "puma", start: rack("puma"), samples: on("cable.ru",
			sample{name: "healthy", url: at + "/cable", args: []string{"--origin", "https://app.example", "--subprotocol", "actioncable-v1-json", "--query-token", "token=s3cret"},
				truth: "Nothing is wrong, and other origins are refused.", must: []string{"healthy"}, never: []string{"=cross-site-origin-accepted"}},
			sample{name: "another origin", url: at + "/cable", args: []string{"--origin", "https://evil.example", "--subprotocol", "actioncable-v1-json"},
				truth: "Action Cable admits only https://app.example, and answers others with 404.", must: []string{"origin"}, never: also(direct, notOrigin)},
			sample{name: "no token", url: at + "/cable", args: []string{"--origin", "https://app.example", "--subprotocol", "actioncable-v1-json"},
				truth: "Action Cable rejects the connection after the 101: it sends a disconnect message with reason unauthorized, and closes.",
				must:  []string{"=closed-after-101", "unauthorized|credential|token|log in"}, never: direct},
			sample{name: "another subprotocol", url: at + "/cable", args: []string{"--origin", "https://app.example", "--subprotocol", "chat.v2", "--query-token", "token=s3cret"},
				truth: "Action Cable speaks actioncable-v1-json only.", must: []string{"=no-subprotocol|closed-after-101"}, never: direct},
		)},
		{name: "em-websocket", needs: "/usr/lib/ruby/vendor_ruby/em-websocket.rb", start: func(l *lab, conf string) {
			args := []string{l.script("em.rb"), l.port}
			if conf != "" {
				args = append(args, conf)
			}
			l.run("ruby", args...)
		}, samples: []sample{healthy, late, notTLS,
			{name: "an exception after the 101", url: at + "/broken", truth: "The handler raises, and the library closes.", must: []string{"=closed-after-101|closed-without-close-frame", "log|exception|crash|1011"}, never: also(direct, "credential is missing", "expects nothing more")},
			{name: "plain HTTP to TLS", conf: "@BOTH", truth: "The port speaks TLS, the client plain HTTP.", must: []string{"=plain-to-tls-port"}, never: direct},
			{name: "healthy TLS", conf: "@BOTH", url: wss, args: trust, truth: "Nothing is wrong.", must: []string{"healthy"}},
		}},
		{name: "Mojolicious", needs: "/usr/share/perl5/Mojolicious.pm", start: func(l *lab, _ string) {
			l.run("perl", l.script("mojo.pl"), "daemon", "-m", "production", "-l", "http://127.0.0.1:@PORT")
		}, samples: []sample{healthy, lost, page, late, foreign, noToken, withToken, noChat, crash, postMojo, notTLS}},
		{name: "Tomcat", needs: "/usr/share/tomcat10-examples", start: tomcat, samples: []sample{
			{name: "healthy", url: at + "/examples/websocket/echoProgrammatic", truth: "Nothing is wrong.", must: []string{"healthy"}},
			{name: "another path", url: at + "/examples/websocket/chatroom", truth: "The web application has no endpoint at this path: 404.", must: []string{"=status-404", "path"}, never: also(direct, "=origin-refused")},
			{name: "no context path", url: at + "/websocket/echoProgrammatic", truth: "The URL lacks the context path /examples: 404.", must: []string{"=status-404", "path"}, never: also(direct, "=origin-refused")},
			{name: "a page", url: at + "/examples/index.html", truth: "The path has an ordinary page: 200.", must: []string{"=status-200", "path"}, never: also(direct, "=origin-refused")},
			{name: "a login form", url: at + "/examples/jsp/security/protected/index.jsp", truth: "The path is protected, so Tomcat answers with its login form: 200.",
				must: []string{"asks (for|to)|to log in|log in first|session"}, never: also(direct, "=origin-refused")},
			{name: "a missing slash", url: at + "/examples", truth: "Tomcat redirects to the path with a slash.", must: []string{"=status-302", "/examples/"}, never: direct},
			notTLS,
			{name: "plain HTTP to TLS", conf: "tls", truth: "The port speaks TLS, the client plain HTTP: 400.", must: []string{"=plain-to-tls-port"}, never: direct},
			{name: "a valve", conf: "valve", url: at + "/examples/websocket/echoProgrammatic", truth: "RemoteAddrValve admits another address only: 403.", must: []string{"=status-403", "address|Tomcat|Valve|rule"},
				never: also(direct, "=origin-refused")},
		}},
		{name: "Jetty", needs: "/usr/share/java/jetty9-websocket-server.jar", start: func(l *lab, _ string) {
			l.run("java", "-cp", "/usr/share/java/*", l.script("Jetty.java"), "@PORT")
		}, samples: []sample{healthy, lost, page, late, foreign, noToken, broken, notTLS}},
		{name: "PHP", needs: "php", start: func(l *lab, _ string) {
			l.run("php", "-q", "-S", "127.0.0.1:@PORT", l.script("router.php"))
		}, samples: []sample{
			{name: "the built-in server", url: at + "/page", truth: "PHP's built-in server cannot carry a WebSocket: it answers 200 with a page.", must: []string{"=status-200", "PHP"}, never: also(direct, "=origin-refused")},
			{name: "a missing route", url: at + "/chat", truth: "PHP's built-in server cannot carry a WebSocket: 404.", must: []string{"=status-404", "PHP|path"}, never: also(direct, "=origin-refused")},
			{name: "a fatal error", url: at + "/crash", truth: "The script ends with a fatal error: 500.", must: []string{"=status-500", "log"}, never: also(direct, "=origin-refused")},
		}},
	}
}

var postMojo = sample{name: "a path for POST", url: at + "/send", truth: "The path has a route for POST only, so Mojolicious answers 404.", must: []string{"=status-404", "path"},
	never: also(direct, "=origin-refused")}

func tomcat(l *lab, conf string) {
	tls, valve := "", ""
	switch conf {
	case "tls":
		tls = ` SSLEnabled="true"><SSLHostConfig><Certificate certificateFile="@PEM" certificateKeyFile="@KEY"/></SSLHostConfig></Connector`
	case "valve":
		valve = `<Valve className="org.apache.catalina.valves.RemoteAddrValve" allow="192\.0\.2\.1"/>`
	}
	if tls == "" {
		tls = "/"
	}
	l.file("conf/server.xml", `<Server port="-1"><Service name="Catalina"><Connector port="@PORT" address="127.0.0.1"`+tls+`>
<Engine name="Catalina" defaultHost="localhost"><Host name="localhost" appBase="webapps" autoDeploy="false">`+valve+`
<Context path="/examples" docBase="/usr/share/tomcat10-examples/examples"/></Host></Engine></Service></Server>`)
	l.file("conf/web.xml", `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0">
<servlet><servlet-name>default</servlet-name><servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class><load-on-startup>1</load-on-startup></servlet>
<servlet><servlet-name>jsp</servlet-name><servlet-class>org.apache.jasper.servlet.JspServlet</servlet-class></servlet>
<servlet-mapping><servlet-name>default</servlet-name><url-pattern>/</url-pattern></servlet-mapping>
<servlet-mapping><servlet-name>jsp</servlet-name><url-pattern>*.jsp</url-pattern></servlet-mapping>
<mime-mapping><extension>html</extension><mime-type>text/html</mime-type></mime-mapping></web-app>`)
	l.file("webapps/.keep", "")
	l.file("logs/.keep", "")
	l.file("temp/.keep", "")
	l.Env = append(l.Env, "CATALINA_HOME=/usr/share/tomcat10", "CATALINA_BASE="+l.Home, "CATALINA_OPTS=-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1")
	l.run("/usr/share/tomcat10/bin/catalina.sh", "run")
	if resp, err := http.Get(l.text("http://127.0.0.1:@PORT/examples/")); err == nil { // the first request is slow
		resp.Body.Close()
	}
}
