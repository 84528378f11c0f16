package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/chain"
)

// explainValidity names the certificate that has expired or is not valid yet.
func explainValidity(r *Report, _ Finding, d *Diagnosis) {
	if r.TLS == nil {
		return
	}
	for i, c := range r.TLS.Chain {
		which := "The server's certificate"
		if i > 0 {
			which = "The certificate of " + c.Subject + ", which the server also sends,"
		}
		switch now := r.Started; {
		case now.After(c.NotAfter):
			d.Cause = fmt.Sprintf("%s expired on %s, %s ago.", which, chain.Day(c.NotAfter), chain.Long(now.Sub(c.NotAfter)))
		case now.Before(c.NotBefore):
			d.Cause = fmt.Sprintf("%s is not valid until %s, in %s.", which, chain.Day(c.NotBefore), chain.Long(c.NotBefore.Sub(now)))
		default:
			continue
		}
		return
	}
}

// explainNames lists the names in the certificate.
func explainNames(r *Report, _ Finding, d *Diagnosis) {
	if r.TLS == nil || len(r.TLS.Chain) == 0 || r.Target == nil {
		return
	}
	names := r.TLS.Chain[0].Names
	if len(names) == 0 {
		d.Cause = fmt.Sprintf("The server's certificate names no host at all, so not %s either: a common name alone does not count.", r.Target.Host)
		return
	}
	more := ""
	if len(names) > 5 {
		names, more = names[:5], " and others"
	}
	d.Cause = fmt.Sprintf("The server's certificate is not for %s but for %s%s.", r.Target.Host, strings.Join(names, ", "), more)
}

// explainIssuer names the issuer that is not trusted or whose certificate is missing. A missing intermediate certificate is presented as a
// fact only if the certificate was fetched.
func explainIssuer(r *Report, f Finding, d *Diagnosis) {
	if r.TLS == nil || len(r.TLS.Chain) == 0 {
		return
	}
	last := lastLink(r.TLS.Chain)
	switch d.ID {
	case FaultCertIntermediate:
		if strings.HasSuffix(f.Detail, completesChain) {
			d.Cause = "The server sends its own certificate without the intermediate certificate that links its own to a trusted CA."
			d.forOwner(fmt.Sprintf("The missing certificate is that of %s.", last.Issuer))
			return
		}
		d.Cause = fmt.Sprintf("The server does not send the certificate of %s. Most likely that is the intermediate certificate between the server's own and a trusted CA; "+
			"a CA that is not trusted here can have the same name.", last.Issuer)
		d.forOwner(fmt.Sprintf("The proof: openssl accepts the server's certificate with that of %s:", last.Issuer),
			"    openssl verify -untrusted intermediate.pem cert.pem")
		d.forClient("If it is a private CA instead, ask for the CA's certificate at a place that you trust, and pass that: --cacert ca.pem")
	default:
		d.Cause = fmt.Sprintf("The server's certificate comes from a CA that this client does not trust: %s.", last.Issuer)
	}
}

// lastLink follows the issuers from the first certificate of a chain, and returns the last certificate that the chain contains.
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

// explainUnsuitableCert makes the reason why a certificate is not valid for a server the cause.
func explainUnsuitableCert(_ *Report, f Finding, d *Diagnosis) {
	if f.Detail != "" && f.Stage == StageTLS {
		d.Cause = "The server's certificate is not valid for a server: " + strings.TrimSuffix(f.Detail, ".") + "."
	}
}

// errorText is the beginning of an error page in plain text, as some web servers send it without a head.
var errorText = regexp.MustCompile(`(?i)^(?:http )?error ([45]\d\d)\b`)

// explainBanner names the service whose greeting was received.
func explainBanner(r *Report, f Finding, d *Diagnosis) {
	defer explainTunnel(r, f, d)
	for _, s := range r.Steps {
		if s.OK || len(s.Received) == 0 {
			continue
		}
		if status := errorText.FindStringSubmatch(s.Received[0].Text); status != nil {
			d.Cause = fmt.Sprintf("The server sent the text of an error (%s) without an HTTP head: most likely it is a web server without a WebSocket at this path.", status[1])
			d.ForClient = []string{"Check the path first, then the host and the port."}
			return
		}
		for _, b := range banners {
			if strings.HasPrefix(s.Received[0].Text, b.prefix) {
				d.Cause = fmt.Sprintf("The server on this port does not respond with HTTP: it sends the greeting of %s.", b.service)
				return
			}
		}
	}
}

