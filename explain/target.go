package explain

import (
	"encoding/base64"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/handfast/handfast/internal/redact"
)

// target is where a handshake goes, with the secrets in it.
type target struct {
	secure bool
	name   string // of the host, in lower case, without brackets; an address may have a zone
	port   string
	uri    string // path and query
	shown  string // uri without secrets
	origin string // of a page on the same host
}

// readURL takes the URL apart (RFC 6455 §3) and makes the secrets known that stand in it and in the options.
func (t *tracer) readURL(raw string) bool {
	t.learnOptions()
	s := t.begin(StageURL, "read the URL")
	const clause = "RFC 6455 §3"
	refuse := func(detail string) bool {
		t.r.URL = t.hide.text(redact.URL(raw))
		s.OK = false
		t.fail(StageURL, FaultURL, clause, detail)
		t.end(s, detail)
		return false
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return refuse("a space or a control character stands in the URL")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return refuse("the URL does not parse: look at its host, its port, and its percent signs")
	}
	t.learnURL(u)
	t.r.URL = t.hide.text(redact.URL(raw))
	g := &target{name: asciiHost(u.Hostname()), port: u.Port()}
	scheme := ""
	switch u.Scheme {
	case "ws", "http":
		scheme = "http"
	case "wss", "https":
		g.secure, scheme = true, "https"
	case "":
		return refuse("the URL has no scheme: it begins with ws:// or wss://")
	default:
		return refuse("the scheme is none of ws, wss, http and https")
	}
	switch {
	case strings.Contains(raw, "#"):
		return refuse("the URL has a fragment, which a WebSocket URL must not have")
	case g.name == "":
		return refuse("the URL has no host")
	case !validHost(g.name):
		return refuse("the host is neither a name nor an address")
	}
	if g.port == "" {
		g.port = map[bool]string{false: "80", true: "443"}[g.secure]
	}
	if n, err := strconv.ParseUint(g.port, 10, 16); err != nil || n == 0 {
		return refuse("the port is not between 1 and 65535")
	}
	g.uri = t.requestURI(u)
	g.shown = redact.URL(g.uri)
	g.origin = scheme + "://" + g.host()
	t.target = g
	t.setTarget()
	s.Facts = []Fact{{"host", g.name}, {"port", g.port}, {"resource", g.shown}}
	if u.User != nil {
		s.Facts = append(s.Facts, Fact{"user", "sent as Authorization: Basic; browsers refuse such a URL for a WebSocket"})
	}
	s.Rules = []Check{{clause, "the scheme is ws or wss, there is a host and no fragment", true, ""}}
	if u.Scheme == "http" || u.Scheme == "https" {
		s.Rules[0].Detail = u.Scheme + " is taken for " + map[bool]string{false: "ws", true: "wss"}[g.secure] + ", as browsers do"
	}
	t.end(s, map[bool]string{false: "without TLS", true: "with TLS"}[g.secure]+
		" to "+net.JoinHostPort(g.name, g.port))
	return true
}

// requestURI returns path and query with the secret parameters of the options. RFC 6455 §11.1.1: characters that cannot
// stand in a request line are escaped.
func (t *tracer) requestURI(u *url.URL) string {
	uri := u.RequestURI()
	if len(t.o.Credentials.Query) > 0 {
		separator := "?"
		if strings.Contains(uri, "?") {
			separator = "&"
		}
		uri += separator + t.o.Credentials.Query.Encode()
	}
	var b strings.Builder
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\^{|}`+"`", c) >= 0 {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)>>4, 16)+strconv.FormatUint(uint64(c)&15, 16)))
			continue
		}
		b.WriteByte(uri[i])
	}
	return b.String()
}

// learnURL makes the secrets of the URL known, and its user information credentials.
func (t *tracer) learnURL(u *url.URL) {
	t.hide.learnQuery(u.RawQuery)
	if u.User == nil {
		return
	}
	password, _ := u.User.Password()
	t.hide.add(password)
	if t.o.Credentials.Username == "" && t.o.Credentials.Password == "" {
		t.o.Credentials.Username, t.o.Credentials.Password = u.User.Username(), password
		t.learnOptions()
	}
}

