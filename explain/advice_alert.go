package explain

import (
	"fmt"
	"strings"
)

// explainAlert adds the meaning of the server's alert (RFC 8446 §6.2).
func explainAlert(r *Report, f Finding, d *Diagnosis) {
	if f.Stage == StageTLS && strings.HasPrefix(f.Clause, "RFC 8446 §5.") {
		d.Cause = "The TLS handshake failed: " + f.Detail + "."
	}
	if r.TLS == nil || r.TLS.Alert == "" {
		return
	}
	for _, known := range []struct{ part, means string }{
		{"unknown certificate authority", "the server does not know the CA of the client's certificate"},
		{"expired certificate", "the client's certificate has expired"},
		{"revoked certificate", "the client's certificate was revoked"},
		{"bad certificate", "the server considers the client's certificate malformed or wrongly signed"},
		{"access denied", "the certificate is valid, but its holder is not authorized"},
		{"internal error", "the server failed, and its log says why; servers written in Go also send it when they have no certificate for the name"},
		{"handshake failure", "the server found no acceptable suite, group, certificate or other parameter"},
		{"decode error", "the server could not parse the ClientHello: a device on the path may change it"},
		{"user canceled", "the server canceled the handshake"},
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

// explainAlert80 explains the alert internal_error (80), which crypto/tls sends if a callback finds no certificate, as in Caddy and
// autocert.
func explainAlert80(r *Report, d *Diagnosis) {
	name := "the name in the URL"
	if r.Target != nil {
		name = r.Target.Host
	}
	if r.TLS.ServerName == "" { // clients send no server name for an IP address
		name += ", for which a client sends no name"
	}
	d.Cause = "The server failed in the TLS handshake. Servers written in Go, Caddy among them, also do so if they have no certificate for " +
		name + "."
	d.forOwner("Check whether the log reports a missing certificate. If so, add this name to those that get a certificate. Caddy, autocert:",
		"    chat.example { reverse_proxy localhost:8080 }",
		`    autocert.HostWhitelist("chat.example")`)
	d.forClient("Try the name under which the server is published: if that works, the certificate was the cause.")
}

// explainNoCipher qualifies the cause if the alert does not prove that there are no common parameters.
func explainNoCipher(r *Report, _ Finding, d *Diagnosis) {
	if !isGenericAlert(r) {
		return
	}
	d.Cause = "The server ended the handshake because it found no acceptable parameters. Most likely the server and the client have no cipher suite, " +
		"key exchange group or signature algorithm in common."
	d.forOwner("The proof is in the server's log. Servers also send this alert if they have no certificate for the name, or if they require one of the client.")
}

// explainClientCert qualifies the cause if the alert does not prove that a client certificate is missing.
func explainClientCert(r *Report, _ Finding, d *Diagnosis) {
	if r.TLS == nil || r.TLS.Alert == "" || strings.Contains(r.TLS.Alert, "certificate required") {
		return
	}
	d.Cause = fmt.Sprintf("The server requested a client certificate, received none, and ended the connection with the alert %q. Most likely it requires one, "+
		"but the alert can have another reason.", r.TLS.Alert)
	d.forClient("The proof: with a certificate that the server accepts, the handshake succeeds. If it does not, the server's log names the reason.")
}

// explainClientCertRefused adds the meaning of the alert, and qualifies the cause if the alert does not prove that the client's certificate
// is the reason.
func explainClientCertRefused(r *Report, f Finding, d *Diagnosis) {
	explainAlert(r, f, d)
	if !isGenericAlert(r) {
		return
	}
	d.Cause = fmt.Sprintf("The server received a client certificate, and ended the connection with the alert %q. Most likely it does not accept the certificate; "+
		"the alert can have another reason.", r.TLS.Alert)
	d.forClient("The proof is in the server's log; or the handshake succeeds with another certificate.")
}

// isGenericAlert reports whether the server sent an alert that can have many reasons (RFC 8446 §6.2).
func isGenericAlert(r *Report) bool {
	return r.TLS != nil && (strings.Contains(r.TLS.Alert, "handshake failure") || strings.Contains(r.TLS.Alert, "decrypt"))
}
