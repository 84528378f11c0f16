package explain

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/chain"
)

// trustProblem is one reason why a chain is not trusted.
type trustProblem struct {
	fault  Fault
	clause string
	detail string
}

// judgeChain records the chain that the server sent, and every problem with the chain: validity, name and issuer are checked
// independently.
func (sec *secure) judgeChain() {
	sent := sec.state.PeerCertificates
	sec.info.Chain = nil
	for _, c := range sent {
		sec.info.Chain = append(sec.info.Chain, newCertificate(c))
	}
	if len(sent) == 0 {
		return
	}
	now := time.Now()
	if sec.cfg.Time != nil {
		now = sec.cfg.Time()
	}
	path, problems := chain.Judge(sent, chain.Options{Name: sec.cfg.ServerName, Roots: sec.cfg.RootCAs, Now: now})
	for _, p := range problems {
		sec.problems = append(sec.problems, trustProblem{trustFaults[p.Kind], p.Clause, oneLine(p.Detail)})
	}
	switch {
	case len(sec.problems) > 0 && sec.insecure:
		sec.info.Reason = "not verified, as requested; verification would fail: " + sec.problems[0].detail
	case len(sec.problems) > 0:
		sec.info.Reason = sec.problems[0].detail
	default:
		sec.info.Trusted = true
		sec.info.Reason = "the chain leads to " + oneLine(chain.NameOf(path[len(path)-1].Subject)) + ", which is trusted here"
	}
}

// trustFaults contains the fault for each kind of problem with a chain.
var trustFaults = map[chain.Kind]Fault{
	chain.Expired: FaultCertExpired, chain.NotYet: FaultCertNotYet, chain.Name: FaultCertName,
	chain.SelfSigned: FaultCertSelfSigned, chain.Unknown: FaultCertUnknown, chain.Incomplete: FaultCertIntermediate,
	chain.Usage: FaultCertOther, chain.Other: FaultCertOther,
	chain.Signature: FaultCertOther, chain.NoAuthority: FaultCertOther,
}

// trustRules returns the rules about the chain, and whether the chain follows each rule.
func (sec *secure) trustRules() []Check {
	check := func(clause, text, good string, faults ...Fault) Check {
		for _, p := range sec.problems {
			if slices.Contains(faults, p.fault) {
				return Check{clause, text, false, p.detail}
			}
		}
		return Check{clause, text, true, good}
	}
	leaf := sec.info.Chain[0]
	return []Check{
		check(chain.ClauseValidity, "the certificate is valid today",
			"until "+chain.Day(leaf.NotAfter), FaultCertExpired, FaultCertNotYet),
		check(chain.ClauseName, "the certificate is for "+sec.cfg.ServerName, strings.Join(chain.Short(leaf.Names), ", "), FaultCertName),
		check(chain.ClausePath, "the chain leads to a CA that is trusted here", sec.info.Reason,
			FaultCertUnknown, FaultCertSelfSigned, FaultCertIntermediate, FaultCertOther),
	}
}

// newCertificate returns the description of c for the report.
func newCertificate(c *x509.Certificate) Certificate {
	sum := sha256.Sum256(c.Raw)
	out := Certificate{
		Subject: oneLine(chain.NameOf(c.Subject)), Issuer: oneLine(chain.NameOf(c.Issuer)), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		Key: chain.Key(c), CA: c.IsCA, SelfSigned: chain.IsSelfSigned(c), SHA256: hex.EncodeToString(sum[:]),
	}
	for _, n := range chain.Names(c) {
		out.Names = append(out.Names, oneLine(n))
	}
	return out
}

// describeCertificate formats a certificate in one line.
func describeCertificate(c *Certificate) string {
	parts := []string{c.Subject}
	if len(c.Names) > 0 {
		parts = append(parts, "for "+strings.Join(chain.Short(c.Names), ", "))
	}
	if c.SelfSigned {
		parts = append(parts, "self-signed")
	} else {
		parts = append(parts, "by "+c.Issuer)
	}
	return strings.Join(append(parts, "valid "+chain.Day(c.NotBefore)+" to "+chain.Day(c.NotAfter), c.Key), "; ")
}
