package explain

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/protocol"
)

// foreignOrigin is an origin that no server allows deliberately, because its name is reserved (RFC 2606 §2).
const foreignOrigin = "https://attacker.example"

// clauseOrigin is the clause that describes the purpose of the Origin header.
const clauseOrigin = "RFC 6455 §10.2"

// try opens the same WebSocket with another origin, and closes it immediately. If origin is "", no Origin is sent.
func (t *tracer) try(title, origin string, foreign bool) OriginTry {
	s := t.begin(StageOrigin, title)
	o := OriginTry{Origin: origin, Foreign: foreign}
	key, err := t.requester.newKey()
	var l *link
	var h *head
	fields := t.requester.fields(key, origin)
	if err == nil {
		l, h, err = t.exchange(fields)
	}
	if err != nil {
		s.OK = false
		t.end(s, "could not connect again")
		return o
	}
	defer l.end()
	s.Sent = slices.DeleteFunc(t.requester.showRequest(fields), func(l Line) bool { return !strings.HasPrefix(l.Text, "Origin: ") })
	if origin == "" {
		s.Sent = []Line{{"(the same, without Origin)", ""}}
	}
	if lines := t.showHead(h); len(lines) > 0 {
		s.Received = lines[:1]
	}
	o.Status = h.status
	if h.problem != nil {
		s.OK = false
		t.end(s, "no response: "+h.problem.detail)
		return o
	}
	o.Opened = h.status == http.StatusSwitchingProtocols && acceptMatches(h, t.requester.sent(key))
	if o.Opened {
		m := protocol.Machine{Client: true}
		if b, err := m.AppendClose(nil, 1000, "", t.requester.maskKey); err == nil {
			l.Write(b) //nolint:errcheck // the result does not depend on whether the close frame is sent
		}
	}
	t.end(s, map[bool]string{true: "accepted", false: "refused"}[o.Opened]+": "+h.statusText())
	return o
}

// acceptMatches reports whether a response has the correct accept value, and thus is from a WebSocket server.
func acceptMatches(h *head, sent *handshake.Request) bool {
	for _, d := range handshake.VerifyAll(h.response, sent) {
		if d.Rule == handshake.RuleAccept {
			return d.Violation == nil
		}
	}
	return false
}

// originOfHeader moves the Origin from the option Header to the option Origin, because probes replace the origin.
func (t *requester) originOfHeader() {
	t.o.Header = maps.Clone(t.o.Header)
	maps.DeleteFunc(t.o.Header, func(name string, values []string) bool {
		if !equalFold(name, "Origin") {
			return false
		}
		if t.o.Origin == "" && len(values) > 0 {
			t.o.Origin = values[0]
		}
		return true
	})
}

// probeForeignOrigin checks whether a page of another site may open this WebSocket with the credentials of the page's visitor.
func (t *tracer) probeForeignOrigin() {
	broken := slices.ContainsFunc(t.r.Findings, func(f Finding) bool { return !f.Warning })
	if t.o.NoOriginProbes || t.o.NoProbes || broken || !time.Now().Before(t.deadline) {
		return
	}
	o := t.try("try the origin of another site", foreignOrigin, true)
	t.r.Origins = append(t.r.Origins, o)
	if !o.Opened {
		return
	}
	// A page of an attacker can use only the credentials that a browser sends automatically for any page.
	given := t.r.Target.Credentials
	ambient := slices.DeleteFunc(slices.Clone(given), func(c string) bool {
		return c != "cookie" && c != "basic" && c != "client certificate"
	})
	switch {
	case len(ambient) > 0:
		t.warn(StageOrigin, FaultCrossSite, clauseOrigin, "a handshake from "+foreignOrigin+
			" was accepted, with credentials that browsers send automatically ("+strings.Join(ambient, ", ")+")")
	case len(given) == 0:
		t.warn(StageOrigin, FaultCrossSite, clauseOrigin, "a handshake from "+foreignOrigin+
			" was accepted; this is dangerous if a cookie, a password or a client certificate identifies the user")
	}
}

// probeRefusedOrigin tries other origins, to find out whether the origin was the reason for a rejection. For a refused origin, servers send
// 403, 401 (Node's ws), 404 (Rails) or 400.
func (t *tracer) probeRefusedOrigin() {
	if t.o.NoOriginProbes {
		return
	}
	sent := t.r.Target.Origin
	other := strings.Replace(t.target.origin, "http", "https", 1)
	if t.target.Secure {
		other = strings.Replace(t.target.origin, "https", "http", 1)
	}
	type attempt struct{ title, origin string }
	attempts := []attempt{
		{"the same with the server's own origin", t.target.origin},
		{"the same without an Origin header", ""},
		{"the same with the server's own origin as " + other[:strings.Index(other, ":")], other},
	}
	if g := t.r.Target; g.HostHeader != "" {
		attempts = slices.Insert(attempts, 1, attempt{"the same with the origin of the host in Host", hostOrigin(g)})
	}
	tried := []string{sent}
	for _, attempt := range attempts {
		if slices.Contains(tried, attempt.origin) {
			continue
		}
		tried = append(tried, attempt.origin)
		o := t.try(attempt.title, attempt.origin, false)
		t.r.Origins = append(t.r.Origins, o)
		if !o.Opened {
			continue
		}
		if t.acceptsFirst(sent) {
			return
		}
		f := &t.r.Findings[0]
		f.Fault, f.Clause = FaultOrigin, clauseOrigin
		f.Detail = fmt.Sprintf("the server answered %d to %s, but accepts %s", t.r.Response.Status, originText(sent), originText(attempt.origin))
		return
	}
}

// acceptsFirst repeats the first handshake, and reports whether the server accepts it now. Behind a balancer, a different response can be
// from a different server. One repetition is not enough: with two servers in turn, it reaches the server of the first handshake.
func (t *tracer) acceptsFirst(sent string) bool {
	for range 2 {
		if o := t.try("the first handshake again", sent, false); o.Opened {
			t.r.Origins = append(t.r.Origins, o)
			return true
		}
	}
	return false
}

// responsesVary reports whether the server accepted the first handshake when it was repeated.
func responsesVary(r *Report) bool {
	return r.Target != nil && slices.ContainsFunc(r.Origins, func(o OriginTry) bool { return o.Opened && !o.Foreign && o.Origin == r.Target.Origin })
}

// explainVaryingResponses is for a server that refused a handshake and then accepted the same one.
func explainVaryingResponses(r *Report, d *Diagnosis) {
	d.Cause = fmt.Sprintf("The server answered %d to this handshake, and then accepted the same one: its responses vary. Most likely there are several "+
		"servers behind a balancer, and not all of them serve this path; or the server was starting.", r.Response.Status)
	d.ForOwner = []string{"Compare the servers behind the balancer: each must have the same routes, configuration and version. To do so, connect to each of them directly:",
		"    handfast explain BALANCER-URL SERVER-URL"}
	d.ForClient = []string{"Try again. Only the server's owner can fix this."}
}

func originText(origin string) string {
	if origin == "" {
		return "a handshake without an Origin"
	}
	return "Origin: " + origin
}
