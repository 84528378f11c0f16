package handshake

import (
	"net/http"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// The names of the fields, in the form of http.Header's keys.
const (
	fieldKey        = "Sec-Websocket-Key"
	fieldVersion    = "Sec-Websocket-Version"
	fieldProtocol   = "Sec-Websocket-Protocol"
	fieldExtensions = "Sec-Websocket-Extensions"
	fieldAccept     = "Sec-Websocket-Accept"
)

const (
	clauseServer = "RFC 6455 §4.2.1"
	clauseTarget = "RFC 9112 §3.2" // also the clause for the Host field
	notWebSocket = `this address speaks WebSocket: open it with a WebSocket client, in a browser new WebSocket("wss://…")`
)

// Check is like [Opening.Check], for a request that net/http has parsed.
func Check(r *http.Request) *Violation {
	o := OpeningOf(r)
	return o.Check()
}

// Check returns the first rule that a client's opening handshake over HTTP/1.1 violates, or nil if it is valid. It does not check
// the origin, which is a matter of policy.
func (o *Opening) Check() *Violation {
	v := checkCoding(o)
	if v == nil {
		v = checkLine(o)
	}
	if v == nil {
		v = checkTarget(o)
	}
	if v == nil {
		v = checkHost(o)
	}
	if v == nil {
		v = checkUpgrade(o)
	}
	if v == nil {
		v = checkBody(o)
	}
	if v == nil {
		v = checkVersion(o)
	}
	if v == nil {
		v = checkKey(o)
	}
	if v == nil {
		v = checkLists(o)
	}
	return v
}

// checkCoding enforces RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD
// respond with 501 (Not Implemented)." The only accepted value is a single "chunked", as in net/http.
func checkCoding(o *Opening) *Violation {
	te := o.TransferEncoding
	if len(te) == 0 || len(te) == 1 && header.EqualFold(header.Trim(te[0]), "chunked") {
		return nil
	}
	return &Violation{
		Stage: StageRequest, Section: "RFC 9112 §6.1", Status: http.StatusNotImplemented,
		Detail: "the request has a transfer coding other than chunked",
	}
}

// checkLine checks the request line.
func checkLine(o *Opening) *Violation {
	switch {
	case o.Method != http.MethodGet: // RFC 6455 §4.2.1 (1): "an HTTP/1.1 or higher GET request"
		return &Violation{
			Stage: StageRequest, Section: clauseServer, Status: http.StatusMethodNotAllowed,
			Header: http.Header{"Allow": {http.MethodGet}},
			Detail: "the method of an opening handshake must be GET", Hint: notWebSocket,
		}
	case o.Major > 1: // RFC 9113 §8.6: HTTP/2 has no Upgrade
		return &Violation{
			Stage: StageRequest, Section: "RFC 9113 §8.6", Status: http.StatusBadRequest,
			Detail: "a WebSocket cannot be opened with a GET over HTTP/2 or HTTP/3",
			Hint:   "open it over HTTP/1.1: over TLS, offer http/1.1 via ALPN",
		}
	case o.Major < 1 || o.Minor < 1: // RFC 9110 §7.8: an Upgrade in an HTTP/1.0 request must be ignored
		return upgradeRequired("the request is HTTP/1.0; an opening handshake requires HTTP/1.1", proxyHint)
	case strings.Contains(o.Target, "#"): // RFC 6455 §3: "Fragment identifiers ... MUST NOT be used"
		return &Violation{
			Stage: StageRequest, Section: "RFC 6455 §3", Status: http.StatusBadRequest,
			Detail: "the address in the request line has a fragment", Hint: `leave "#…" out, or write "#" as %23`,
		}
	}
	return nil
}

// checkTarget enforces RFC 6455 §4.2.1 (1): a Request-URI that is "a /resource name/ defined in Section 3 (or an
// absolute HTTP/HTTPS URI containing the /resource name/)". Of the forms of RFC 9112 §3.2, "*" is for OPTIONS and
// host:port for CONNECT only. RFC 9110 §4.2.1, §4.2.4: a URI without a host, or with user information, is rejected.
func checkTarget(o *Opening) *Violation {
	if strings.HasPrefix(o.Target, "/") {
		return nil
	}
	if host, ok := targetAuthority(o.Target); ok && !strings.Contains(host, "%") {
		if _, ok = parseAuthority(host); ok {
			return nil
		}
	}
	return &Violation{
		Stage: StageRequest, Section: clauseTarget, Status: http.StatusBadRequest,
		Detail: "the target in the request line is neither a path nor a URI of http, https, ws or wss with a host",
	}
}

// targetAuthority returns the authority of a target in absolute form. For every other form, and for schemes other than http and
// https, ok is false.
func targetAuthority(target string) (authority string, ok bool) {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || defaultPort(header.Lower(scheme)) == "" {
		return "", false
	}
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		rest = rest[:end]
	}
	return rest, true
}

// checkHost enforces RFC 6455 §4.2.1 (2): "a |Host| header field containing the server's authority". A target in
// absolute form contains an authority itself, but RFC 9112 §3.2 requires a valid Host field nevertheless.
func checkHost(o *Opening) *Violation {
	if o.HostLines <= 1 {
		if _, ok := parseAuthority(o.Host); ok {
			return nil
		}
	}
	section := clauseServer
	if !strings.HasPrefix(o.Target, "/") {
		section = clauseTarget
	}
	return &Violation{
		Stage: StageRequest, Section: section, Status: http.StatusBadRequest,
		Detail: "the Host header is missing, repeated, or not a host and a port",
	}
}

