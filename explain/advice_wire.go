package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/chain"
)

// What one report adds to the texts about TLS, certificates and the open connection.

// explainAlert says what the server's alert means (RFC 8446 §6.2).
func explainAlert(r *Report, _ Finding, d *Diagnosis) {
	if r.TLS == nil || r.TLS.Alert == "" {
		return
	}
	for _, known := range []struct{ part, means string }{
		{"unknown certificate authority", "the server does not know the authority of the client's certificate"},
		{"expired certificate", "the client's certificate has expired"},
		{"revoked certificate", "the client's certificate was revoked"},
		{"bad certificate", "the server finds the client's certificate broken or wrongly signed"},
		{"access denied", "the certificate is good and its holder is not allowed in"},
		{"internal error", "the server failed, and its log says why; servers written in Go send it, too, when they have no certificate for the name"},
		{"handshake failure", "the server finds no suite, group or certificate that fits"},
		{"decode error", "the server could not read the client's greeting: another device on the path may change it"},
		{"user canceled", "the server gave up"},
	} {
		if strings.Contains(r.TLS.Alert, known.part) {
			d.forClient(fmt.Sprintf("The server's alert, %q, says: %s.", r.TLS.Alert, known.means))
			if known.part == "internal error" {
				explainAlert80(r, d)
			}
			return
		}
	}
}

// explainAlert80 is for the alert that crypto/tls sends when a callback finds no certificate, which Caddy and autocert do.
func explainAlert80(r *Report, d *Diagnosis) {
	name := "the name of the URL"
	if r.Target != nil {
		name = r.Target.Host
	}
	if r.TLS.ServerName == "" { // an address: no name is sent
		name += ", for which a client sends no name"
	}
	d.Cause = "The server failed in the TLS handshake. Servers written in Go, Caddy among them, most often do so because they have no certificate for " +
		name + "."
	d.forOwner("See whether the log says that there is no certificate. Then add this name to what certificates are got for. Caddy, autocert:",
		"    chat.example { reverse_proxy localhost:8080 }",
		`    autocert.HostWhitelist("chat.example")`)
	d.forClient("Try the name that the server is published under: if that works, it was the certificate.")
}

// explainValidity names the certificate whose time is not now.
func explainValidity(r *Report, _ Finding, d *Diagnosis) {
	if r.TLS == nil {
		return
	}
	for i, c := range r.TLS.Chain {
		which := "The server's certificate"
		if i > 0 {
			which = "The certificate of " + c.Subject + ", which the server sends along,"
		}
		switch now := r.Started; {
		case now.After(c.NotAfter):
			d.Cause = fmt.Sprintf("%s expired on %s, %s ago.", which, chain.Day(c.NotAfter), chain.Long(now.Sub(c.NotAfter)))
		case now.Before(c.NotBefore):
			d.Cause = fmt.Sprintf("%s is valid from %s on, in %s.", which, chain.Day(c.NotBefore), chain.Long(c.NotBefore.Sub(now)))
		default:
			continue
		}
		return
	}
}

// explainNames says which names the certificate has.
func explainNames(r *Report, _ Finding, d *Diagnosis) {
	if r.TLS == nil || len(r.TLS.Chain) == 0 || r.Target == nil {
		return
	}
	names := r.TLS.Chain[0].Names
	if len(names) == 0 {
		d.Cause = fmt.Sprintf("The server's certificate names no host at all, and so not %s: a common name alone does not count.", r.Target.Host)
		return
	}
	more := ""
	if len(names) > 5 {
		names, more = names[:5], " and others"
	}
	d.Cause = fmt.Sprintf("The server's certificate is not for %s but for %s%s.", r.Target.Host, strings.Join(names, ", "), more)
}

