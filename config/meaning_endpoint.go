package config

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// endpoints checks the endpoints, and that no two of them have the same path.
func (k *checker) endpoints() {
	if len(k.c.Endpoints) == 0 && !k.tree.Failed("") {
		k.tree.Wrong("endpoints", "required", "a list of endpoints, each with path, target and auth")
	}
	names, paths := map[string]int{}, map[string]string{}
	if k.c.Logout.Path != "" {
		paths[shapeOfPath(k.c.Logout.Path)] = "logout.path"
	}
	for path, m := range k.c.Methods() {
		if m.Ticket != nil && m.Ticket.Path != "" {
			p := path + ".ticket.path"
			if other, ok := paths[shapeOfPath(m.Ticket.Path)]; ok {
				k.tree.Wrong(p, other+" has the same path", "a unique path")
			}
			paths[shapeOfPath(m.Ticket.Path)] = p
		}
	}
	for i := range k.c.Endpoints {
		e, p := &k.c.Endpoints[i], fmt.Sprintf("endpoints[%d]", i)
		if e.Path == "" {
			continue
		}
		if first, ok := names[e.Name]; ok {
			k.tree.Wrong(p+".name", fmt.Sprintf("endpoints[%d] has the same name, %s", first, tree.Quote(e.Name)), "a unique name")
		}
		names[e.Name] = i
		for _, pattern := range e.Patterns() {
			pattern = shapeOfPath(pattern)
			if other, ok := paths[pattern]; ok {
				k.tree.Wrong(p+".path", other+" has the same path", "a unique path or host")
			}
			paths[pattern] = p + ".path"
		}
		k.endpoint(e, p)
	}
}

