package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// clauseClient is the clause that lists what a client must check in a response.
const clauseClient = "RFC 6455 §4.1"

// readAnswer reads and checks the response to the request. rest contains the bytes after the response's header; ok means that the
// response is a valid 101.
func (t *tracer) readAnswer(l *link, sent *handshake.Request) (rest []byte, ok bool) {
	s := t.begin(StageResponse, "read the response")
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
		h.readBody(l, t.until(bodyTimeout))
		t.r.Response = t.response(h)
		t.judgeStatus(s, h)
		return nil, false
	}
	t.r.Response = t.response(h)
	return h.rest, t.judgeSwitch(s, h, sent)
}

// judgeHead returns the reason why the header could not be read. If the server sent a TLS alert, the alert is the reason.
func (t *tracer) judgeHead(p *headProblem) headProblem {
	out := *p
	alert, ok := remoteAlert(p.err)
	if !ok || t.r.TLS == nil {
		if out.fault == "" {
			out.fault = FaultReset
		}
		return out
	}
	// In TLS 1.3, the client completes its handshake before the server checks the client's certificate, so the alert arrives in place of
	// the response.
	t.r.TLS.Alert = alert
	out.fault, out.clause = judgeAlert(alert, t.r.TLS)
	out.detail = "the server sent the TLS alert \"" + alert + "\""
	return out
}

// answersTLS is the end of the detail about a port that does not respond to HTTP, and responds to a ClientHello.
const answersTLS = "; the port responds to TLS"

// answersHTTP2 is the end of the detail about a port that closes the connection on HTTP/1.1 and responds to HTTP/2.
const answersHTTP2 = "the port responds to HTTP/2"

// probeSilence determines whether a server that closed the connection, or did not respond, expects TLS or HTTP/2.
func (t *tracer) probeSilence(l *link, p headProblem) headProblem {
	closed := p.fault == FaultReset || p.fault == FaultClosedUnanswered
	if !closed && p.fault != FaultNoResponse || t.o.NoProbes {
		return p
	}
	l.end()
	switch {
	case !t.target.Secure && t.dialer.speaksTLS():
		return headProblem{fault: FaultPlainToTLS, clause: "RFC 6455 §3", detail: p.detail + answersTLS}
	case !closed:
	case !t.target.Secure && t.dialer.speaksPlainHTTP2() && !t.dialer.speaksPlainHTTP():
		return headProblem{fault: FaultHTTP2Only, clause: "RFC 9113 §3.3", detail: p.detail + "; " + answersHTTP2}
	case t.target.Secure && t.r.TLS.ALPN == "" && t.dialer.speaksHTTP2(): // net/http accepts clients that offer only http/1.1
		return headProblem{fault: FaultHTTP2Only, clause: "RFC 9113 §3.2", detail: p.detail + "; the server chooses h2 when it is offered"}
	}
	return p
}

// verdicts contains the verdicts of package handshake on one response, and adds them to the current step and to the findings.
type verdicts struct {
	t      *tracer
	h      *head
	all    []handshake.Verdict
	s      *Step
	stage  Stage
	failed bool
}

// step makes s the step to which the following verdicts are added.
func (v *verdicts) step(s *Step, stage Stage) { v.s, v.stage, v.failed = s, stage, false }

// rule records the verdict on a rule, and reports whether the response follows the rule. text describes the rule, and good is the detail
// if the response follows it. A violated rule becomes the fault f with the given detail; "" means the detail of the violation.
func (v *verdicts) rule(r handshake.Rule, text, good string, f Fault, detail string) bool {
	d := v.all[slices.IndexFunc(v.all, func(d handshake.Verdict) bool { return d.Rule == r })]
	if d.Violation == nil {
		v.s.Rules = append(v.s.Rules, Check{d.Section, text, true, good})
		return true
	}
	clause := d.Section
	if !strings.HasPrefix(clause, d.Violation.Section) { // the violation is of a clause other than the rule's
		clause = d.Violation.Section
	}
	if detail == "" {
		detail = d.Violation.Detail
	}
	v.broken(f, clause, text, detail)
	return false
}

