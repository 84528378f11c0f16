package explain

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// verdict returns the fault that caused a finding. The status of a response is often only a symptom of another fault, which the other
// parts of the response show.
func verdict(r *Report, f Finding) Fault {
	a := r.Response
	if a == nil || a.FromProxy {
		return f.Fault
	}
	switch f.Fault {
	case FaultStatus200, FaultStatus400, FaultStatus401, FaultStatus403, FaultStatus404, FaultStatus405, FaultStatus426, FaultStatus500,
		FaultStatusOther, FaultPlainToTLS:
	default:
		return f.Fault
	}
	switch {
	case acceptWithout101(r):
		return f.Fault
	case a.Status/100 == 4 && namesOrigin(lowerText(a.Body+" "+customReason(a))):
		return FaultOrigin
	case f.Fault == FaultStatus401 || f.Fault == FaultStatus403:
		return f.Fault
	case requiresTLS(a):
		if r.TLS == nil && !deniesTLS(r) {
			return FaultPlainToTLS
		}
		return FaultStatus400 // a proxy sends plain HTTP to the TLS port of the server
	case excludesVersion13(a):
		return FaultVersion
	case a.Status >= 400 && lostHeader(lowerText(a.Body)) != "":
		return FaultHeaderLost
	case reportsMissingUpgrade(a), a.Status >= 400 && suggestsMissingUpgrade(lowerText(a.Body)):
		return FaultUpgradeStripped
	case upgradeArrived(r) && (a.Status == http.StatusUpgradeRequired && !requiresOtherProtocol(a) || len(versions(a)) > 0):
		return FaultHeaderLost
	case !upgradeArrived(r) && missedUpgrade(a):
		return FaultUpgradeStripped
	}
	return f.Fault
}

// namesOrigin reports whether a text says that an origin is not allowed. It returns false for texts that mention an origin and a refusal
// in another sense, such as "the origin is unreachable, access denied", "origin server" and "country of origin".
func namesOrigin(text string) bool {
	return originRefused.MatchString(text) && !strings.Contains(text, "origin server") && !strings.Contains(text, "of origin")
}

// originRefused matches the texts of servers about an origin that is not allowed: of Python's websockets, Tornado, coder, gorilla, Jetty,
// Socket.IO and Rails.
var originRefused = func() *regexp.Regexp {
	const value = `(?:[ :=]{0,3}(?:["'(\[]?(?:https?://|null\b)[^ "')\]]*["')\]]?|"[^"]{0,200}"|'[^']{0,200}'))?`
	const refused = `(?:not (?:be |an? )?(?:allowed|permitted|authori[sz]ed|accepted|valid|trusted|in |on )|does(?: not|n't) match|invalid|illegal|forbidden|` +
		`disallowed|denied|mismatch|rejected|refused|unauthori[sz]ed|unacceptable|blocked|untrusted)`
	return regexp.MustCompile(`\borigins?(?: header| websockets?| requests?| connections?)?` + value + `(?: value)?,?:? (?:is |was |are |were |could )?` + refused + `|` +
		`\b(?:invalid|illegal|forbidden|disallowed|unauthori[sz]ed|unacceptable|blocked|untrusted|bad|unknown|wrong|not an? (?:accepted|allowed|permitted|valid|trusted)) ` +
		`(?:request |http |websocket )?origins?\b|\bpages of the origin "[^"]*" may not connect here`)
}()

// lostHeaders lists the headers of the handshake that a server may report as missing, and their names in lower-case bodies.
var lostHeaders = []struct{ name, header string }{
	{"Sec-WebSocket-Version", "sec-websocket-version"}, {"Sec-WebSocket-Key", "sec-websocket-key"},
}

// lostHeader returns the header of the handshake that a body reports as missing or wrong, or "" if there is none. The request contained
// all headers.
func lostHeader(body string) string {
	for _, h := range lostHeaders {
		if strings.Contains(body, h.header) && containsAny(body, []string{"missing", "not found", "invalid", "without", "lacks", "has no", "unsupported",
			"did not include", "not supported", "no \"sec-", "required", "must be", "expected"}) {
			return h.name
		}
	}
	if strings.Contains(body, "unsupported websocket version") || strings.Contains(body, "unsupported websocket protocol version") {
		return lostHeaders[0].name
	}
	return ""
}

// requiresOtherProtocol reports whether the Upgrade field of a response names a protocol other than WebSocket.
func requiresOtherProtocol(a *Response) bool {
	wanted := elements(a.Values("Upgrade"))
	return len(wanted) > 0 && !slices.ContainsFunc(wanted, func(p string) bool { return equalFold(p, "websocket") })
}

// tlsRequiredTexts lists parts of the responses to plain HTTP on a port for TLS: of nginx, net/http, Apache, Spring and handfast.
var tlsRequiredTexts = []string{
	"plain http request was sent to https port", "http request to an https server", "speaking plain http to an ssl-enabled",
	"combination of host and port requires tls", "this port speaks tls",
}

// tlsRequiredPage matches the complete text of a response to plain HTTP on a port for TLS: of nginx and servers derived from nginx,
// net/http, Apache, Spring and handfast.
var tlsRequiredPage = regexp.MustCompile(`^(?:` +
	`400 The plain HTTP request was sent to HTTPS port 400 Bad Request The plain HTTP request was sent to HTTPS port [\w.-]+(?:/[\w.-]+)?(?: \([\w ]+\))?|` +
	`Client sent an HTTP request to an HTTPS server\.|` +
	`400 Bad Request Bad Request Your browser sent a request that this server could not understand\. Reason: You're speaking plain HTTP to an SSL-enabled ` +
	`server port\. Instead use the HTTPS scheme to access this URL, please\.(?: Apache\S*(?: \([^)]*\))?[^<]{0,80} Server at \S+ Port \d+)?|` +
	`Bad Request This combination of host and port requires TLS\.|` +
	`400 Bad Request This port speaks TLS\. Next step: use https:// or wss://)$`)

