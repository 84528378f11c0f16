package explain

import (
	"encoding/base64"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/websocket/handshake"
)

// target is the destination of a handshake, including secrets.
type target struct {
	*handshake.Target
	shown  string // the request URI without secrets
	origin string // the origin of a page on the same host
}

// noSlashes matches a URL such as wss:/host or ws:host. According to WHATWG URL §4.4, browsers add the missing slashes.
var noSlashes = regexp.MustCompile(`(?i)^(?:wss?|https?):/?[^/\\s]`)

// readURL parses the URL (RFC 6455 §3), and adds the secrets in the URL and in the options to the redactor. It returns false if the URL is
// not valid.
func (t *requester) readURL(raw string) bool {
	t.addOptionSecrets()
	s := t.begin(StageURL, "read the URL")
	const clause = "RFC 6455 §3"
	refuse := func(detail string) bool {
		t.r.URL = t.hide.text(redact.URL(raw))
		s.OK = false
		t.fail(StageURL, FaultURL, clause, detail)
		t.end(s, detail)
		return false
	}
	// url.Parse also finds the secrets in a URL that violates the rules, which package handshake enforces below.
	if u, err := url.Parse(raw); err == nil {
		t.addURLSecrets(u)
	}
	to, v := handshake.ParseTarget(raw)
	if v != nil {
		detail := v.Detail
		if noSlashes.MatchString(raw) {
			return refuse("the two slashes after the scheme are missing; browsers add them, programs do not: write ws://host/path")
		}
		if v.Hint != "" {
			detail += ": " + v.Hint
		}
		return refuse(detail)
	}
	t.r.URL = t.hide.text(redact.URL(raw))
	if len(t.o.Credentials.Query) > 0 {
		separator := "?"
		if strings.Contains(to.URI, "?") {
			separator = "&"
		}
		to.URI += separator + t.o.Credentials.Query.Encode()
	}
	g := &target{Target: to, shown: redact.URL(to.URI), origin: to.URL.Scheme + "://" + to.Host()}
	t.target = g
	t.setTarget()
	t.warnAboutBrowsers()
	s.Facts = []Fact{{"host", g.Name}, {"port", g.Port}, {"resource", g.shown}}
	if to.Auth != "" {
		s.Facts = append(s.Facts, Fact{"user", "sent as Authorization: Basic; browsers refuse such a URL for a WebSocket"})
	}
	s.Rules = []Check{{clause, "the scheme is ws or wss, there is a host and no fragment", true, ""}}
	if strings.EqualFold(raw[:min(len(raw), len("http"))], "http") {
		s.Rules[0].Detail = to.URL.Scheme + " is read as " + map[bool]string{false: "ws", true: "wss"}[g.Secure] + ", as browsers do"
	}
	t.end(s, map[bool]string{false: "without TLS", true: "with TLS"}[g.Secure]+
		" to "+net.JoinHostPort(g.Name, g.Port))
	return true
}

// addURLSecrets adds the secrets in the URL to the redactor, and uses the user information as credentials.
func (t *requester) addURLSecrets(u *url.URL) {
	t.hide.addQuery(u.RawQuery)
	if u.User == nil {
		return
	}
	password, _ := u.User.Password()
	t.hide.add(password)
	if t.o.Credentials.Username == "" && t.o.Credentials.Password == "" {
		t.o.Credentials.Username, t.o.Credentials.Password = u.User.Username(), password
		t.addOptionSecrets()
	}
}

// addOptionSecrets adds the secrets in the options to the redactor.
func (t *requester) addOptionSecrets() {
	c := &t.o.Credentials
	for _, s := range [...]string{c.Bearer, c.Password, c.APIKey, c.SubprotocolToken} {
		t.hide.add(s)
	}
	if c.Username != "" || c.Password != "" {
		t.hide.add(basic(c.Username, c.Password))
	}
	t.hide.addField("Cookie", c.Cookie)
	for _, values := range c.Query {
		for _, v := range values {
			t.hide.add(v)
		}
	}
	for name, values := range t.o.Header {
		for _, v := range values {
			t.hide.addField(name, v)
		}
	}
	for _, name := range t.o.Subprotocols {
		if prefix, ok := redact.Subprotocol(name); ok {
			t.hide.add(name[len(prefix):])
		}
	}
}

// basic returns the credentials after "Basic " in a header (RFC 7617 §2).
func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// setTarget records the destination of the handshake in the report.
func (t *requester) setTarget() {
	g := t.target
	out := &Target{Secure: g.Secure, Host: g.Name, Port: g.Port, Path: g.shown, Origin: t.o.Origin}
	switch {
	case t.o.NoOrigin:
		out.Origin = ""
	case out.Origin == "":
		out.Origin = g.origin
	}
	for name, values := range t.o.Header {
		if equalFold(name, "Host") && len(values) > 0 && hostName(values[0], g.Secure) != strings.ToLower(g.Host()) {
			out.HostHeader = strings.TrimSpace(values[0])
		}
	}
	for _, name := range t.subprotocols() {
		if prefix, ok := redact.Subprotocol(name); ok {
			name = prefix + redact.Mark
		}
		out.Subprotocols = append(out.Subprotocols, name)
	}
	out.Credentials = t.credentials()
	t.r.Target = out
}

// hostName returns a Host header in lower case, without the default port.
func hostName(host string, secure bool) string {
	return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(host)), ":"+defaultPort(secure))
}

// credentials returns the kinds of credentials that are sent.
func (t *requester) credentials() []string {
	c := &t.o.Credentials
	scheme, _, _ := strings.Cut(t.o.Header.Get("Authorization"), " ")
	var patterns []string
	for _, p := range [...]struct {
		name string
		used bool
	}{
		{"bearer", c.Bearer != "" || equalFold(scheme, "Bearer")},
		{"basic", c.Username != "" || c.Password != "" || equalFold(scheme, "Basic")},
		{"cookie", c.Cookie != "" || t.o.Header.Get("Cookie") != ""},
		{"subprotocol", slices.ContainsFunc(t.subprotocols(), func(s string) bool {
			_, ok := redact.Subprotocol(s)
			return ok
		})},
		{"query", t.target.URI != t.target.shown},
		{"api-key", c.APIKey != ""},
		{"client certificate", t.target.Secure && t.o.TLS != nil &&
			(len(t.o.TLS.Certificates) > 0 || t.o.TLS.GetClientCertificate != nil)},
		{"header", t.secretHeader()},
	} {
		if p.used {
			patterns = append(patterns, p.name)
		}
	}
	return patterns
}

// secretHeader reports whether an additional header contains a secret that is not of another kind of credential.
func (t *requester) secretHeader() bool {
	for name, values := range t.o.Header {
		switch {
		case !redact.Name(name) || equalFold(name, "Cookie"):
		case equalFold(name, "Authorization"):
			scheme, _, _ := strings.Cut(strings.Join(values, ", "), " ")
			if !equalFold(scheme, "Bearer") && !equalFold(scheme, "Basic") {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// subprotocols returns the offered subprotocols, including the subprotocol that contains the token.
func (t *requester) subprotocols() []string {
	list := slices.Clone(t.o.Subprotocols)
	if token := t.o.Credentials.SubprotocolToken; token != "" {
		list = append(list, redact.KubernetesPrefix+base64.RawURLEncoding.EncodeToString([]byte(token)))
	}
	return list
}
