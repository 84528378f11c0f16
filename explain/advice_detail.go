package explain

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// explainLocation describes the target of a redirect and its meaning for a WebSocket.
func explainLocation(r *Report, _ Finding, d *Diagnosis) {
	otherClause(r, d)
	to, err := url.Parse(r.Response.Value("Location"))
	if err != nil || r.Response.Value("Location") == "" || r.Target == nil {
		return
	}
	host := r.Target.Host
	if to.Host != "" {
		host = to.Hostname()
	}
	secure := r.Target.Secure
	if to.Scheme != "" {
		secure = to.Scheme == "https" || to.Scheme == "wss"
	}
	path, _, _ := strings.Cut(r.Target.Path, "?")
	switch {
	case loginPath.MatchString(to.Path):
		d.forClient("By its path, it leads to a login page: most likely the request has no session, or an expired one.")
	case !equalFold(host, r.Target.Host):
		if len(d.ForClient) > 0 && to.EscapedPath() == path {
			d.ForClient[0] = "Use the URL that the Location header names, with ws:// for http:// and wss:// for https://."
		}
		d.forClient("It leads to another host, whose cookies and allowed origins may differ.")
	case secure && !r.Target.Secure:
		d.forClient("It leads from http to https: use wss:// instead of ws://.")
	case strings.TrimSuffix(to.EscapedPath(), "/") == strings.TrimSuffix(path, "/") && to.EscapedPath() != path:
		d.forClient(fmt.Sprintf("It differs only in the trailing slash: use the path %s", to.EscapedPath()))
	}
}

// loginPath matches a path with a segment that is usual for logins. Words that only contain such a name, such as author, do not match.
var loginPath = regexp.MustCompile(`(?i)(?:^|[/_.-])(?:log[_-]?in|logon|sign[_-]?in|sso|saml2?|oauth2?|oidc|auth)(?:$|[/_.-])`)

// otherClause sets the clause of a status that shares its fault with the status that the general text is about.
func otherClause(r *Report, d *Diagnosis) {
	if r.Response == nil {
		return
	}
	switch r.Response.Status {
	case http.StatusSeeOther:
		d.Clause = "RFC 9110 §15.4.4"
	case http.StatusGone:
		d.Clause = "RFC 9110 §15.5.11"
	}
}

// explainRetryAfter adds when to try again, or that the response has no valid Retry-After.
func explainRetryAfter(r *Report, f Finding, d *Diagnosis) {
	n := len(d.ForClient)
	if retryStep(r, d); len(d.ForClient) == n {
		d.forOwner("The response has no valid Retry-After: send one, in seconds.")
	}
	nameProxy(r, f, d)
}

// retryStep adds when to try again, if the response has a valid Retry-After (RFC 9110 §10.2.3).
func retryStep(r *Report, d *Diagnosis) {
	after := r.Response.Value("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
		d.forClient(fmt.Sprintf("Retry in %d seconds, as Retry-After says.", seconds))
	} else if at, err := http.ParseTime(after); err == nil {
		d.forClient(fmt.Sprintf("Retry after %s, as Retry-After says.", at.UTC().Format(time.RFC1123)))
	}
}

// explainAllow adds which methods the path allows.
func explainAllow(r *Report, f Finding, d *Diagnosis) {
	if allow := r.Response.Value("Allow"); allow != "" {
		d.forClient(fmt.Sprintf("The path allows %s.", allow))
	}
	suspectProxy(r, f, d)
}

// explainUpgradeWanted names the protocol that the server requires.
func explainUpgradeWanted(r *Report, _ Finding, d *Diagnosis) {
	wanted := strings.Join(r.Response.Values("Upgrade"), ", ")
	if wanted == "" {
		return
	}
	d.Cause = fmt.Sprintf("The server requires a protocol other than WebSocket on this path: %s.", wanted)
	if strings.HasPrefix(strings.ToUpper(wanted), "TLS/") {
		d.forClient("It requires TLS: use wss://.")
	}
}

// explainVersions names the versions that the server supports (RFC 6455 §4.4).
func explainVersions(r *Report, _ Finding, d *Diagnosis) {
	all := versions(r.Response)
	if len(all) == 0 {
		return
	}
	d.Cause = fmt.Sprintf("The server does not speak version 13 of the protocol, which is RFC 6455 and the only one in use: "+
		"its Sec-WebSocket-Version lists %s.", strings.Join(all, ", "))
	if slices.Contains(all, "8") {
		d.forOwner("Version 8 was a draft of 2011 (hybi-08 to hybi-12), with the same frames as today; its Origin header was called " +
			"Sec-WebSocket-Origin.")
	}
}

// graphQLSubprotocols maps each of the subprotocols of GraphQL to the other one: the first is that of the package graphql-ws, the second
// that of subscriptions-transport-ws, which is older.
var graphQLSubprotocols = map[string]string{"graphql-transport-ws": "graphql-ws", "graphql-ws": "graphql-transport-ws"}

// explainSubprotocol adds the offered and the chosen subprotocols.
func explainSubprotocol(r *Report, _ Finding, d *Diagnosis) {
	offered := []string{}
	if r.Target != nil {
		offered = r.Target.Subprotocols
	}
	chosen := strings.Join(r.Response.Values("Sec-WebSocket-Protocol"), ", ")
	switch {
	case len(offered) == 0 && chosen != "":
		d.Evidence = append(d.Evidence, "offered: none")
		d.forClient(fmt.Sprintf("The server chose %q: offer that.", chosen))
	case len(offered) > 0:
		d.Evidence = append(d.Evidence, "offered: "+strings.Join(offered, ", "))
	}
	if other := graphQLSubprotocols[strings.Join(offered, ", ")]; other != "" && chosen == "" {
		d.forClient("GraphQL has two subprotocols: try --subprotocol " + other)
	}
	if i := slices.IndexFunc(offered, func(o string) bool { return o != chosen && equalFold(o, chosen) }); i >= 0 {
		d.forClient(fmt.Sprintf("Case matters: %q was offered, but %q was chosen.", offered[i], chosen))
	}
}

