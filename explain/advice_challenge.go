package explain

import (
	"fmt"
	"slices"
	"strings"
)

// challenge is a challenge in a 401 or 407, which requests credentials of one scheme (RFC 9110 §11.3).
type challenge struct {
	scheme string
	params []Field // in the order of the header; a token68 has no name
}

// param returns the value of a parameter, "" if there is none.
func (c challenge) param(name string) string {
	for _, p := range c.params {
		if equalFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// parseChallenges parses the values of WWW-Authenticate or Proxy-Authenticate. Commas separate both challenges and the parameters
// of one challenge (RFC 9110 §11.6.1), and may be inside quotes. Parts that violate the grammar are skipped.
func parseChallenges(values []string) []challenge {
	var all []challenge
	for _, v := range values {
		for _, part := range splitQuoted(v) {
			name, value, equals := strings.Cut(part, "=")
			scheme, rest, space := strings.Cut(strings.TrimSpace(name), " ")
			rest = strings.TrimSpace(rest)
			switch {
			case part == "":
			case space && equals: // Bearer realm="x"
				all = append(all, challenge{scheme: scheme, params: []Field{{Name: rest, Value: unquote(value)}}})
			case equals && len(all) > 0: // another parameter
				last := &all[len(all)-1]
				last.params = append(last.params, Field{Name: scheme, Value: unquote(value)})
			case !equals && space: // NTLM TlRMTVNTUAAC
				all = append(all, challenge{scheme: scheme, params: []Field{{Value: rest}}})
			case !equals:
				all = append(all, challenge{scheme: scheme})
			}
		}
	}
	return all
}

// splitQuoted splits at commas outside quotes, and trims the parts.
func splitQuoted(s string) []string {
	var parts []string
	quoted, escaped, start := false, false, 0
	for i := range len(s) {
		switch c := s[i]; {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			parts = append(parts, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(s[start:]))
}

// unquote returns the value of a token or of a quoted string.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// explainChallenge explains a 401 and each of its challenges.
func explainChallenge(r *Report, f Finding, d *Diagnosis) {
	credentialSteps(r, d)
	all := parseChallenges(r.Response.Values("WWW-Authenticate"))
	if len(all) == 0 {
		d.Cause = "The server answers that the request is not authenticated (401), and does not say how to authenticate."
		if r.Target == nil || len(r.Target.Credentials) == 0 {
			d.ForClient = []string{"Send a credential: the request has none."}
		}
		d.forClient("The response has no WWW-Authenticate, so it does not say what is required: a cookie, a token, a key. Check the server's documentation.",
			"The origin may be the reason instead: Node's ws sends 401 for whatever its verifyClient rejects. To find out, set --origin to that of the page.")
	}
	var names []string
	for _, c := range all {
		names = append(names, c.scheme)
	}
	if len(names) > 0 {
		d.Cause = fmt.Sprintf("The server requires authentication (%s), and the request has no credential that the server accepts.",
			strings.Join(names, ", "))
	}
	nameProxy(r, f, d)
}

// credentialSteps adds whether the request contained a credential, and what each challenge requests.
func credentialSteps(r *Report, d *Diagnosis) {
	given := r.Target != nil && len(r.Target.Credentials) > 0
	if given {
		d.ForClient = []string{"The request had a credential (" + strings.Join(r.Target.Credentials, ", ") +
			"): most likely it is wrong, expired or revoked, or not of the kind that the server expects; or it was lost on the way."}
	}
	for _, c := range parseChallenges(r.Response.Values("WWW-Authenticate")) {
		d.forClient(requestedCredential(c, given))
	}
}

// explainProxyChallenge explains a 407 and each of its challenges.
func explainProxyChallenge(r *Report, f Finding, d *Diagnosis) {
	all := parseChallenges(r.Response.Values("Proxy-Authenticate"))
	if strings.HasPrefix(f.Detail, credentialsRefused) {
		explainProxyCredentials(all, d)
	}
	for _, c := range all {
		switch strings.ToLower(c.scheme) {
		case "basic":
			d.forClient("It requires a user name and a password (Basic)" + realm(c) + ".")
		default:
			d.forClient(fmt.Sprintf("It requires %s%s, for which a proxy URL is not enough: use a local helper such as cntlm or px.", c.scheme, realm(c)))
		}
	}
}

// explainProxyCredentials explains that a proxy did not accept the credentials in its URL, which are always sent as Basic.
func explainProxyCredentials(all []challenge, d *Diagnosis) {
	const refused = "The proxy between the client and the server did not accept the credentials in its URL"
	var offered []string
	for _, c := range all {
		offered = append(offered, c.scheme)
	}
	isBasic := func(scheme string) bool { return equalFold(scheme, "Basic") }
	switch {
	case len(offered) == 0:
		d.Cause = refused + ". It names no scheme that it accepts."
	case !slices.ContainsFunc(offered, isBasic):
		d.Cause = fmt.Sprintf("%s: they were sent as Basic, and it accepts only %s.", refused, strings.Join(offered, ", "))
		d.ForClient = []string{"Name this host in NO_PROXY if it can be reached without the proxy."}
		return
	default:
		d.Cause = fmt.Sprintf("%s: the user or the password is wrong, or not allowed. It accepts %s.", refused, strings.Join(offered, ", "))
	}
	d.ForClient = []string{"Check both. In a URL, characters such as @ : / % are percent-encoded: @ is %40. Or name this host in NO_PROXY."}
}

// realm returns " for the realm" and the realm of a challenge (RFC 9110 §11.5), or "" if the challenge has none.
func realm(c challenge) string {
	if v := c.param("realm"); v != "" {
		return fmt.Sprintf(" for the realm %q", v)
	}
	return ""
}

// requestedCredential describes the credential that a challenge requests. given means that the request contained a credential.
func requestedCredential(c challenge, given bool) string {
	switch strings.ToLower(c.scheme) {
	case "bearer":
		return bearerError(c, given)
	case "basic":
		return "Basic" + realm(c) + ": a user name and a password: --basic NAME:PASSWORD. A web page cannot set them for a WebSocket; " +
			"the browser sends them only if the user has entered them for a page of this host before."
	case "digest":
		return "Digest" + realm(c) + ": a user name and a password, sent as a hash. No browser supports this for a WebSocket."
	case "negotiate", "ntlm", "kerberos":
		return c.scheme + ": the account of the operating system (Kerberos or NTLM). It requires several requests on one connection, but a " +
			"WebSocket handshake is a single request: log in on a page first and use its cookie."
	case "apikey", "api-key":
		return c.scheme + realm(c) + ": a key issued by the server's owner, in the header that its documentation names: " +
			"--api-key KEY --api-key-header NAME."
	}
	return fmt.Sprintf("%s%s: a scheme that this program does not know; see the server's documentation.", c.scheme, realm(c))
}

// bearerError describes the token that a Bearer challenge requests, and explains the challenge's error code (RFC 6750 §3.1).
func bearerError(c challenge, given bool) string {
	s := "Bearer" + realm(c) + ": a token: Authorization: Bearer TOKEN, here --bearer TOKEN."
	switch e := c.param("error"); {
	case e == "" && given: // a server need not report the reason
		s += " It names no error, so whether the server received the token is unknown."
	case e == "":
		s += " It names no error: the server received no token."
	case e == "invalid_token":
		s += " invalid_token: the token is expired, revoked, malformed, or issued for another audience; get a new one."
	case e == "insufficient_scope":
		s += " insufficient_scope: the token is valid but does not allow this; request one with the named scope."
	case e == "invalid_request":
		s += " invalid_request: the request holds the token twice, in the wrong place or malformed."
	default:
		s += fmt.Sprintf(" It names the error %q.", e)
	}
	if v := c.param("error_description"); v != "" {
		s += fmt.Sprintf(" The server says: %q.", v)
	}
	if v := c.param("scope"); v != "" {
		s += fmt.Sprintf(" Scope: %q.", v)
	}
	return s
}