func requiresTLS(a *Response) bool {
	return a.Status == http.StatusBadRequest && containsAny(lowerText(a.Body), tlsRequiredTexts)
}

// excludesVersion13 reports whether the server lists supported versions other than 13, the version in the request (RFC 6455 §4.4).
func excludesVersion13(a *Response) bool {
	all := versions(a)
	return len(all) > 0 && !slices.Contains(all, "13")
}

// versions returns the elements of the Sec-WebSocket-Version fields.
func versions(a *Response) []string { return elements(a.Values("Sec-WebSocket-Version")) }

// reportsMissingUpgrade reports whether the body of a response is known to mean that the request was not an upgrade.
func reportsMissingUpgrade(a *Response) bool {
	body := lowerText(a.Body)
	return body == "welcome to hocuspocus!" || a.Status >= 400 && containsAny(body, missingUpgradeTexts)
}

// missedUpgrade reports whether a response suggests that the server did not receive the Upgrade and Connection headers, which the
// request contained.
func missedUpgrade(a *Response) bool {
	switch a.Status {
	case http.StatusUpgradeRequired:
		// The response requires an upgrade to WebSocket, which the request contained, unless its Upgrade field names another protocol.
		return !requiresOtherProtocol(a)
	case http.StatusBadRequest:
		// The response lists version 13, which the request contained; or it is the general error of gws; or it has no text and was
		// forwarded by a proxy.
		return len(versions(a)) > 0 || lowerText(a.Body) == "gws: handshake error" || statusOnly(a) && productOf(a) != nil
	}
	return false
}

// missingUpgradeTexts lists parts of the responses to a request without Upgrade, or over HTTP/1.0, which nginx uses by default. They are
// from libraries of Go, Python, Node, Java, Erlang and Ruby, and from handfast.
var missingUpgradeTexts = []string{
	"can \"upgrade\" only to \"websocket\"", "no websocket upgrade", "not a websocket handshake", "not a websocket request",
	"not using the websocket protocol", "websocket upgrade required", "websocket upgrade expected", "expected websocket",
	"does not contain upgrade", "missing upgrade header", "missing connection header", "invalid upgrade header",
	"invalid connection header", "upgrade header is missing", "upgrade token not found", "'upgrade' token", "\"upgrade\" token",
	"the upgrade header is not websocket", "no upgrade: websocket", "not contain the token upgrade", "handshake requires http/1.1",
	"expected http/1.1, got http/1.0", "did not receive a valid http request", "cannot access a websocket server directly", "websocket connections only",
	"\"code\":3,\"message\":\"bad request\"", "connection upgrade required", "header did not include 'upgrade'",
	"header did not include 'websocket'", "no \"connection: upgrade\" header", "no \"upgrade: websocket\" header", "upgrade request required",
	"no upgrade state was present", "not a valid websocket request", "not websocket protocol", "bad \"upgrade\" header", "bad \"connection\" header",
	"invalid websocket upgrade",
}

// suggestsMissingUpgrade reports whether a body seems to say that the upgrade is missing. The body may mean something else, such as an
// upgrade of an account.
func suggestsMissingUpgrade(body string) bool {
	return containsAny(body, []string{"upgrade", "connection header"}) &&
		containsAny(body, []string{"websocket", "header", "connection", "token", "handshake"}) &&
		containsAny(body, []string{"missing", "not found", "not contain", "not a websocket", "non-websocket", "no upgrade", "lacks",
			"only to", "expected", "required", "without", "has no", "must be", "invalid"})
}

// statusOnly reports whether a response has no reason phrase of the server and no body except for the name of the status.
func statusOnly(a *Response) bool {
	body := strings.Trim(lowerText(a.Body), ". ")
	return customReason(a) == "" && (body == "" || body == "bad request" || body == "400 bad request" || body == "400" || body == "400: bad request")
}

// rejectReason is the field with which the package websocket of Node gives its reason.
const rejectReason = "X-WebSocket-Reject-Reason"

// customReason returns the reason that the head of a response gives: its reason phrase, unless that is the registered phrase of the status,
// or "".
func customReason(a *Response) string {
	if reason := a.Value(rejectReason); reason != "" {
		return reason
	}
	if a.Reason == "" || equalFold(a.Reason, http.StatusText(a.Status)) {
		return ""
	}
	return a.Reason
}

var tag = regexp.MustCompile(`(?s)<(?:script|style).*?</(?:script|style)>|<[^<>]*>`)

// lowerText returns the text of a body in lower case, without tags, with single spaces.
func lowerText(body string) string { return strings.ToLower(plain(body)) }

// plain returns the text of a body without tags, with single spaces.
func plain(body string) string {
	body = strings.NewReplacer("&quot;", `"`, "&#34;", `"`, "&#39;", "'", "&amp;", "&").Replace(tag.ReplaceAllString(body, " "))
	return strings.Join(strings.Fields(body), " ")
}

func containsAny(s string, parts []string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}

// elements returns the elements of a list that may be spread over several lines (RFC 9110 §5.6.1).
func elements(lines []string) []string {
	var all []string
	for _, line := range lines {
		for e := range strings.SplitSeq(line, ",") {
			if e = strings.Trim(e, " \t"); e != "" {
				all = append(all, e)
			}
		}
	}
	return all
}
