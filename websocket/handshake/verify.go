package handshake

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/handfast/handfast/websocket/internal/header"
)

const (
	clauseClient  = "RFC 6455 §4.1"
	clauseVersion = "RFC 9110 §15.2"
)

// Rule names one of the rules that [VerifyAll] checks for a response.
type Rule string

// The rules, in the order in which they are checked.
const (
	RuleStatus      Rule = "status"       // RFC 6455 §4.1, response (1): the status is 101
	RuleVersion     Rule = "HTTP version" // RFC 9110 §15.2: HTTP/1.0 has no 1xx
	RuleUpgrade     Rule = "upgrade"      // response (2): Upgrade has the value websocket
	RuleConnection  Rule = "connection"   // response (3): Connection contains the token Upgrade
	RuleAccept      Rule = "accept"       // response (4): Sec-WebSocket-Accept matches the key
	RuleSubprotocol Rule = "subprotocol"  // response (6): one of the offered subprotocols, or none
	RuleExtensions  Rule = "extensions"   // response (5): only offered extensions
)

// Verdict is the result of checking one rule for one response.
type Verdict struct {
	Rule      Rule
	Section   string     // the clause of the rule: "RFC 6455 §4.1 (2)"
	Violation *Violation // nil means the response follows the rule
}

// rules contains all rules for a 101 response.
var rules = [...]struct {
	rule    Rule
	section string
	check   func(a *Response, r *Request) *Violation
}{
	{RuleStatus, clauseClient + " (1)", verifyStatus},
	{RuleVersion, clauseVersion, verifyVersion},
	{RuleUpgrade, clauseClient + " (2)", verifyUpgrade},
	{RuleConnection, clauseClient + " (3)", verifyConnection},
	{RuleAccept, clauseClient + " (4)", verifyAccept},
	{RuleSubprotocol, clauseClient + " (6)", verifySubprotocol},
	{RuleExtensions, clauseClient + " (5)", verifyExtensions},
}

// Verify checks a server's response to r according to the rules of RFC 6455 §4.1, and returns the negotiated subprotocol and extensions, or
// the first violated rule. All returned extensions were offered by name; the caller has to verify their parameters, the parameters of
// compression with [VerifyDeflate].
func Verify(a *Response, r *Request) (subprotocol string, ext []Extension, v *Violation) {
	for i := range rules {
		if v := rules[i].check(a, r); v != nil {
			return "", nil, v
		}
	}
	ext, _ = responseExtensions(a)
	return responseSubprotocol(a), ext, nil
}

// VerifyAll checks the same rules as Verify, and returns the verdict of every rule, in the order of the Rule constants. Verify
// returns the first Violation among them.
func VerifyAll(a *Response, r *Request) []Verdict {
	all := make([]Verdict, len(rules))
	for i, c := range rules {
		all[i] = Verdict{Rule: c.rule, Section: c.section, Violation: c.check(a, r)}
	}
	return all
}

// verifyStatus enforces rule (1) of RFC 6455 §4.1 for a response.
func verifyStatus(a *Response, _ *Request) *Violation {
	if a.Status == http.StatusSwitchingProtocols {
		return nil
	}
	return &Violation{
		Stage: StageStatus, Section: clauseClient, Status: a.Status,
		Detail: fmt.Sprintf("the server answered %d%s instead of 101", a.Status, statusName(a.Status)),
		Hint:   StatusHint(a),
	}
}

// verifyVersion enforces RFC 9110 §15.2: "Since HTTP/1.0 did not define any 1xx status codes, a server MUST NOT send a 1xx response to an
// HTTP/1.0 client". So an HTTP/1.0 response is not from a WebSocket server.
func verifyVersion(a *Response, _ *Request) *Violation {
	if a.Minor > 0 {
		return nil
	}
	return &Violation{
		Stage: StageStatus, Section: clauseVersion, Status: a.Status,
		Detail: "the server answered 101 in HTTP/1.0", Hint: proxyHint,
	}
}

// verifyUpgrade enforces rule (2): the handshake fails if the field is missing, or "contains a value that is not an
// ASCII case-insensitive match for the value "websocket"". Additional values also violate the rule.
func verifyUpgrade(a *Response, _ *Request) *Violation {
	found := false
	for e := range header.Elements(a.Header["Upgrade"]) {
		if !header.EqualFold(e, "websocket") {
			return headerViolation(a, "the Upgrade header of the response names a protocol other than websocket")
		}
		found = true
	}
	if !found {
		return headerViolation(a, "the response has no Upgrade: websocket")
	}
	return nil
}

