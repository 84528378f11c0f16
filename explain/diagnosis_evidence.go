package explain

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/handfast/handfast/internal/chain"
)

// maxEvidenceLine is the maximum length of a line of evidence in bytes, and maxEvidence the maximum number of lines.
const (
	maxEvidenceLine = 240
	maxEvidence     = 14
)

// diagnosticFields lists the fields of a response that can lead to a diagnosis.
var diagnosticFields = []string{
	"Server", "Via", "Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
	"Sec-WebSocket-Extensions", "Location", "WWW-Authenticate", "Proxy-Authenticate", "Retry-After", "Allow", "Content-Length",
	"Transfer-Encoding", "X-WebSocket-Reject-Reason",
}

// evidence quotes the observations that lead to a finding: first the finding's detail, then received data.
func evidence(r *Report, f Finding) []string {
	var all []string
	add := func(format string, args ...any) {
		s := strings.TrimSpace(fmt.Sprintf(format, args...))
		if len(s) > maxEvidenceLine {
			s = strings.ToValidUTF8(s[:maxEvidenceLine], "") + "…"
		}
		contained := func(before string) bool {
			i := strings.Index(before, s)
			return i == 0 || i > 0 && !unicode.IsLetter(rune(before[i-1])) // "AAAA: none" does not contain "A: none"
		}
		if s != "" && len(all) < maxEvidence && !slices.ContainsFunc(all, contained) {
			all = append(all, s)
		}
	}
	add("%s", f.Detail)
	switch f.Stage {
	case StageURL, StageDNS, StageTCP:
	case StageTLS:
		quoteTLS(r, add)
	case StageOrigin:
		quoteOrigins(r, add)
	case StagePing, StageEcho, StageWatch, StageIdle, StageClose:
		quoteEnd(r, add)
	default:
		if g := r.Target; g != nil && g.HostHeader != "" {
			add("sent to %s: Host: %s, Origin: %s", urlHost(g), g.HostHeader, orNone(g.Origin))
		}
		quoteAnswer(r, add)
		quoteOrigins(r, add)
	}
	quoteSteps(r, f.Stage, add)
	return all
}

// quoteAnswer quotes the header of the response and the beginning of its body.
func quoteAnswer(r *Report, add func(string, ...any)) {
	a := r.Response
	if a == nil {
		return
	}
	add("%s %d %s", a.Proto, a.Status, a.Reason)
	for _, field := range a.Header {
		if slices.ContainsFunc(diagnosticFields, func(name string) bool { return equalFold(name, field.Name) }) {
			add("%s: %s", field.Name, field.Value)
		}
	}
	if body := plain(a.Body); body != "" {
		add("body: %s", body)
	}
}

// quoteTLS quotes the alert and the received certificates.
func quoteTLS(r *Report, add func(string, ...any)) {
	if r.TLS == nil {
		return
	}
	if r.TLS.Alert != "" {
		add("TLS alert: %s", r.TLS.Alert)
	}
	if r.TLS.Oldest != "" {
		add("the server speaks %s", r.TLS.Oldest)
	}
	add("%s", r.TLS.Reason)
	for i, c := range r.TLS.Chain {
		names := "no host"
		if len(c.Names) > 0 {
			names = strings.Join(chain.Short(c.Names), ", ")
		}
		add("certificate %d: %s, by %s, for %s, valid %s to %s", i+1, c.Subject, c.Issuer, names,
			chain.Day(c.NotBefore), chain.Day(c.NotAfter))
	}
}

// quoteOrigins quotes the additional handshakes with other origins.
func quoteOrigins(r *Report, add func(string, ...any)) {
	if r.WithoutUpgrade != 0 {
		add("the same request without Upgrade: answered with %d", r.WithoutUpgrade)
	}
	for _, o := range r.Origins {
		add("%s: %s", originName(o.Origin), triedOrigin(o))
	}
}

func originName(origin string) string {
	if origin == "" {
		return "without an Origin header"
	}
	return "Origin: " + origin
}

func triedOrigin(o OriginTry) string {
	switch {
	case o.Opened:
		return "accepted"
	case o.Status == 0:
		return "no response"
	}
	return fmt.Sprintf("answered with %d", o.Status)
}

// quoteEnd quotes how an open connection ended.
func quoteEnd(r *Report, add func(string, ...any)) {
	if c := r.Close; c != nil {
		add("ended by the %s: %s, code %d %s", c.By, c.How, c.Code, c.Reason)
	}
}

// quoteSteps quotes the data received in the failed steps of a stage.
func quoteSteps(r *Report, stage Stage, add func(string, ...any)) {
	for _, s := range r.Steps {
		if s.Stage != stage || s.OK {
			continue
		}
		for i, l := range s.Received {
			if i < 3 && r.Response == nil {
				add("received: %s", l.Text)
			}
		}
		for _, f := range s.Frames {
			switch {
			case !f.Sent && f.Opcode == "none":
				add("received: bytes that are not a frame: %s", f.Preview)
			case !f.Sent && (f.Error != "" || f.Code != 0):
				add("received: %s", strings.TrimSpace(fmt.Sprintf("%s frame of %d bytes %s", f.Opcode, f.Length, f.Preview)))
			}
		}
		for _, fact := range s.Facts {
			if stage == StageDNS {
				add("%s: %s", fact.Name, fact.Value)
			}
		}
		for _, c := range s.Rules {
			if !c.Held {
				add("%s", c.Detail)
			}
		}
	}
}
