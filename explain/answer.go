package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// clauseClient is where RFC 6455 says what a client must check in an answer.
const clauseClient = "RFC 6455 §4.1"

// readAnswer reads and judges the answer to the request.
func (t *tracer) readAnswer(l *link, sent []field) (rest []byte, ok bool) {
	s := t.begin(StageResponse, "read the answer")
	h := readHead(l, t.step())
	s.Received = t.showHead(h)
	if h.problem != nil {
		s.OK = false
		if t.stopped(StageResponse) {
			t.end(s, "stopped")
			return nil, false
		}
		p := t.judgeHead(h.problem)
		t.end(s, p.detail)
		p = t.probeSilence(l, p)
		t.fail(StageResponse, p.fault, p.clause, p.detail)
		return nil, false
	}
	if h.status != http.StatusSwitchingProtocols {
		h.readBody(l, t.until(bodyPatience))
		t.r.Response = t.response(h)
		t.judgeStatus(s, h)
		return nil, false
	}
	t.r.Response = t.response(h)
	return h.rest, t.judgeSwitch(s, h, sent)
}

// judgeHead looks at what ended the connection within the head in the light of TLS.
func (t *tracer) judgeHead(p *headProblem) headProblem {
	out := *p
	alert, ok := remoteAlert(p.err)
	if !ok || t.r.TLS == nil {
		if out.fault == "" {
			out.fault = FaultReset
		}
		return out
	}
	// TLS 1.3: a client is done before the server has looked at its certificate, and hears of it only now.
	t.r.TLS.Alert = alert
	out.fault, out.clause = judgeAlert(alert, t.r.TLS)
	out.detail = "instead of an answer came the TLS alert \"" + alert + "\""
	return out
}

// probeSilence finds out whether a server that closed, or said nothing, expects TLS or HTTP/2.
func (t *tracer) probeSilence(l *link, p headProblem) headProblem {
	closed := p.fault == FaultReset || p.fault == FaultClosedUnanswered
	if !closed && p.fault != FaultNoResponse || t.o.NoProbes {
		return p
	}
	l.end()
	switch {
	case !t.target.secure && t.speaksTLS():
		return headProblem{fault: FaultPlainToTLS, clause: "RFC 6455 §3", detail: p.detail + "; to TLS it answers"}
	case !closed:
	case !t.target.secure && t.speaksPlainHTTP2():
		return headProblem{fault: FaultHTTP2Only, clause: "RFC 9113 §3.3", detail: p.detail + "; to HTTP/2 it answers"}
	case t.target.secure && t.r.TLS.ALPN == "" && t.speaksHTTP2(): // net/http lets a client through that offers http/1.1 alone
		return headProblem{fault: FaultHTTP2Only, clause: "RFC 9113 §3.2", detail: p.detail + "; when h2 is offered it chooses that"}
	}
	return p
}

// verdicts collects the rules for one answer, and the first fault of each kind.
type verdicts struct {
	t      *tracer
	s      *Step
	stage  Stage
	failed bool
}

// rule notes whether a rule held; a broken one is a fault.
func (v *verdicts) rule(held bool, f Fault, clause, text, detail string) {
	v.s.Rules = append(v.s.Rules, Check{clause, text, held, detail})
	if !held {
		v.failed = true
		v.t.fail(v.stage, f, clause, detail)
	}
}

// judgeSwitch holds a 101 against the rules of RFC 6455 §4.1, in their order.
func (t *tracer) judgeSwitch(s *Step, h *head, sent []field) bool {
	v := &verdicts{t: t, s: s, stage: StageResponse}
	v.rule(true, "", clauseClient+" (1)", "the status is 101", h.statusText())
	v.rule(h.proto != "HTTP/1.0", FaultHTTP10, "RFC 9110 §15.2", "the answer is in HTTP/1.1: HTTP/1.0 has no 1xx", h.proto)
	v.upgrade(h)
	v.connection(h)
	v.body(h)
	t.end(s, h.statusText())
	switched := !v.failed
	if !t.acceptStep(h) || !t.agreedStep(h, sent) {
		return false
	}
	return switched
}