// broken records a violated rule and its fault.
func (v *verdicts) broken(f Fault, clause, text, detail string) {
	v.s.Rules = append(v.s.Rules, Check{clause, text, false, detail})
	v.failed = true
	v.t.fail(v.stage, f, clause, detail)
}

// violation returns the violation of a rule, or nil if the response follows the rule.
func (v *verdicts) violation(r handshake.Rule) *handshake.Violation {
	return v.all[slices.IndexFunc(v.all, func(d handshake.Verdict) bool { return d.Rule == r })].Violation
}

// judgeSwitch checks a 101 against the rules of RFC 6455 §4.1, in order.
func (t *tracer) judgeSwitch(s *Step, h *head, sent *handshake.Request) bool {
	v := &verdicts{t: t, h: h, all: handshake.VerifyAll(h.response, sent)}
	v.step(s, StageResponse)
	v.rule(handshake.RuleStatus, "the status is 101", h.statusText(), FaultStatusOther, "")
	v.rule(handshake.RuleVersion, "the response is HTTP/1.1: HTTP/1.0 has no 1xx", h.proto, FaultHTTP10, h.proto)
	v.field("Upgrade", handshake.RuleUpgrade, "Upgrade is websocket, in upper or lower case", FaultUpgradeMissing, FaultUpgradeWrong)
	v.field("Connection", handshake.RuleConnection, "Connection contains the token Upgrade", FaultConnectionMissing, FaultConnectionWrong)
	v.body(h)
	t.end(s, h.statusText())
	switched := !v.failed
	if !t.acceptStep(v) || !t.agreedStep(v, sent) {
		return false
	}
	return switched
}

// field records the verdict on Upgrade or Connection.
func (v *verdicts) field(name string, r handshake.Rule, text string, missing, wrong Fault) {
	lines := v.h.values(name)
	if len(elements(lines)) == 0 {
		v.rule(r, text, "", missing, "the response has no "+name+" header")
		return
	}
	v.rule(r, text, v.t.quoted(lines), wrong, name+" is "+v.t.quoted(lines))
}

// body records a 101 that declares a body, which RFC 9110 §8.6 and RFC 9112 §6.1 forbid. Clients ignore the header, and parse a body as
// frames. A header without a body is therefore only a warning, which is added at the end of the session.
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
	v.t.empty101 = detail == "Content-Length: "+v.t.quoted([]string{"0"})
	v.s.Rules = append(v.s.Rules, Check{clause, "a 101 declares no body", false, detail})
}

// acceptStep checks the accept value, as a step that shows the computation.
func (t *tracer) acceptStep(v *verdicts) bool {
	s := t.begin(StageAccept, "check the accept value")
	v.step(s, StageAccept)
	k := t.r.Key
	lines := v.h.values("Sec-WebSocket-Accept")
	if len(lines) > 0 {
		k.Got = oneLine(t.hide.text(lines[0]))
	}
	k.Held = v.violation(handshake.RuleAccept) == nil
	s.Facts = []Fact{
		{"key sent", k.Key},
		{"with the GUID", k.Joined},
		{"SHA-1 of that", k.SHA1},
		{"in base64", k.Want},
		{"came", k.Got},
	}
	const text = "Sec-WebSocket-Accept is the base64 of the SHA-1 of the key and the GUID"
	fault, detail := FaultAcceptWrong, ""
	switch {
	case k.Held:
	case len(lines) == 0:
		s.Facts[4].Value = "nothing"
		fault, detail = FaultAcceptMissing, "the response has no Sec-WebSocket-Accept"
	case len(lines) > 1:
		fault, detail = FaultAcceptRepeated, "Sec-WebSocket-Accept occurs "+count(len(lines), "time", "times")
	default:
		detail = fmt.Sprintf("Sec-WebSocket-Accept is %s%s", quote(k.Got), t.guessAccept(lines[0]))
	}
	v.rule(handshake.RuleAccept, text, "they are equal", fault, detail)
	t.end(s, map[bool]string{true: "the server speaks WebSocket and answered this request", false: "it does not match"}[k.Held])
	return k.Held
}

// quoted formats values from the peer in quotes, without secrets.
func (t *run) quoted(values []string) string {
	return quote(t.hide.text(strings.Join(values, ", ")))
}