// closeCodes contains the meanings of close codes (RFC 6455 §7.4.1 and IANA's registry), with advice to the client.
var closeCodes = map[int]string{
	1000: "normal closure, which many libraries also send when a handler returns early or fails",
	1001: "the server is going away or restarting: reconnect after a short random delay",
	1002: "the server found a protocol error",
	1003: "the server does not accept this type of data: it may expect text instead of binary, or vice versa, or another format",
	1005: "check the server's log for the reason, and its documentation for the correct path and query",
	1007: "the server received data that does not match its type, such as text that is not UTF-8",
	1008: "policy violation: most often a credential, an allowed origin or a permission is missing",
	1009: "a message was too big for the server",
	1010: "a code for clients only: an extension was missing",
	1011: "the server failed: check its log",
	1012: "the server is restarting: reconnect after a short random delay",
	1013: "the server is overloaded: reconnect later",
	1014: "the server is a gateway, and the server behind it gave no valid response",
	3000: "a credential is missing or wrong (unauthorized)",
	3003: "the credential is valid but does not allow this (forbidden)",
	3008: "something took too long (timeout)",
	4406: "an application code; GraphQL servers send it if the subprotocol is missing or unsupported",
}

// explainCloseCode adds the meaning of the code and the reason of an early close.
func explainCloseCode(r *Report, f Finding, d *Diagnosis) {
	if r.Close == nil {
		return
	}
	code := r.Close.Code
	means, ok := closeCodes[code]
	switch {
	case ok:
	case code >= 4400 && code < 4600:
		means = fmt.Sprintf("an application code, which looks like the HTTP status %d", code-4000)
	case code >= 4000 && code < 5000:
		means = "an application code: check the application's documentation"
	default:
		means = "a code that is not registered"
	}
	with := fmt.Sprintf("with code %d and gave no reason", code)
	switch {
	case code == 1005:
		with = "without a code"
	case r.Close.Reason != "":
		with = fmt.Sprintf("with code %d and the reason %q", code, r.Close.Reason)
	}
	when := "closed it immediately"
	if f.Stage == StageEcho {
		when = "closed it after the client's message"
	} else if n, _ := receivedMessages(r); n > 0 {
		when = "closed it after " + count(n, "message", "messages")
	}
	if code == 1005 && f.Stage == StageEcho {
		means = "check the server's log for the reason, and the documentation of the server's protocol, which may not allow that message"
	}
	switch {
	case code != 4406 && requiresSubprotocol(r.Close.Reason):
		means = "the server requires a subprotocol that was not offered"
	case code == 1001 && requiresLogin(r.Close.Reason):
		means = "the code means that the server is going away, but the reason names a login or a credential"
	case code == 3000 && r.Close.Reason != "" && !requiresLogin(r.Close.Reason):
		means = "the code is registered as unauthorized, but older programs use it for anything, so the reason decides"
	}
	d.Cause = fmt.Sprintf("The server opened the connection and %s, %s: %s.", when, with, means)
	explainCloseForOwner(code, f, d)
	explainCloseSteps(r, f, d)
}

const checkLog = "Check the server's log for the reason"

// explainCloseForOwner adapts the steps of the server's owner to the code: only some codes can be about a credential, and an error in a
// message is not known before the handshake.
func explainCloseForOwner(code int, f Finding, d *Diagnosis) {
	switch code {
	case 1000, 1001, 1002, 1003, 1007, 1009, 1011, 1012, 1013, 1014, 3008, 4400, 4406, 4408, 4409, 4429, 4500, 4503:
		d.ForOwner = append([]string{checkLog + "."}, d.ForOwner[min(1, len(d.ForOwner)):]...)
	}
	if f.Stage == StageEcho {
		d.ForOwner = d.ForOwner[:min(1, len(d.ForOwner))]
		if code == 1005 {
			d.ForOwner = []string{checkLog + "."}
		}
	}
	if code == 1009 {
		d.forOwner("If such messages are legitimate, raise the limit: maxPayload in Node's ws, SetReadLimit in Go's gorilla and coder, max_size in Python's websockets.")
	}
}

// requiresSubprotocol reports whether the reason for a refusal or a close mentions the subprotocol.
func requiresSubprotocol(reason string) bool {
	return containsAny(strings.ToLower(reason), []string{"subprotocol", "sub-protocol"})
}