// upgrade: RFC 6455 §4.1 (2), "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value
// that is not an ASCII case-insensitive match for the value "websocket", the client MUST _Fail the WebSocket Connection_".
func (v *verdicts) upgrade(h *head) {
	const text = "Upgrade says websocket, in any case of its letters"
	lines := h.values("Upgrade")
	values := elements(lines)
	switch {
	case len(values) == 0:
		v.rule(false, FaultUpgradeMissing, clauseClient+" (2)", text, "the answer has no Upgrade header")
	case slices.ContainsFunc(values, func(s string) bool { return !equalFold(s, "websocket") }):
		v.rule(false, FaultUpgradeWrong, clauseClient+" (2)", text, "Upgrade says "+v.t.quoted(lines))
	default:
		v.rule(true, "", clauseClient+" (2)", text, v.t.quoted(lines))
	}
}

// connection: RFC 6455 §4.1 (3), the same for the token Upgrade in Connection.
func (v *verdicts) connection(h *head) {
	const text = "Connection holds the token Upgrade"
	lines := h.values("Connection")
	values := elements(lines)
	switch {
	case len(values) == 0:
		v.rule(false, FaultConnectionMissing, clauseClient+" (3)", text, "the answer has no Connection header")
	case !slices.ContainsFunc(values, func(s string) bool { return equalFold(s, "upgrade") }):
		v.rule(false, FaultConnectionWrong, clauseClient+" (3)", text, "Connection says "+v.t.quoted(lines))
	default:
		v.rule(true, "", clauseClient+" (3)", text, v.t.quoted(lines))
	}
}

// body: RFC 9110 §8.6 and RFC 9112 §6.1, a server MUST NOT announce a body on a 1xx. Clients pass over the header; if a body
// follows, they take it for frames. So the header alone is a warning.
func (v *verdicts) body(h *head) {
	detail, clause := "", "RFC 9110 §8.6"
	if n := h.values("Content-Length"); len(n) > 0 {
		detail = "Content-Length: " + v.t.quoted(n)
	}
	if te := h.values("Transfer-Encoding"); len(te) > 0 {
		detail, clause = "Transfer-Encoding: "+v.t.quoted(te), "RFC 9112 §6.1"
	}
	if detail == "" {
		return
	}
	v.t.body101 = true
	v.s.Rules = append(v.s.Rules, Check{clause, "a 101 announces no body", false, detail})
}

// acceptStep computes the accept value before the reader's eyes.
func (t *tracer) acceptStep(h *head) bool {
	s := t.begin(StageAccept, "check the accept value")
	k := t.r.Key
	lines := h.values("Sec-WebSocket-Accept")
	if len(lines) > 0 {
		k.Got = oneLine(t.hide.text(lines[0]))
	}
	k.Held = len(lines) == 1 && lines[0] == k.Want
	s.Facts = []Fact{
		{"key sent", k.Key},
		{"with the GUID", k.Joined},
		{"SHA-1 of that", k.SHA1},
		{"in base64", k.Want},
		{"came", k.Got},
	}
	v := &verdicts{t: t, s: s, stage: StageAccept}
	const text = "Sec-WebSocket-Accept is the base64 of the SHA-1 of the key and the GUID"
	switch {
	case len(lines) == 0:
		s.Facts[4].Value = "nothing"
		v.rule(false, FaultAcceptMissing, clauseClient+" (4)", text, "the answer has no Sec-WebSocket-Accept")
	case len(lines) > 1:
		v.rule(false, FaultAcceptRepeated, "RFC 6455 §11.3.3", "Sec-WebSocket-Accept comes once",
			"Sec-WebSocket-Accept comes "+count(len(lines), "time", "times"))
	case !k.Held:
		v.rule(false, FaultAcceptWrong, clauseClient+" (4)", text, fmt.Sprintf("Sec-WebSocket-Accept is %s%s", quote(k.Got), t.guessAccept(lines[0])))
	default:
		v.rule(true, "", clauseClient+" (4)", text, "they are equal")
	}
	t.end(s, map[bool]string{true: "the server knows WebSocket, and answers this very request", false: "it does not fit"}[k.Held])
	return k.Held
}

// quoted writes values of the other side.
func (t *tracer) quoted(values []string) string {
	return quote(t.hide.text(strings.Join(values, ", ")))
}