// checkUpgrade enforces RFC 6455 §4.2.1 (3) and (4), which concern the two fields that request another protocol.
func checkUpgrade(o *Opening) *Violation {
	if !header.HasToken(o.Upgrade, "websocket") {
		if len(o.Key) > 0 {
			return upgradeRequired("the Upgrade header is not websocket", proxyHint)
		}
		return upgradeRequired("this is not a WebSocket request: it has no Upgrade: websocket", notWebSocket)
	}
	if !header.HasToken(o.Connection, "upgrade") {
		return &Violation{
			Stage: StageHeader, Section: clauseServer, Status: http.StatusBadRequest,
			Detail: "the Connection header does not contain the token Upgrade", Hint: proxyHint,
		}
	}
	return nil
}

// checkBody rejects content: the bytes after the header of an upgrade are parsed as frames, so a request with content would be
// misinterpreted.
func checkBody(o *Opening) *Violation {
	if o.Content || len(o.TransferEncoding) > 0 {
		return &Violation{
			Stage: StageRequest, Section: "RFC 9110 §9.3.1", Status: http.StatusBadRequest,
			Detail: "the request has a body; an opening handshake has none",
		}
	}
	for e := range header.Elements(o.Expect) {
		if !header.EqualFold(e, "100-continue") { // without content there is nothing to send after a 100
			return &Violation{
				Stage: StageRequest, Section: "RFC 9110 §10.1.1", Status: http.StatusExpectationFailed,
				Detail: "the Expect header is not 100-continue",
			}
		}
	}
	return nil
}

// checkVersion enforces RFC 6455 §4.2.1 (6): "a |Sec-WebSocket-Version| header field, with a value of 13".
func checkVersion(o *Opening) *Violation {
	lines := o.Version
	if len(lines) == 1 && header.Trim(lines[0]) == "13" {
		return nil
	}
	v := upgradeRequired("the WebSocket version is not 13", "use version 13, that of RFC 6455")
	switch len(lines) {
	case 0:
		v.Detail = "the Sec-WebSocket-Version header is missing"
	case 1:
	default: // RFC 6455 §11.3.5: "MUST NOT appear more than once in an HTTP request"
		v.Detail, v.Section = "the Sec-WebSocket-Version header occurs more than once", "RFC 6455 §11.3.5"
		return v
	}
	v.Section = "RFC 6455 §4.4" // "it MUST respond with a |Sec-WebSocket-Version| header field"
	return v
}

// checkKey enforces RFC 6455 §4.2.1 (5): the key decodes to 16 bytes.
func checkKey(o *Opening) *Violation {
	lines := o.Key
	section, detail := clauseServer, "the Sec-WebSocket-Key is not the base64 of 16 bytes"
	switch {
	case len(lines) == 0:
		detail = "the Sec-WebSocket-Key header is missing"
	case len(lines) > 1: // RFC 6455 §11.3.1: "MUST NOT appear more than once in an HTTP request"
		section, detail = "RFC 6455 §11.3.1", "the Sec-WebSocket-Key header occurs more than once"
	case validKey(header.Trim(lines[0])):
		return nil
	}
	return &Violation{
		Stage: StageKey, Section: section, Status: http.StatusBadRequest, Detail: detail, Hint: "send 16 random bytes in base64",
	}
}

// checkLists checks the syntax of the optional fields: RFC 6455 §4.2.1, "any violations of the ABNF grammar".
func checkLists(o *Opening) *Violation {
	if len(o.Protocol) > 0 && !header.IsTokenList(o.Protocol) {
		return &Violation{
			Stage: StageSubprotocol, Section: "RFC 6455 §4.3", Status: http.StatusBadRequest,
			Detail: "the Sec-WebSocket-Protocol header is not a list of tokens",
			Hint:   "omit it if there is no subprotocol, and use base64url in it, not base64",
		}
	}
	if err := o.parseOffers(); err != nil {
		return &Violation{
			Stage: StageExtension, Section: "RFC 6455 §9.1", Status: http.StatusBadRequest,
			Detail: "the Sec-WebSocket-Extensions header does not follow its grammar: " + err.Error(),
		}
	}
	return nil
}

func (o *Opening) parseOffers() error {
	o.offers = nil
	if len(o.Extensions) == 0 {
		return nil
	}
	offers, err := o.offersBuf.parse(o.Extensions)
	if err != nil {
		return err
	}
	for _, e := range offers {
		if err := checkParamValues(e); err != nil {
			return err
		}
	}
	o.offers = offers
	return nil
}

func upgradeRequired(detail, hint string) *Violation {
	return &Violation{
		Stage: StageHeader, Section: clauseServer, Status: http.StatusUpgradeRequired,
		// RFC 9110 §15.5.22: "MUST send an Upgrade header field in a 426 response"; RFC 6455 §4.2.2 requires the supported versions.
		Header: http.Header{"Upgrade": {"websocket"}, fieldVersion: {"13"}},
		Detail: detail, Hint: hint,
	}
}