// requiresLogin reports whether the reason of a close names a login or a credential.
func requiresLogin(reason string) bool {
	return containsAny(strings.ToLower(reason), []string{"session", "token", "auth", "login", "log in", "credential", "permission", "forbidden", "password"})
}

// explainCloseSteps describes what a client can do about an early close.
func explainCloseSteps(r *Report, f Finding, d *Diagnosis) {
	if n, text := receivedMessages(r); n > 0 && text != "" {
		d.forClient(fmt.Sprintf("Before it closed the connection, the server sent: %s", quote(text)))
	}
	code := r.Close.Code
	if code != 4406 && requiresSubprotocol(r.Close.Reason) {
		d.forClient("Offer the subprotocol that the server speaks: --subprotocol NAME")
		return
	}
	if code == 1001 && requiresLogin(r.Close.Reason) {
		code = 3000
	}
	if code == 3000 && r.Close.Reason != "" && !requiresLogin(r.Close.Reason) {
		d.forClient("If the reason is about a credential, send a valid credential; otherwise check the server's log.")
		return
	}
	switch code {
	case 1009:
		d.forClient("Send smaller messages, or ask the owner to raise the limit.")
	case 1002:
		d.forClient("Check the subprotocol first: some servers, such as subscriptions-transport-ws (which expects --subprotocol graphql-ws), send " +
			"this code if the subprotocol is missing. If that is not the cause, update the client's library, and check the server's log.")
	case 1005:
		if r.Target != nil && strings.Contains(r.Target.Path, "transport=polling") {
			d.forClient("The query has transport=polling: use transport=websocket for a WebSocket to a Socket.IO server.")
			return
		}
		if f.Stage == StageEcho {
			explainRefusedMessage(r, d)
			return
		}
		d.forClient("Check the path and the query: express-ws, Fastify and PeerJS, among others, open the connection first and close it if they have no handler for it.")
	case 4406:
		d.forClient("If this is a GraphQL server, offer its subprotocol: --subprotocol graphql-transport-ws, or graphql-ws for older ones.")
	case 1008, 3000, 3003, 4401, 4403:
		d.forClient("Send a valid credential, or get a new one; do not reconnect with the same one.")
	case 1001, 1012, 1013, 4429, 4503:
		d.forClient("Reconnect later, with exponential backoff and jitter.")
	}
}

// explainRefusedMessage is for a server that closed without a code after a message.
func explainRefusedMessage(r *Report, d *Diagnosis) {
	if _, text := receivedMessages(r); strings.HasPrefix(text, `0{"sid":`) {
		d.forClient("The server's greeting is that of Socket.IO (Engine.IO), which accepts only packets of its protocol: connect with the Socket.IO client.")
		return
	}
	d.forClient("Send what the application's protocol expects as the first message, instead of the text of --echo.")
}

// receivedMessages returns the number of complete messages from the server in a report, and the last message if it is an unfragmented
// text.
func receivedMessages(r *Report) (n int, last string) {
	for _, s := range r.Steps {
		for _, f := range s.Frames {
			if !f.Sent && f.Fin && f.Error == "" && (f.Opcode == "text" || f.Opcode == "binary" || f.Opcode == "continuation") {
				n++
				last = ""
				if f.Opcode == "text" {
					last = f.Preview
				}
			}
		}
	}
	return n, last
}

// explainFrame makes the error in a frame the cause.
func explainFrame(r *Report, f Finding, d *Diagnosis) {
	if f.Detail == "" || f.Clause == "" {
		return
	}
	d.Cause = "The server sent a frame that breaks a rule, so the client must fail the connection: " + strings.TrimSuffix(f.Detail, ".") + "."
	if strings.Contains(f.Detail, "a reserved bit") {
		d.forOwner("The first reserved bit (RSV1) marks a compressed message: it may be set only if the 101 has agreed to permessage-deflate.")
	}
	if code := receivedCode(r); code != 0 && strings.Contains(f.Detail, "status code") {
		d.Evidence = append(d.Evidence, fmt.Sprintf("the code of the close frame: %d", code))
	}
	if strings.Contains(f.Detail, miscountedLength) {
		d.forOwner("The length of a frame is that of its payload in bytes, after encoding as UTF-8: in Node Buffer.byteLength(s), not s.length.")
	}
}

// receivedCode returns the code of the close frame that the server sent, or 0 if there is none.
func receivedCode(r *Report) int {
	for _, s := range r.Steps {
		for _, f := range s.Frames {
			if !f.Sent && f.Code != 0 {
				return f.Code
			}
		}
	}
	return 0
}