// hostName matches the host names that an endpoint may have, including IPv4 addresses.
var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$`)

func (k *checker) endpoint(e *Endpoint, path string) {
	k.path(e.Path, path+".path")
	for i, host := range e.Hosts {
		if !hostName.MatchString(host) {
			k.tree.Wrong(fmt.Sprintf("%s.hosts[%d]", path, i), tree.Quote(host)+" is not a host name", "a name in lower case without a port, such as chat.example.com")
		}
	}
	if k.c.Console && e.Path == "/" {
		k.tree.Wrong(path+".path", "the console uses this path", "another path, or console: false")
	}
	k.refs(e.Auth, path+".auth", true)
	seen := map[string]bool{}
	for i, s := range e.Subprotocols {
		p := fmt.Sprintf("%s.subprotocols[%d]", path, i)
		switch {
		case !validHeader(s): // a subprotocol must be an HTTP token, like the name of a header (RFC 6455 §4.1)
			k.tree.Wrong(p, tree.Quote(s)+" cannot be a subprotocol", "letters, digits, - and .")
		case seen[s]:
			k.tree.Wrong(p, tree.Quote(s)+" is already in the list", "")
		}
		seen[s] = true
	}
	k.checkSendLimits(e, path)
	if set, ok := e.Target.Settings.(checked); ok {
		set.check(k, e, path)
	}
	k.checkAmbientAuth(e, path)
}

// sendingSeconds is the maximum time, at bytes_per_second, for sending a message of max_message.
const sendingSeconds = 10

// checkSendLimits checks the limits on messages and on idle time, which the server can enforce only where it sees messages.
func (k *checker) checkSendLimits(e *Endpoint, path string) {
	reason, want := "", ""
	if b, ok := e.Target.Settings.(*Balance); ok && !b.Messages.Carried() && b.Hold.Mode == "off" {
		reason, want = "the target forwards bytes, not messages", "messages: true of the target balance, or 0"
	} else if e.Target.Kind == "streams" {
		reason, want = "clients of streams send requests, not messages", "0; limits.handshakes_per_second bounds requests"
	}
	limits := path + ".limits"
	for key, set := range map[string]bool{"messages_per_second": e.Limits.MessagesPerSecond > 0, "bytes_per_second": e.Limits.BytesPerSecond > 0} {
		if set && reason != "" {
			k.tree.Wrong(limits+"."+key, reason, want)
		}
	}
	if b := e.Limits.BytesPerSecond; b > 0 && b < e.MaxMessage/sendingSeconds && reason == "" {
		k.tree.Wrong(limits+".bytes_per_second",
			fmt.Sprintf("a message of max_message (%v) would need more than %d seconds at this rate", e.MaxMessage, sendingSeconds),
			fmt.Sprintf("%v or more, or a smaller max_message", (e.MaxMessage+sendingSeconds-1)/sendingSeconds))
	}
	switch {
	case e.IdleTimeout == 0:
	case e.Target.Kind == "balance":
		k.tree.Wrong(path+".idle_timeout", "the target balance has its own idle timeout", "timeouts.idle of the target, or 0")
	case reason != "":
		k.tree.Wrong(path+".idle_timeout", reason, "0")
	case e.Target.Kind == "pusher" || e.Target.Kind == "centrifugo":
		k.tree.Wrong(path+".idle_timeout", "the pings of this protocol are messages, so no connection is ever idle", "0")
	}
}

func (k *checker) rule(r *Rule, path string) {
	for i, c := range r.Channels {
		if c == "" {
			k.tree.Wrong(fmt.Sprintf("%s.channels[%d]", path, i), "not a channel name", "a name, in which * matches anything")
		}
	}
	if len(r.Channels) > 0 && len(r.Actions) == 1 && r.Actions[0] == "connect" {
		k.tree.Wrong(path+".channels", "the action connect does not apply to channels", "no channels, or an action of subscribe or publish")
	}
}

// checkAmbientAuth rejects an endpoint that admits pages of any origin with a credential that browsers send automatically. Cookies are not affected,
// because their method has its own list of origins.
func (k *checker) checkAmbientAuth(e *Endpoint, path string) {
	if !e.Origins.Any {
		return
	}
	for i, ref := range e.Auth {
		m := ref.Method
		if m == nil {
			m = k.c.Auth[ref.Name]
		}
		if m != nil && (m.Certificate != nil || m.Basic != nil) {
			k.tree.Wrong(path+".origins", fmt.Sprintf(
				"auth[%d] is a credential that browsers send automatically: any page could connect as its visitor (CWE-1385)", i),
				"a list of web origins")
			return
		}
	}
}

// path checks a path, which is a pattern for ServeMux of net/http.
func (k *checker) path(text, path string) {
	const want = "a path such as /chat or /chat/{room}"
	switch {
	case text == "":
		return // a missing path is reported elsewhere
	case text[0] != '/':
		k.tree.Wrong(path, tree.Quote(text)+" does not begin with a slash", want)
		return
	case strings.ContainsAny(text, "?# \t") || strings.Contains(text, "//"):
		k.tree.Wrong(path, tree.Quote(text)+" is not a path", want)
		return
	}
	names := map[string]bool{}
	parts := strings.Split(text[1:], "/")
	for i, part := range parts {
		if !strings.ContainsAny(part, "{}") {
			if part == "." || part == ".." {
				k.tree.Wrong(path, tree.Quote(text)+" has a . or .. segment", want)
			}
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(part, "{"), "}")
		rest := strings.HasSuffix(name, "...")
		name = strings.TrimSuffix(name, "...")
		last := i == len(parts)-1
		switch {
		case name == "$" && last && !rest:
		case part[0] != '{' || part[len(part)-1] != '}' || !validVariable(name):
			k.tree.Wrong(path, tree.Quote(text)+": "+part+" must be a name in braces between two slashes", want)
		case rest && !last:
			k.tree.Wrong(path, tree.Quote(text)+": only the last part can have ...", want)
		case names[name]:
			k.tree.Wrong(path, tree.Quote(text)+" has "+part+" twice", want)
		}
		names[name] = true
	}
}

// validVariable reports whether a name is valid for a wildcard of a path: a Go identifier in ASCII.
func validVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// shapeOfPath returns a path without the names of its wildcards: to the server, two paths with the same shape are equal.
func shapeOfPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch {
		case strings.HasSuffix(part, "...}"):
			parts[i] = ""
		case strings.HasPrefix(part, "{") && part != "{$}":
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}
