package explain

import (
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/socks"
)

// probeTimeout limits each wait of a probe.
const probeTimeout = 2 * time.Second

// reopen opens another connection to the same address, through the same proxy, without TLS to the server.
func (t *dialer) reopen() (*link, error) {
	l, err := t.dial(t.plan.addr, probeTimeout)
	if err != nil || t.plan.proxy == nil {
		return l, err
	}
	if socks.Is(t.plan.proxy) {
		err = t.socks(l)
	} else if h, failed := t.tunnel(l); failed != nil || h.problem != nil || h.status/100 != 2 {
		err = errors.New("the proxy did not open a second tunnel")
	}
	if err != nil {
		l.end()
		return nil, err
	}
	return l, nil
}

// probeTLS investigates a failed TLS handshake with additional connections. It returns the fault, the clause and the detail, which it
// replaces if it has found the reason.
func (t *dialer) probeTLS(f Fault, clause, detail string) (Fault, string, string) {
	if t.run.o.NoProbes {
		return f, clause, detail
	}
	switch f {
	case FaultTLSTimeout, FaultTLS, FaultReset:
		if t.secure.info.Alert == "" && t.speaksPlainHTTP() { // an alert shows that the server speaks TLS
			return FaultTLSToPlain, "RFC 8446 §5.1", detail + answersPlain
		}
	case FaultALPN:
		if t.speaksHTTP2() {
			return FaultHTTP2Only, "RFC 6455 §4.1", detail + "; the server accepts only h2"
		}
	case FaultTLSVersion, FaultTLSCipher:
		if v := t.oldVersion(); v != "" {
			t.secure.info.Oldest = v
			return FaultTLSVersion, "RFC 8996 §2", "the server speaks " + v + " and nothing newer"
		}
	default:
		i := slices.IndexFunc(t.secure.problems, func(p trustProblem) bool { return p.fault == FaultCertUnknown || p.fault == FaultCertIntermediate })
		if i < 0 {
			return f, clause, detail
		}
		if p := t.fetchIssuer(); p != nil {
			t.secure.problems[i] = *p
			if i == 0 {
				return p.fault, p.clause, p.detail
			}
		}
	}
	return f, clause, detail
}

// answersPlain ends the detail of a port that did not answer a ClientHello with TLS or anything else.
const answersPlain = "; the port responds to plain HTTP"

// probeStep runs a probe as a step. f returns what it has found, or "" if nothing, and probeStep returns the same.
func (t *dialer) probeStep(title string, f func(l *link) string) string {
	s := t.run.begin(StageProbe, title)
	l, err := t.reopen()
	if err != nil {
		s.OK = false
		t.run.end(s, "could not connect again: "+shortError(err))
		return ""
	}
	defer l.end()
	found := f(l)
	if found == "" {
		t.run.end(s, "no")
		return ""
	}
	t.run.end(s, found)
	return found
}

// speaksHTTP2 reports whether the server chooses h2 if it is offered in ALPN.
func (t *dialer) speaksHTTP2() bool {
	return t.probeStep("does it speak HTTP/2?", func(l *link) string {
		cfg := t.probeConfig()
		cfg.NextProtos = []string{"h2"}
		if c, err := t.wrap(l, t.run.until(probeTimeout), cfg); err == nil && c.ConnectionState().NegotiatedProtocol == "h2" {
			return "it chooses h2"
		}
		return ""
	}) != ""
}

// speaksPlainHTTP2 reports whether the server responds to an HTTP/2 client with prior knowledge (RFC 9113 §3.4).
func (t *dialer) speaksPlainHTTP2() bool {
	return t.probeStep("does it expect HTTP/2?", func(l *link) string {
		l.bound(t.run.until(probeTimeout))
		const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		if _, err := io.WriteString(l, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+settings); err != nil {
			return ""
		}
		head := make([]byte, len(settings))
		if _, err := io.ReadFull(l, head); err == nil && notHTTP(head).fault == FaultHTTP2Only {
			return "it responds with SETTINGS"
		}
		return ""
	}) != ""
}

// oldVersion returns the version that a server negotiates with a client of TLS 1.0 and 1.1, or "" if the handshake fails.
func (t *dialer) oldVersion() string {
	version := ""
	t.probeStep("which version of TLS does it speak?", func(l *link) string {
		cfg := t.probeConfig()
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
			cfg.CipherSuites = append(cfg.CipherSuites, s.ID)
		}
		c, err := t.wrap(l, t.run.until(probeTimeout), cfg)
		if err != nil {
			return ""
		}
		version = tls.VersionName(c.ConnectionState().Version)
		return version
	})
	return version
}

// probeConfig returns a TLS configuration that trusts every certificate. It must be used only for connections without secrets.
func (t *dialer) probeConfig() *tls.Config {
	name, _, _ := strings.Cut(t.run.target.Name, "%")
	if t.run.o.TLS != nil && t.run.o.TLS.ServerName != "" {
		name = t.run.o.TLS.ServerName
	}
	return &tls.Config{ServerName: name, InsecureSkipVerify: true}
}

// speaksPlainHTTP reports whether the server responds to a request for / without TLS. The request contains no secrets.
func (t *dialer) speaksPlainHTTP() bool {
	return t.probeStep("does it speak plain HTTP?", func(l *link) string {
		l.bound(t.run.until(probeTimeout))
		if _, err := io.WriteString(l, "GET / HTTP/1.1\r\nHost: "+t.run.target.Host()+"\r\nConnection: close\r\n\r\n"); err != nil {
			return ""
		}
		if h := readHead(l, t.run.until(probeTimeout)); h.status != 0 {
			return "it responds " + h.statusText()
		}
		return ""
	}) != "" || t.speaksPlainWebSocket()
}

// speaksPlainWebSocket is like speaksPlainHTTP, but sends a handshake: a server that serves only WebSockets may respond to nothing else.
func (t *dialer) speaksPlainWebSocket() bool {
	return t.probeStep("does it speak plain WebSocket?", func(l *link) string {
		l.bound(t.run.until(probeTimeout))
		if _, err := io.WriteString(l, "GET / HTTP/1.1\r\nHost: "+t.run.target.Host()+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"); err != nil {
			return ""
		}
		if h := readHead(l, t.run.until(probeTimeout)); h.status != 0 {
			return "it responds " + h.statusText()
		}
		return ""
	}) != ""
}

// asksTLS is the title of the step in which speaksTLS runs.
const asksTLS = "does it expect TLS?"

// deniesTLS reports whether speaksTLS found that the port does not speak TLS.
func deniesTLS(r *Report) bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Title == asksTLS && s.OK && s.Result == "no" })
}

// speaksTLS reports whether the server responds to a TLS handshake.
func (t *dialer) speaksTLS() bool {
	return t.probeStep(asksTLS, func(l *link) string {
		c, err := t.wrap(l, t.run.until(probeTimeout), t.probeConfig())
		if err == nil {
			return "it responds with " + tls.VersionName(c.ConnectionState().Version)
		}
		if alert, ok := remoteAlert(err); ok {
			return "it responds with the TLS alert \"" + alert + "\""
		}
		return ""
	}) != ""
}