// explainIssuer names the authority that is not known here.
func explainIssuer(r *Report, _ Finding, d *Diagnosis) {
	if r.TLS == nil || len(r.TLS.Chain) == 0 {
		return
	}
	last := lastLink(r.TLS.Chain)
	switch d.ID {
	case FaultCertIntermediate:
		d.forOwner(fmt.Sprintf("The certificate that is missing is that of %s.", last.Issuer))
	default:
		d.Cause = fmt.Sprintf("The server's certificate comes from an authority that this client does not trust: %s.", last.Issuer)
	}
}

// lastLink returns the certificate that a chain reaches from its first one, from issuer to issuer.
func lastLink(all []Certificate) Certificate {
	last := all[0]
	for range all {
		i := slices.IndexFunc(all, func(c Certificate) bool { return c.Subject == last.Issuer })
		if i < 0 || last.Issuer == last.Subject {
			break
		}
		last = all[i]
	}
	return last
}

// explainUnfit says what makes a certificate unfit.
func explainUnfit(_ *Report, f Finding, d *Diagnosis) {
	if f.Detail != "" && f.Stage == StageTLS {
		d.Cause = "The server's certificate is not fit for a server: " + strings.TrimSuffix(f.Detail, ".") + "."
	}
}

// explainBanner names the service that spoke.
func explainBanner(r *Report, _ Finding, d *Diagnosis) {
	for _, s := range r.Steps {
		if s.OK || len(s.Received) == 0 {
			continue
		}
		for _, b := range banners {
			if strings.HasPrefix(s.Received[0].Text, b.prefix) {
				d.Cause = fmt.Sprintf("What answers on this port does not speak HTTP: it greets as %s does.", b.service)
				return
			}
		}
	}
}

// closeCodes is what the codes of a close frame mean (RFC 6455 §7.4.1 and IANA's registry), and what they ask a client to do.
var closeCodes = map[int]string{
	1000: "its purpose is fulfilled: it does not expect more from this client",
	1001: "it goes away or restarts: connect again, after a moment with chance in it",
	1002: "it found a breach of the protocol: update the client's library, and see the server's log",
	1003: "it does not take this type of data: send text instead of binary, or the other way round",
	1005: "it gave no code: see its log",
	1007: "it found data that do not fit their type, such as text that is no UTF-8",
	1008: "its policy: most often a credential, an origin or a right is missing",
	1009: "a message was too big for it",
	1010: "it is a code for clients: an extension was missing",
	1011: "it failed: see its log",
	1012: "it restarts: connect again, after a moment with chance in it",
	1013: "it is overloaded: connect again later",
	1014: "it is a gateway, and the server behind it gave no valid answer",
	4406: "a code of its own; servers of GraphQL say so when the subprotocol is missing or not theirs",
	3000: "a credential is missing or wrong (unauthorized)",
	3003: "the credential is good and does not allow this (forbidden)",
	3008: "something took too long (timeout)",
}

// explainCloseCode says what the code and the reason of an early close mean.
func explainCloseCode(r *Report, _ Finding, d *Diagnosis) {
	if r.Close == nil {
		return
	}
	code := r.Close.Code
	means, ok := closeCodes[code]
	switch {
	case ok:
	case code >= 4400 && code < 4600:
		means = fmt.Sprintf("a code of its own, which looks like the HTTP status %d", code-4000)
	case code >= 4000 && code < 5000:
		means = "a code of its own: see the application's documentation"
	default:
		means = "a code that is not registered"
	}
	reason := "and gave no reason"
	if r.Close.Reason != "" {
		reason = fmt.Sprintf("and the reason %q", r.Close.Reason)
	}
	when := "closed it at once"
	if n := receivedMessages(r); n > 0 {
		when = "closed it after " + count(n, "message", "messages")
	}
	d.Cause = fmt.Sprintf("The server opened the connection and %s, with code %d %s: %s.", when, code, reason, means)
	switch code {
	case 4406:
		d.forClient("If this is a server of GraphQL, offer its subprotocol: --subprotocol graphql-transport-ws, or graphql-ws for older ones.")
	case 1008, 3000, 3003, 4401, 4403:
		d.forClient("Send a credential that is good, or get a new one; do not connect again with the same.")
	case 1001, 1012, 1013, 4429, 4503:
		d.forClient("Connect again later, with a wait that grows and has chance in it.")
	}
}