// explainGarbage explains an HTTP response after the 101.
func explainGarbage(r *Report, _ Finding, d *Diagnosis) {
	a := unframed(r)
	if a == nil {
		return
	}
	d.Cause = fmt.Sprintf("The server sent a second HTTP response (%d) after its 101: most likely another handler answers the same request, too.", a.Status)
	d.ForOwner = append([]string{oneUpgradeListener}, d.ForOwner...)
}

// explainNoPong changes the cause if a pong with another payload was received.
func explainNoPong(_ *Report, f Finding, d *Diagnosis) {
	if strings.Contains(f.Detail, "but one with the payload") {
		d.Cause = "The server sent a pong, but not with the payload of the ping, which is required."
	}
}

// explainNoEcho changes the cause if other messages were received.
func explainNoEcho(_ *Report, f Finding, d *Diagnosis) {
	if strings.Contains(f.Detail, "but not the one") {
		d.Cause = "The server replied with something other than the message that it received: this path is not an echo endpoint."
		d.ForClient = d.ForClient[:1]
	}
	if strings.Contains(f.Detail, sentAsBinary) {
		d.Cause = "The server replied to a text message with the same bytes in a binary message."
		d.ForOwner = []string{"Send text as text. In Node's ws, the second argument of the event is whether a message is binary:",
			"    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }))"}
		d.ForClient = []string{"In a browser, the data of a binary message is a Blob or an ArrayBuffer, and not a string."}
	}
}

// sentAsBinary is the result of an echo that differs from the message only in its type.
const sentAsBinary = "the same bytes were received, but in a binary message"

// explainNoCloseFrame changes the cause if the stream ended after our close frame, or with a reset.
func explainNoCloseFrame(r *Report, f Finding, d *Diagnosis) {
	switch {
	case f.Warning:
		d.Cause = "After the client's close frame the connection ended, without a close frame from the server."
		d.Clause = "RFC 6455 §5.5.1"
		d.ForOwner = []string{"Answer a close frame with a close frame, then close the connection. Go's x/net/websocket, among others, does not: use another library.",
			"If the library does, a handler or a proxy ends the connection too early."}
		d.ForClient = []string{"Nothing is lost if all messages were received before; a browser reports code 1006 instead of 1000."}
	case r.Close != nil && r.Close.How == "RST":
		d.Cause = "The connection was reset without a close frame from the server: a browser reports code 1006 and no reason."
	}
}

// wellKnown contains the default idle timeouts of products.
var wellKnown = []struct {
	after time.Duration
	what  string
}{
	{30 * time.Second, "HAProxy with the timeouts of its examples"},
	{55 * time.Second, "Heroku"},
	{60 * time.Second, "nginx (proxy_read_timeout), the AWS ALB, and Apache (ProxyTimeout)"},
	{100 * time.Second, "Cloudflare"},
	{230 * time.Second, "Azure App Service"},
	{240 * time.Second, "Azure's load balancer"},
	{300 * time.Second, "Envoy (stream_idle_timeout)"},
	{350 * time.Second, "the AWS NLB"},
	{600 * time.Second, "Google's load balancers and firewalls"},
}

// explainIdle adds the time after which the connection ended, the products with that timeout, and how often to send a ping.
func explainIdle(r *Report, _ Finding, d *Diagnosis) {
	i := r.Idle
	if i == nil || !i.Cut {
		return
	}
	switch {
	case i.How == "silence":
		d.Cause = fmt.Sprintf("After %s of silence the connection no longer carries data, although no close was observed: something on the path has most "+
			"likely dropped its state, as firewalls and NAT do.", i.Held)
		d.forClient("The exact time is unknown, but it is shorter: a shorter --probe-idle narrows it down.")
		return
	case i.How == "close frame":
		d.Cause = fmt.Sprintf("The server ends a connection that is idle for %s, with a close frame of code %d.", i.Held, i.Code)
	default:
		d.Cause = fmt.Sprintf("Something on the path, or the server, ends a connection that is idle for %s, without a close frame.",
			i.Held)
	}
	for _, k := range wellKnown {
		if off := time.Duration(i.Held) - k.after; off > -time.Second && off < 3*time.Second {
			d.forOwner(fmt.Sprintf("A connection that is ended after %s of silence is most often ended by %s.", k.after, k.what))
		}
	}
	if i.Suggest > 0 {
		d.forOwner(fmt.Sprintf("A ping every %s keeps this connection open.", i.Suggest))
	}
}