// verifyConnection enforces rule (3).
func verifyConnection(a *Response, _ *Request) *Violation {
	if header.HasToken(a.Header["Connection"], "upgrade") {
		return nil
	}
	return headerViolation(a, "the Connection header of the response does not contain the token Upgrade")
}

func headerViolation(a *Response, detail string) *Violation {
	return &Violation{Stage: StageHeader, Section: clauseClient, Status: a.Status, Detail: detail, Hint: proxyHint}
}

// statusName returns the registered name of a status, preceded by a space. The server's own reason phrase is not repeated.
func statusName(status int) string {
	if s := http.StatusText(status); s != "" {
		return " " + s
	}
	return ""
}

// verifyAccept enforces rule (4): the value computed from the key proves that the server supports WebSocket.
func verifyAccept(a *Response, r *Request) *Violation {
	lines := a.Header[fieldAccept]
	var buf [28]byte // 20 bytes in base64
	if len(lines) == 1 && header.Trim(lines[0]) == string(AppendAccept(buf[:0], r.Key)) {
		return nil
	}
	v := &Violation{Stage: StageKey, Section: clauseClient, Status: http.StatusSwitchingProtocols}
	switch {
	case len(lines) == 0:
		v.Detail = "the response has no Sec-WebSocket-Accept"
	case len(lines) > 1: // RFC 6455 §11.3.3: "MUST NOT appear more than once in an HTTP response"
		v.Detail, v.Section = "the response has more than one Sec-WebSocket-Accept", "RFC 6455 §11.3.3"
	default:
		v.Detail = "the Sec-WebSocket-Accept of the response does not match the key that was sent"
		v.Hint = "the response may come from a cache, or the server computes the value wrongly: it is base64(SHA-1(key + " + GUID + "))"
	}
	return v
}

// verifySubprotocol enforces rule (6): the response may only contain one of the requested subprotocols, or none.
func verifySubprotocol(a *Response, r *Request) *Violation {
	lines, ok := a.Header[fieldProtocol]
	if !ok {
		return nil
	}
	v := &Violation{Stage: StageSubprotocol, Section: clauseClient, Status: http.StatusSwitchingProtocols}
	switch {
	case len(lines) > 1: // RFC 6455 §11.3.4: "MUST NOT appear more than once in an HTTP response"
		v.Detail, v.Section = "the response has more than one Sec-WebSocket-Protocol", "RFC 6455 §11.3.4"
	case len(r.Subprotocols) == 0:
		v.Detail = "the server chose a subprotocol although none was offered"
		v.Hint = HintClientOffer
	case !slices.Contains(r.Subprotocols, responseSubprotocol(a)): // the comparison is case-sensitive
		v.Detail = "the server chose a subprotocol that was not offered"
		v.Hint = HintClientOffer
	default:
		return nil
	}
	return v
}

// responseSubprotocol returns the first subprotocol in a response, or "" if there is none.
func responseSubprotocol(a *Response) string {
	if lines := a.Header[fieldProtocol]; len(lines) > 0 {
		return header.Trim(lines[0])
	}
	return ""
}

// verifyExtensions enforces rule (5): the response may only contain requested extensions.
func verifyExtensions(a *Response, r *Request) *Violation {
	lines, ok := a.Header[fieldExtensions]
	if !ok {
		return nil
	}
	v := &Violation{Stage: StageExtension, Section: clauseClient, Status: http.StatusSwitchingProtocols}
	if len(lines) > 1 { // RFC 6455 §11.3.2: "MUST NOT appear more than once in an HTTP response"
		v.Detail, v.Section = "the response has more than one Sec-WebSocket-Extensions", "RFC 6455 §11.3.2"
		return v
	}
	list, err := responseExtensions(a)
	if err != nil { // RFC 6455 §9.1
		v.Section = "RFC 6455 §9.1"
		v.Detail = "the Sec-WebSocket-Extensions header of the response does not follow its grammar: " + err.Error()
		return v
	}
	for i, e := range list {
		same := func(o Extension) bool { return o.Name == e.Name }
		if !slices.ContainsFunc(r.Extensions, same) {
			v.Detail = "the server chose an extension that was not offered"
			return v
		}
		if slices.ContainsFunc(list[:i], same) { // RFC 7692 §5: two extensions that use the same bit cannot be combined
			v.Detail, v.Section = "the server chose the same extension twice", "RFC 7692 §5"
			return v
		}
	}
	return nil
}

// responseExtensions returns the extensions in a response.
func responseExtensions(a *Response) ([]Extension, error) {
	lines, ok := a.Header[fieldExtensions]
	if !ok {
		return nil, nil
	}
	return ParseExtensions(lines)
}
