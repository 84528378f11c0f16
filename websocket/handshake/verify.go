package handshake

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/handfast/handfast/websocket/internal/header"
)

const clauseClient = "RFC 6455 §4.1"

// Verify checks a server's answer to r, rule by rule of RFC 6455 §4.1, and returns the subprotocol and the extensions
// that it agrees on. The extensions are among those offered by name; their parameters are the caller's to verify.
func Verify(a *Response, r *Request) (subprotocol string, ext []header.Extension, v *Violation) {
	v = verifySwitch(a)
	if v == nil {
		v = verifyAccept(a.Header, r.Key)
	}
	if v == nil {
		subprotocol, v = verifySubprotocol(a.Header, r.Subprotocols)
	}
	if v == nil {
		ext, v = verifyExtensions(a.Header, r.Extensions)
	}
	return subprotocol, ext, v
}

// verifySwitch is about the status line and the two fields that name the new protocol.
func verifySwitch(a *Response) *Violation {
	if a.Status != http.StatusSwitchingProtocols { // response (1)
		return &Violation{
			Stage: StageStatus, Section: clauseClient, Status: a.Status,
			Detail: fmt.Sprintf("the server answered %d%s instead of 101", a.Status, statusName(a.Status)),
			Hint:   StatusHint(a),
		}
	}
	if a.Minor == 0 { // RFC 9110 §15.2: HTTP/1.0 has no 1xx
		return &Violation{
			Stage: StageStatus, Section: "RFC 9110 §15.2", Status: a.Status,
			Detail: "the server answered 101 in HTTP/1.0", Hint: proxyHint,
		}
	}
	// response (2): the field lacks, or "contains a value that is not an ASCII case-insensitive match for the value
	// "websocket"". Other values beside it break the rule too.
	some := false
	for e := range header.Elements(a.Header["Upgrade"]) {
		if !header.EqualFold(e, "websocket") {
			return headerViolation(a, "the Upgrade header of the answer names another protocol than websocket")
		}
		some = true
	}
	if !some {
		return headerViolation(a, "the answer has no Upgrade: websocket")
	}
	if !header.HasToken(a.Header["Connection"], "upgrade") { // response (3)
		return headerViolation(a, "the Connection header of the answer does not hold the token Upgrade")
	}
	return nil
}

func headerViolation(a *Response, detail string) *Violation {
	return &Violation{Stage: StageHeader, Section: clauseClient, Status: a.Status, Detail: detail, Hint: proxyHint}
}

// statusName returns the registered name of a status with a space before it. The server's own words are not repeated.
func statusName(status int) string {
	if s := http.StatusText(status); s != "" {
		return " " + s
	}
	return ""
}

// verifyAccept: response (4), the answer to the key proves that the server meant WebSocket.
func verifyAccept(h http.Header, key string) *Violation {
	v := &Violation{Stage: StageKey, Section: clauseClient, Status: http.StatusSwitchingProtocols}
	lines := h[fieldAccept]
	switch {
	case len(lines) == 0:
		v.Detail = "the answer has no Sec-WebSocket-Accept"
	case len(lines) > 1: // RFC 6455 §11.3.3: "MUST NOT appear more than once in an HTTP response"
		v.Detail, v.Section = "the answer has more than one Sec-WebSocket-Accept", "RFC 6455 §11.3.3"
	case header.Trim(lines[0]) != string(AppendAccept(nil, key)):
		v.Detail = "the Sec-WebSocket-Accept of the answer does not fit the key that was sent"
		v.Hint = "the answer may come from a cache, or the server computes it wrongly: base64(SHA-1(key + " + guid + "))"
	default:
		return nil
	}
	return v
}

// verifySubprotocol: response (6), only what was asked for, and only one. A server may also choose none.
func verifySubprotocol(h http.Header, offered []string) (string, *Violation) {
	lines, ok := h[fieldProtocol]
	if !ok {
		return "", nil
	}
	v := &Violation{Stage: StageSubprotocol, Section: clauseClient, Status: http.StatusSwitchingProtocols}
	switch {
	case len(lines) > 1: // RFC 6455 §11.3.4: "MUST NOT appear more than once in an HTTP response"
		v.Detail, v.Section = "the answer has more than one Sec-WebSocket-Protocol", "RFC 6455 §11.3.4"
	case len(offered) == 0:
		v.Detail = "the server chose a subprotocol although none was offered"
		v.Hint = "offer what the server speaks (Subprotocols)"
	case !slices.Contains(offered, header.Trim(lines[0])): // case counts
		v.Detail = "the server chose a subprotocol that was not offered"
		v.Hint = "offer what the server speaks (Subprotocols)"
	default:
		return header.Trim(lines[0]), nil
	}
	return "", v
}

// verifyExtensions: response (5), only what was asked for.
func verifyExtensions(h http.Header, offered []header.Extension) ([]header.Extension, *Violation) {
	lines, ok := h[fieldExtensions]
	if !ok {
		return nil, nil
	}
	v := &Violation{Stage: StageExtension, Section: clauseClient, Status: http.StatusSwitchingProtocols}
	if len(lines) > 1 { // RFC 6455 §11.3.2: "MUST NOT appear more than once in an HTTP response"
		v.Detail, v.Section = "the answer has more than one Sec-WebSocket-Extensions", "RFC 6455 §11.3.2"
		return nil, v
	}
	list, err := header.ParseExtensions(lines)
	if err != nil { // RFC 6455 §9.1
		v.Section = "RFC 6455 §9.1"
		v.Detail = "the Sec-WebSocket-Extensions header of the answer does not follow its grammar: " + err.Error()
		return nil, v
	}
	for i, e := range list {
		same := func(o header.Extension) bool { return o.Name == e.Name }
		if !slices.ContainsFunc(offered, same) {
			v.Detail = "the server chose an extension that was not offered"
			return nil, v
		}
		if slices.ContainsFunc(list[:i], same) { // RFC 7692 §5: two that use the same bit cannot both hold
			v.Detail, v.Section = "the server chose the same extension twice", "RFC 7692 §5"
			return nil, v
		}
	}
	return list, nil
}