// receivedMessages returns how many messages the frames of a report end that came from the server.
func receivedMessages(r *Report) int {
	n := 0
	for _, s := range r.Steps {
		for _, f := range s.Frames {
			if !f.Sent && f.Fin && f.Error == "" && (f.Opcode == "text" || f.Opcode == "binary" || f.Opcode == "continuation") {
				n++
			}
		}
	}
	return n
}

// explainFrame says what is wrong with a frame.
func explainFrame(_ *Report, f Finding, d *Diagnosis) {
	if f.Detail == "" || f.Clause == "" {
		return
	}
	d.Cause = "The server sent a frame that breaks a rule, so that the client has to fail the connection: " + strings.TrimSuffix(f.Detail, ".") + "."
	if strings.Contains(f.Detail, "announces") {
		d.forOwner("The length of a frame is that of its payload in bytes, after it was encoded as UTF-8: in Node Buffer.byteLength(s), not s.length.")
	}
}

// explainNoPong says that another pong came.
func explainNoPong(_ *Report, f Finding, d *Diagnosis) {
	if strings.Contains(f.Detail, "but one with the payload") {
		d.Cause = "The server sent a pong, and none with the payload of the ping, which an answer to it must have."
	}
}

// explainNoCloseFrame says how the stream ended.
func explainNoCloseFrame(r *Report, f Finding, d *Diagnosis) {
	switch {
	case f.Warning:
		d.Cause = "The server answered the client's close frame by ending the connection, without a close frame of its own."
		d.Clause = "RFC 6455 §5.5.1"
	case r.Close != nil && r.Close.How == "RST":
		d.Cause = "The server reset the connection without a close frame: a browser reports code 1006 and no reason."
	}
}

// wellKnown are the times after which products end a connection on which nothing passes, as they come.
var wellKnown = []struct {
	after time.Duration
	what  string
}{
	{30 * time.Second, "HAProxy as its examples set it, and Heroku after 55 s"},
	{60 * time.Second, "nginx (proxy_read_timeout), the ALB of AWS, and Apache (ProxyTimeout)"},
	{100 * time.Second, "Cloudflare"},
	{230 * time.Second, "Azure's App Service"},
	{240 * time.Second, "Azure's load balancer"},
	{300 * time.Second, "Envoy (stream_idle_timeout)"},
	{350 * time.Second, "the NLB of AWS"},
	{600 * time.Second, "Google's load balancers and firewalls"},
}

// explainIdle says after what time the connection ended, who is known for that, and what to send.
func explainIdle(r *Report, _ Finding, d *Diagnosis) {
	i := r.Idle
	if i == nil || !i.Cut {
		return
	}
	switch {
	case i.How == "silence":
		d.Cause = fmt.Sprintf("After %s of silence the connection carries nothing any more, and no end of it was seen: something on the path has most "+
			"likely forgotten it, as firewalls and NAT do.", i.Held)
		d.forClient("After what time that happens is not known, only that it is less: a shorter --probe-idle shows it.")
		return
	case i.How == "close frame":
		d.Cause = fmt.Sprintf("The server ends a connection on which nothing passes for %s, with a close frame of code %d.", i.Held, i.Code)
	default:
		d.Cause = fmt.Sprintf("Something on the path, or the server, ends a connection on which nothing passes for %s, without a close frame.",
			i.Held)
	}
	for _, k := range wellKnown {
		if off := time.Duration(i.Held) - k.after; off > -time.Second && off < 3*time.Second {
			d.forOwner(fmt.Sprintf("After %s it is most often %s.", k.after, k.what))
		}
	}
	if i.Suggest > 0 {
		d.forOwner(fmt.Sprintf("A ping every %s keeps this connection open.", i.Suggest))
	}
}