// learnOptions makes the secrets of the options known.
func (t *tracer) learnOptions() {
	c := &t.o.Credentials
	for _, s := range [...]string{c.Bearer, c.Password, c.APIKey, c.SubprotocolToken} {
		t.hide.add(s)
	}
	if c.Username != "" || c.Password != "" {
		t.hide.add(basic(c.Username, c.Password))
	}
	t.hide.learn("Cookie", c.Cookie)
	for _, values := range c.Query {
		for _, v := range values {
			t.hide.add(v)
		}
	}
	for name, values := range t.o.Header {
		for _, v := range values {
			t.hide.learn(name, v)
		}
	}
	for _, name := range t.o.Subprotocols {
		if prefix, ok := redact.Subprotocol(name); ok {
			t.hide.add(name[len(prefix):])
		}
	}
}

// basic returns what stands behind "Basic " (RFC 7617 §2).
func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// setTarget writes into the report where the handshake goes.
func (t *tracer) setTarget() {
	g := t.target
	out := &Target{Secure: g.secure, Host: g.name, Port: g.port, Path: g.shown, Origin: t.o.Origin}
	switch {
	case t.o.NoOrigin:
		out.Origin = ""
	case out.Origin == "":
		out.Origin = g.origin
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

// credentials names the patterns by which credentials are sent.
func (t *tracer) credentials() []string {
	c := &t.o.Credentials
	var patterns []string
	for _, p := range [...]struct {
		name string
		used bool
	}{
		{"bearer", c.Bearer != ""},
		{"basic", c.Username != "" || c.Password != ""},
		{"cookie", c.Cookie != "" || t.o.Header.Get("Cookie") != ""},
		{"subprotocol", slices.ContainsFunc(t.subprotocols(), func(s string) bool {
			_, ok := redact.Subprotocol(s)
			return ok
		})},
		{"query", t.target.uri != t.target.shown},
		{"api-key", c.APIKey != ""},
		{"client certificate", t.target.secure && t.o.TLS != nil &&
			(len(t.o.TLS.Certificates) > 0 || t.o.TLS.GetClientCertificate != nil)},
		{"header", t.secretHeader()},
	} {
		if p.used {
			patterns = append(patterns, p.name)
		}
	}
	return patterns
}

// secretHeader reports whether one of the further headers holds a secret that is no cookie.
func (t *tracer) secretHeader() bool {
	for name := range t.o.Header {
		if redact.Name(name) && !equalFold(name, "Cookie") {
			return true
		}
	}
	return false
}

// subprotocols returns what is offered: the subprotocols, and a token in the form of one.
func (t *tracer) subprotocols() []string {
	list := slices.Clone(t.o.Subprotocols)
	if token := t.o.Credentials.SubprotocolToken; token != "" {
		list = append(list, redact.KubernetesPrefix+base64.RawURLEncoding.EncodeToString([]byte(token)))
	}
	return list
}

// host returns the value of the Host header: RFC 6455 §4.1, /host/ plus /port/ "when not using the default port".
func (g *target) host() string {
	host := g.name
	if strings.Contains(host, ":") {
		host, _, _ = strings.Cut(host, "%") // RFC 6874 §4: a zone means something on this machine only
		host = "[" + host + "]"
	}
	if g.port == "80" && !g.secure || g.port == "443" && g.secure {
		return host
	}
	return host + ":" + g.port
}

// asciiHost returns a host as it stands in the request: RFC 6455 §11.1.1, names beyond ASCII in Punycode; all of it in lower
// case but for the zone of an address. What cannot be one is returned as it is.
func asciiHost(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		if ascii, err := idna.Lookup.ToASCII(name); err == nil {
			name = ascii
		}
	}
	name, zone, zoned := strings.Cut(name, "%")
	if name = strings.ToLower(name); zoned {
		name += "%" + zone
	}
	return name
}

// validHost reports whether a name can be a host's.
func validHost(name string) bool {
	if strings.Contains(name, ":") {
		_, err := netip.ParseAddr(name)
		return err == nil
	}
	for i := range len(name) {
		c := name[i]
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			continue
		}
		return false
	}
	return true
}
