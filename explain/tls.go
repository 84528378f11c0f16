package explain

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/visible"
)

// secure contains the configuration and the results of one TLS handshake.
type secure struct {
	cfg      *tls.Config
	info     *TLS
	insecure bool
	state    tls.ConnectionState // the state when the server's certificates were received
	problems []trustProblem      // why the chain is not trusted
}

// errUntrusted is the error of a handshake with an untrusted chain. The reasons are in secure.problems.
var errUntrusted = errors.New("the server's certificate is not trusted")

// newSecure returns a TLS handshake with the caller's configuration, except that only HTTP/1.1 is offered, as by browsers for WebSockets.
// The chain is verified by sec.verify, which finds every problem rather than only the first.
func (t *dialer) newSecure() *secure {
	cfg := t.run.o.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = strings.Cut(t.run.target.Name, "%")
	}
	cfg.NextProtos = []string{"http/1.1"}
	sec := &secure{cfg: cfg, insecure: cfg.InsecureSkipVerify, info: &TLS{Offered: cfg.NextProtos, Insecure: cfg.InsecureSkipVerify}}
	if net.ParseIP(cfg.ServerName) == nil {
		sec.info.ServerName = cfg.ServerName
	}
	cfg.InsecureSkipVerify = true // VerifyConnection verifies the chain
	cfg.VerifyPeerCertificate = nil
	cfg.VerifyConnection = sec.verify
	certificates, callback := cfg.Certificates, cfg.GetClientCertificate
	cfg.Certificates = nil
	cfg.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		sec.info.ClientAsked = true
		if callback != nil {
			c, err := callback(asked)
			sec.info.ClientSent = err == nil && c != nil && len(c.Certificate) > 0
			return c, err
		}
		for i := range certificates {
			if asked.SupportsCertificate(&certificates[i]) == nil {
				sec.info.ClientSent = true
				return &certificates[i], nil
			}
		}
		if len(certificates) > 0 { // the server may accept the certificate although the server does not list the issuer
			sec.info.ClientSent = true
			return &certificates[0], nil
		}
		return &tls.Certificate{}, nil
	}
	return sec
}

// describe records the negotiated parameters.
func (sec *secure) describe(s *tls.ConnectionState) {
	sec.state = *s
	sec.info.Version = tls.VersionName(s.Version)
	sec.info.Suite = tls.CipherSuiteName(s.CipherSuite)
	sec.info.ALPN = s.NegotiatedProtocol
	if s.CurveID != 0 {
		sec.info.Group = s.CurveID.String()
	}
}

// verify is the VerifyConnection of the tls.Config.
func (sec *secure) verify(s tls.ConnectionState) error {
	sec.describe(&s)
	sec.judgeChain()
	if len(sec.problems) > 0 && !sec.insecure {
		return errUntrusted
	}
	return nil
}

// wrap performs the TLS handshake over l, until end at the latest.
func (t *dialer) wrap(l *link, end time.Time, cfg *tls.Config) (*tls.Conn, error) {
	l.bound(end)
	l.Conn = &recordedConn{Conn: l.Conn, l: l}
	c := tls.Client(l.Conn, cfg)
	ctx, cancel := context.WithDeadline(t.run.ctx, end)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	l.Conn = c
	return c, nil
}

// tlsStep performs the TLS handshake as a step.
func (t *dialer) tlsStep(l *link) bool {
	s := t.run.begin(StageTLS, "TLS handshake")
	sec := t.newSecure()
	t.secure, t.run.r.TLS = sec, sec.info
	c, err := t.wrap(l, t.run.step(), sec.cfg)
	if err == nil {
		state := c.ConnectionState()
		sec.describe(&state)
	}
	s.Facts, s.Rules = sec.facts(), sec.rules()
	if err == nil {
		t.run.end(s, joined(sec.info.Version, sec.info.Group, sec.info.Suite, sec.info.ALPN))
		return true
	}
	s.OK = false
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		l.awaitFirst()
	}
	fault, clause, detail := t.judgeTLS(sec, l, err)
	t.run.end(s, detail)
	if t.run.stopped(StageTLS) {
		return false
	}
	l.end()
	fault, clause, detail = t.probeTLS(fault, clause, detail)
	t.run.fail(StageTLS, fault, clause, detail)
	for _, p := range sec.problems[min(1, len(sec.problems)):] {
		t.run.fail(StageTLS, p.fault, p.clause, p.detail)
	}
	return false
}

// facts returns the negotiated parameters and the chain.
func (sec *secure) facts() []Fact {
	i := sec.info
	var facts []Fact
	for _, f := range [...]Fact{
		{"server name", i.ServerName},
		{"offered", strings.Join(i.Offered, ", ")},
		{"version", i.Version},
		{"key exchange", i.Group},
		{"cipher suite", i.Suite},
		{"alpn", i.ALPN},
	} {
		if f.Value != "" {
			facts = append(facts, f)
		}
	}
	for n, c := range i.Chain {
		facts = append(facts, Fact{fmt.Sprintf("certificate %d", n+1), describeCertificate(&c)})
	}
	switch {
	case i.ClientSent:
		facts = append(facts, Fact{"client certificate", "requested and sent"})
	case i.ClientAsked:
		facts = append(facts, Fact{"client certificate", "requested, but none is set"})
	}
	if i.Reason != "" {
		facts = append(facts, Fact{"trust", i.Reason})
	}
	return facts
}