// explainOrigins explains a refused origin, and adds which other origins the server accepts.
func explainOrigins(r *Report, _ Finding, d *Diagnosis) {
	accepted := slices.ContainsFunc(r.Origins, func(o OriginTry) bool { return o.Opened })
	page := "the page that the request comes from"
	if r.Target != nil && r.Target.Origin != "" {
		page = "pages of " + r.Target.Origin
	}
	named := slices.ContainsFunc(r.Origins, func(o OriginTry) bool { return o.Opened && o.Origin != "" })
	switch {
	case named:
		d.Cause = fmt.Sprintf("The server refuses %s, but accepts the same request with another origin.", page)
	case accepted:
		d.Cause = fmt.Sprintf("The server refuses this request of %s: without an Origin header, which only browsers send, it accepts the same request.", page)
		d.forClient("The origin is not allowed, or the server has further requirements for pages, such as the token of Vite's development server.")
	case r.Response != nil && namesOrigin(lowerText(r.Response.Body+" "+customReason(r.Response))):
		d.Cause = fmt.Sprintf("The server refuses %s: its response says that the origin is the reason.", page)
	}
	if r.Response != nil && handfastOriginRefused.MatchString(strings.TrimSpace(r.Response.Body)) {
		d.ForOwner = append([]string{"If the page is yours, add its origin to the endpoint in handfast's configuration, or to AcceptOptions.Origins in Go: " +
			"scheme, host and port exactly.", "    origins: [https://app.example]"},
			originBehindProxy...)
	}
	if named && r.Target != nil && r.Target.Origin == "" {
		d.Cause = "The server refuses a request without an Origin header, but accepts the same request with one."
		d.ForOwner = []string{"If programs may connect, accept requests without an Origin header: only browsers always send one."}
	}
	for _, o := range r.Origins {
		if o.Opened {
			d.forClient(fmt.Sprintf("It accepts the request %s.", withOrigin(o.Origin)))
		}
	}
	if r.Target == nil {
		return
	}
	noteOriginForm(r, d)
	if r.Target.Secure && strings.HasPrefix(r.Target.Origin, "http://") && accepted {
		d.forClient("Old clients, among them Python's websocket-client and libwebsockets, send Origin: http:// over wss as well: update them, or set " +
			"the origin.")
	}
}

// noteOriginForm adds how the sent origin differs from the form that browsers send (RFC 6454 §7).
func noteOriginForm(r *Report, d *Diagnosis) {
	if wrong := wrongOrigin(r.Target.Origin); wrong != "" {
		d.forClient(fmt.Sprintf("The origin %q %s.", r.Target.Origin, wrong))
	}
}

// wrongOrigin describes how an origin differs from the form that browsers send. It returns "" if there is no difference.
func wrongOrigin(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case s == "" || s == "null":
	case !ok:
		return "has no scheme: a browser sends scheme, host and port, such as https://app.example"
	case strings.ContainsAny(rest, "/?#"):
		return "has a path: a browser sends scheme, host and port, without a trailing slash"
	case s != strings.ToLower(s):
		return "has upper-case letters: a browser sends lower case, and servers compare exactly"
	case scheme == "https" && strings.HasSuffix(rest, ":443"), scheme == "http" && strings.HasSuffix(rest, ":80"):
		return "names the default port of its scheme, which a browser omits"
	}
	return ""
}

func withOrigin(origin string) string {
	if origin == "" {
		return "without an Origin header"
	}
	return "with the origin " + origin
}

// explainForbidden adds whether the origin or a credential can be the reason for a 403.
func explainForbidden(r *Report, f Finding, d *Diagnosis) {
	if len(r.Origins) == 0 {
		d.forClient("Other origins were not tried: omit --no-probes, or try --origin with that of the server itself.")
	} else {
		var tried []string
		for _, o := range r.Origins {
			tried = append(tried, withOrigin(o.Origin))
		}
		d.Cause = "The server refuses this request. It refused it " + strings.Join(tried, " and ") +
			" too: the server may allow only other origins, or the reason may be another one."
		d.forClient("If the server allows only other origins, try --origin with that of the page in question.")
	}
	if r.Target != nil {
		noteOriginForm(r, d)
	}
	if r.Response != nil && fromEnvoy(r.Response) {
		explainEnvoy(r, d)
		return
	}
	switch {
	case r.Target == nil:
	case len(r.Target.Credentials) == 0:
		d.forClient("The request had no credential; some servers answer with 403 where 401 would be correct.")
	default:
		d.forClient("The request had a credential (" + strings.Join(r.Target.Credentials, ", ") + "): its user may lack permission.")
	}
	nameProxy(r, f, d)
}

// explainCrossSite adds which of the request's credentials browsers would also send for a page of another site.
func explainCrossSite(r *Report, _ Finding, d *Diagnosis) {
	if r.Target == nil {
		return
	}
	for _, c := range r.Target.Credentials {
		switch c {
		case "cookie", "basic", "client certificate":
			d.forOwner(fmt.Sprintf("This request had a credential that browsers send automatically (%s), so a page of any site can act as its visitor. Restrict the origins first.", c))
		}
	}
}
