package explain

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// exchange sends a request on a new connection and reads the header of the response. The caller must end the link.
func (t *tracer) exchange(fields []field) (*link, *head, error) {
	l, err := t.dialer.reopen()
	if err != nil {
		return nil, nil, err
	}
	if t.target.Secure {
		if _, err := t.dialer.wrap(l, t.until(probeTimeout), t.dialer.newSecure().cfg); err != nil {
			l.end()
			return nil, nil, err
		}
	}
	l.bound(t.until(probeTimeout))
	l.Write(t.requester.appendRequest(nil, fields)) //nolint:errcheck // if the write fails, reading the response reports an error
	return l, readHead(l, t.until(probeTimeout)), nil
}

// probeRefusal investigates a response that refused the handshake: whether the upgrade reached the responding server, and whether the
// origin was the reason.
func (t *tracer) probeRefusal() {
	if t.r.Response == nil || t.r.Response.FromProxy || t.o.NoProbes || len(t.r.Findings) == 0 || t.ctx.Err() != nil {
		return
	}
	if t.r.Findings[0].Fault == FaultPlainToTLS && !t.target.Secure && !t.dialer.speaksTLS() || t.probeUpgrade() {
		f := &t.r.Findings[0]
		f.Fault = verdict(t.r, Finding{Fault: faultOfStatus(t.r.Response.Status)})
	}
	switch t.r.Findings[0].Fault {
	case FaultStatus400, FaultStatus401, FaultStatus403, FaultStatus404, FaultOrigin, FaultUpgradeStripped:
		if t.r.Findings[0].Fault == FaultUpgradeStripped && !mayBeOrigin(t.r.Response) {
			return
		}
		if p := productOf(t.r.Response); t.r.Response.Status == http.StatusForbidden || !p.generated(t.r.Response) {
			t.probeRefusedOrigin()
		}
	}
}

// probeUpgrade sends the same request without the upgrade. A response with another status shows that the first request arrived as
// an upgrade. probeUpgrade reports whether there was a response.
func (t *tracer) probeUpgrade() bool {
	if !upgradeUncertain(t.r) {
		return false
	}
	s := t.begin(StageProbe, "the same as an ordinary request, without Upgrade")
	fields := t.requester.fields("", t.r.Target.Origin)
	fields = slices.DeleteFunc(fields, func(f field) bool { return handshake.Reserved(f.name) && !equalFold(f.name, "Host") })
	fields = append(fields, field{name: "Connection", value: "close"})
	l, h, err := t.exchange(fields)
	if err != nil {
		s.OK = false
		t.end(s, "could not connect again")
		return false
	}
	defer l.end()
	if lines := t.showHead(h); len(lines) > 0 {
		s.Received = lines[:1]
	}
	if h.problem != nil {
		s.OK = false
		t.end(s, "no response: "+h.problem.detail)
		return false
	}
	t.r.WithoutUpgrade = h.status
	if h.status == t.r.Response.Status {
		t.end(s, "the same status: the server may not have seen the Upgrade header of the first request")
	} else {
		t.end(s, h.statusText()+": a different status")
	}
	return true
}

// upgradeUncertain reports whether the server may have received the request without Upgrade, although the response does not say so.
func upgradeUncertain(r *Report) bool {
	a, p := r.Response, productOf(r.Response)
	switch r.Findings[0].Fault {
	case FaultUpgradeStripped:
		return !reportsMissingUpgrade(a)
	case FaultStatus400:
		return (p != nil || statusOnly(a)) && !p.generated(a)
	case FaultStatus200, FaultStatus404, FaultStatus405, FaultStatus500:
		return p != nil && !p.generated(a) && !acceptWithout101(r)
	case FaultStatus403:
		return fromEnvoy(a)
	}
	return false
}

// upgradeArrived reports whether the response to the request without Upgrade shows that the first request arrived with Upgrade. The
// response of a server that is overloaded or limits requests shows nothing.
func upgradeArrived(r *Report) bool {
	s := r.WithoutUpgrade
	return s != 0 && s != r.Response.Status && s != http.StatusTooManyRequests && (s < 500 || s == http.StatusNotImplemented)
}

// upgradeUnseen reports whether the same request without Upgrade was answered with the same status.
func upgradeUnseen(r *Report) bool {
	return r.WithoutUpgrade != 0 && r.WithoutUpgrade == r.Response.Status
}

// fromEnvoy reports whether Envoy itself may have sent a response. Envoy replaces the Server field of the servers behind it by its own, and
// adds their response time.
func fromEnvoy(a *Response) bool {
	p := productOf(a)
	return p != nil && strings.HasPrefix(p.name, "Envoy") && plain(a.Body) == "" && a.Value("X-Envoy-Upstream-Service-Time") == ""
}

// acceptWithout101 reports whether a response has the correct accept value, but a 2xx status. Other statuses with an accept value need no
// separate explanation: Mojolicious computes the value for every handshake, and HAProxy for every response that names the protocol.
func acceptWithout101(r *Report) bool {
	a := r.Response
	return a != nil && r.Key != nil && a.Status/100 == 2 && a.Value("Sec-WebSocket-Accept") == r.Key.Want
}

// explainAcceptWithout101 explains a response with the correct accept value and a status other than 101.
func explainAcceptWithout101(r *Report, d *Diagnosis) {
	status := strconv.Itoa(r.Response.Status)
	d.Cause = "The server performed the handshake, since its Sec-WebSocket-Accept is correct, but answered with " + status + " instead of 101, so " +
		"no client opens the connection. Either its handler does not set the status, or the path is that of a page."
	d.Clause = "RFC 6455 §4.2.2"
	d.ForOwner = []string{"Send this status line, and make sure that no middleware or proxy changes it:",
		"    HTTP/1.1 101 Switching Protocols",
		"In a hand-written handler, set the status before the first byte of the body: most frameworks send 200 otherwise."}
	d.ForClient = []string{"Check the path: Mojolicious computes that value for pages, too. If the path is correct, only the server's owner can fix this."}
}
