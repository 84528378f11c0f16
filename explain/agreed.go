package explain

import (
	"fmt"
	"strings"

	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket/handshake"
)

// offer is the compression that every browser offers.
var offer = handshake.OfferDeflate(handshake.DeflatePolicy{MinBits: handshake.MinWindowBits})

// agreedStep checks the subprotocol and the extensions that the server chose, as a step. It returns false if a rule is violated.
func (t *tracer) agreedStep(v *verdicts, sent *handshake.Request) bool {
	s := t.begin(StageAgreed, "subprotocol and extensions")
	v.step(s, StageAgreed)
	extensions := visible.Cut(oneLine(t.hide.text(strings.Join(v.h.values("Sec-WebSocket-Extensions"), ", "))), maxLine)
	s.Facts = []Fact{
		{"subprotocols offered", orNone(strings.Join(t.r.Target.Subprotocols, ", "))},
		{"subprotocol chosen", orNone(t.shownSubprotocol(v.h))},
		{"extensions offered", orNone(handshake.FormatExtensions(sent.Extensions))},
		{"extensions agreed to", orNone(visible.Cut(extensions, shortQuote))},
	}
	v.subprotocol(sent)
	v.extensions()
	t.r.Subprotocol, t.r.Extensions = t.shownSubprotocol(v.h), extensions
	t.end(s, joined(
		map[bool]string{true: "no subprotocol", false: "subprotocol " + t.r.Subprotocol}[t.r.Subprotocol == ""],
		map[bool]string{true: "no compression", false: t.r.Extensions}[t.r.Extensions == ""]))
	return !v.failed
}

// shownSubprotocol returns the server's subprotocol in a form that can be displayed.
func (t *tracer) shownSubprotocol(h *head) string {
	return visible.Cut(oneLine(t.hide.value("Sec-WebSocket-Protocol", strings.Join(h.values("Sec-WebSocket-Protocol"), ", "))), shortQuote)
}

// subprotocol records the verdict on the subprotocol. Browsers also fail the connection if they offered subprotocols and the server chose
// none (WHATWG WebSockets §2.2).
func (v *verdicts) subprotocol(sent *handshake.Request) {
	lines := v.h.values("Sec-WebSocket-Protocol")
	shown := quote(v.t.shownSubprotocol(v.h))
	text, good, fault, detail := "the subprotocol is one of those offered", shown, FaultSubprotocolUnasked, "the server chose "+shown
	switch {
	case len(lines) == 0 && len(sent.Subprotocols) > 0:
		v.broken(FaultSubprotocolNone, "WHATWG WebSockets §2.2", "the server chooses one of the offered subprotocols",
			"the server chose none; browsers then fail the connection")
		return
	case len(lines) == 0:
		good = "none offered, none chosen"
	case len(lines) > 1:
		text, fault = "Sec-WebSocket-Protocol occurs at most once in a response", FaultSubprotocolRepeated
		detail = "Sec-WebSocket-Protocol occurs " + count(len(lines), "time", "times")
	case len(elements(lines)) > 1 && len(sent.Subprotocols) > 0:
		text, fault = "the server chooses one subprotocol", FaultSubprotocolRepeated
	}
	if !v.rule(handshake.RuleSubprotocol, text, good, fault, detail) || len(lines) == 0 {
		return
	}
	if prefix, ok := redact.Subprotocol(lines[0]); ok {
		v.t.warn(StageAgreed, FaultTokenEchoed, "", "the server chose the token itself as the subprotocol, "+quote(prefix+redact.Mark))
	}
}

// extensions records the verdict on the extensions, and on the parameters of compression (RFC 7692 §7).
func (v *verdicts) extensions() {
	lines := v.h.values("Sec-WebSocket-Extensions")
	text, good, fault := "the extensions are among those offered", "none agreed on", FaultExtensionUnasked
	if len(lines) > 0 {
		good = handshake.DeflateName
	}
	if d := v.violation(handshake.RuleExtensions); d != nil && d.Section != clauseClient {
		text, fault = "the header occurs once, follows its grammar, and names each extension once", FaultExtensionParams
	}
	detail := ""
	if fault == FaultExtensionUnasked {
		detail = "the server agreed to " + v.t.quoted(lines) + ", which was not offered"
	}
	if !v.rule(handshake.RuleExtensions, text, good, fault, detail) || len(lines) == 0 {
		return
	}
	const clause, params = "RFC 7692 §7.1", "the parameters are those that RFC 7692 §7.1 defines, each once, with values from 8 to 15"
	list, err := handshake.ParseExtensions(lines)
	if err != nil { // does not happen: the rule above includes the syntax
		return
	}
	d, err := handshake.VerifyDeflate(list[0], offer, handshake.MinWindowBits)
	if err != nil {
		v.broken(FaultExtensionParams, clause, params, err.Error())
		return
	}
	v.t.deflate = &d
	v.s.Rules = append(v.s.Rules, Check{clause, params, true, deflateText(d)})
}

// deflateText describes the negotiated compression of the server's messages.
func deflateText(d handshake.Deflate) string {
	takeover := "the server keeps its compression context between messages (context takeover)"
	if d.ServerNoTakeover {
		takeover = "the server resets its compression context for each message"
	}
	if d.ServerBits != 0 {
		takeover += fmt.Sprintf(", window %d bits", d.ServerBits)
	}
	return takeover
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