// rules checks the negotiated parameters.
func (sec *secure) rules() []Check {
	var rules []Check
	if sec.info.Version != "" {
		ok := sec.state.Version >= tls.VersionTLS12
		rules = append(rules, Check{"RFC 8996 §2", "TLS 1.2 or later", ok, sec.info.Version})
		alpn := sec.info.ALPN == "" || slices.Contains(sec.info.Offered, sec.info.ALPN)
		detail := "http/1.1 was chosen"
		if sec.info.ALPN == "" {
			detail = "the server chose none, so it is HTTP/1.1"
		}
		rules = append(rules, Check{"RFC 7301 §3.2", "the server chooses one of the offered protocols", alpn, detail})
	}
	if len(sec.info.Chain) == 0 || sec.insecure {
		return rules
	}
	return append(rules, sec.trustRules()...)
}

// judgeTLS returns the most probable fault of a failed handshake.
func (t *dialer) judgeTLS(sec *secure, l *link, err error) (f Fault, clause, detail string) {
	if len(sec.problems) > 0 && errors.Is(err, errUntrusted) {
		p := sec.problems[0]
		return p.fault, p.clause, p.detail
	}
	if wrong, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return t.judgeRecord(l.seen, wrong)
	}
	if alert, ok := remoteAlert(err); ok {
		sec.info.Alert = alert
		f, clause = judgeAlert(alert, sec.info)
		return f, clause, "the server ended the handshake with the alert \"" + alert + "\""
	}
	text := shortError(err)
	switch {
	case strings.Contains(text, "unsupported protocol version"):
		return FaultTLSVersion, "RFC 8996 §2", "the server chose a version of TLS that is too old"
	case strings.Contains(text, "ALPN"):
		return FaultALPN, "RFC 7301 §3.2", "the server chose a protocol via ALPN that was not offered"
	case strings.Contains(text, "parse certificate"), strings.Contains(text, "x509: "):
		return FaultCertOther, "RFC 5280 §4.1", text
	case isTimeout(err) && len(l.seen) > 0:
		return FaultTLSTimeout, "", "the server began a TLS handshake but did not finish it in time"
	case isTimeout(err):
		return FaultTLSTimeout, "", "the port accepts connections but does not respond to a ClientHello"
	case isReset(err):
		return FaultReset, "", "the connection was reset (RST) in the middle of the TLS handshake"
	case isEOF(err):
		return FaultTLS, "", "the server closed the connection in the middle of the TLS handshake"
	}
	return FaultTLS, "", text
}

// judgeRecord returns the fault for bytes that are not a valid header of a TLS record. seen contains the first bytes of the stream.
func (t *dialer) judgeRecord(seen []byte, wrong tls.RecordHeaderError) (f Fault, clause, detail string) {
	h := wrong.RecordHeader[:]
	n, limit, clause := int(h[3])<<8|int(h[4]), 1<<14, "RFC 8446 §5.1"
	kind := recordTypes[h[0]]
	if h[0] == 23 {
		limit, clause = limit+256, "RFC 8446 §5.2"
	}
	switch {
	case !isRecord(seen):
		return FaultTLSToPlain, clause, "the response to the ClientHello is not TLS: it begins with " + quote(t.run.hide.text(string(seen)))
	case !isRecord(h):
		return FaultTLS, clause, fmt.Sprintf("the server began a TLS handshake, and then sent bytes that are not a TLS record: % x", h)
	case n > limit:
		return FaultTLS, clause, fmt.Sprintf("the server sent the header of a TLS record (%s) with the length %d, which is not allowed: the limit is %d", kind, n, limit)
	}
	return FaultTLS, clause, fmt.Sprintf("the server sent a TLS record (%s) that is not allowed at this point: %s", kind, wrong.Msg)
}

// recordTypes contains the types of TLS records (RFC 8446 §5.1).
var recordTypes = map[byte]string{20: "change_cipher_spec", 21: "alert", 22: "handshake", 23: "application_data"}

// isRecord reports whether b begins with the type and the version of a TLS record.
func isRecord(b []byte) bool { return len(b) > 1 && recordTypes[b[0]] != "" && b[1] == 3 }

// remoteAlert returns the alert with which the server ended a TLS connection. crypto/tls does not export the type of the error, so
// remoteAlert returns a part of the error's text.
func remoteAlert(err error) (string, bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return "", false
	}
	return strings.TrimPrefix(op.Err.Error(), "tls: "), true
}

// judgeAlert returns the fault that an alert indicates (RFC 8446 §6.2).
func judgeAlert(alert string, i *TLS) (f Fault, clause string) {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(alert, w) })
	}
	clause = "RFC 8446 §6.2"
	switch {
	case has("protocol version"):
		return FaultTLSVersion, "RFC 8996 §2"
	case has("application protocol"):
		return FaultALPN, "RFC 7301 §3.2"
	case has("unrecognized name"):
		return FaultTLSName, "RFC 6066 §3"
	case has("certificate required"), i.ClientAsked && !i.ClientSent && has("certificate", "handshake failure", "access denied"):
		return FaultClientCert, "RFC 8446 §4.4.2.4"
	case i.ClientSent && has("certificate", "handshake failure", "access denied", "decrypt error"):
		return FaultClientCertRefused, "RFC 8446 §4.4.2.4"
	case has("handshake failure", "insufficient security"):
		return FaultTLSCipher, clause
	}
	return FaultTLS, clause
}

// joined joins the non-empty parts with commas.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// quote formats data from the peer in quotes, on one line and truncated.
func quote(s string) string { return `"` + visible.Cut(oneLine(s), shortQuote) + `"` }

// shortQuote is the maximum number of bytes of the peer's data in a sentence.
const shortQuote = 120
