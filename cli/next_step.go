package cli

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// optionSteps maps the hints of the library that name options of its API to hints that name flags.
var optionSteps = map[string]string{
	handshake.HintClientRootCAs: "pass the certificate of the CA that signed the server's with --cacert FILE; " +
		"for \"handfast serve\" on this machine, the flag is not necessary if the server runs as the same user",
	handshake.HintClientCertificate:  "the server rejected the connection: often it requires a client certificate (--cert, --key), or does not accept the one that was sent",
	handshake.HintClientServerName:   "the server's certificate is for another name: use that name in the URL",
	handshake.HintClientHeader:       "correct the headers given with -H; subprotocols are offered with --subprotocol",
	handshake.HintClientSubprotocols: "correct the values of --subprotocol: each must be one word, and must not be repeated",
	handshake.HintClientOffer:        "offer a subprotocol that the server speaks, with --subprotocol NAME",
	handshake.HintClientCompression:  "omit --compress",
	handshake.HintClientUncompressed: "the server's response to the offer of compression is not valid: omit --compress",
	handshake.HintClientProxy:        "check the environment variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
	handshake.HintClientDialContext:  "HTTP_PROXY and HTTPS_PROXY name HTTP proxies only; handfast dial takes a SOCKS5 proxy as --proxy socks5://HOST:PORT",
	handshake.HintClientRedirects:    "the server redirects to another URL: use that URL",
}

// sentInfo describes what a handshake has sent about the client.
type sentInfo struct {
	credentials []string // the places of the credentials, such as "Authorization header"
	origin      string
	flags       bool // whether the command has flags for credentials
}

// sentInfoOf returns the information that a handshake with these options sends.
func sentInfoOf(raw string, opts *websocket.DialOptions) *sentInfo {
	s := &sentInfo{origin: opts.Header.Get("Origin")}
	for name := range opts.Header {
		if redact.Name(name) {
			s.credentials = append(s.credentials, name+" header")
		}
	}
	slices.Sort(s.credentials)
	if u, err := url.Parse(raw); err == nil {
		if u.User != nil {
			s.credentials = append(s.credentials, "user and password of the URL")
		}
		for name := range u.Query() {
			if redact.Name(name) {
				s.credentials = append(s.credentials, name+" in the URL's query")
			}
		}
	}
	for _, name := range opts.Subprotocols {
		if _, ok := redact.Subprotocol(name); ok {
			s.credentials = append(s.credentials, "token in a subprotocol")
		}
	}
	if opts.TLS != nil && len(opts.TLS.Certificates) > 0 {
		s.credentials = append(s.credentials, "client certificate")
	}
	return s
}

// handshakeStep returns the next step after a failed handshake, in terms of flags and of the data that was sent.
func handshakeStep(e *websocket.HandshakeError, sent *sentInfo) string {
	switch {
	case e.Stage == handshake.StageStatus && e.Status == http.StatusUnauthorized:
		return unauthorizedStep(e, sent)
	case e.Stage == handshake.StageStatus && e.Status == http.StatusForbidden:
		return forbiddenStep(sent)
	}
	if step, ok := optionSteps[e.Hint]; ok {
		return step
	}
	if strings.Contains(e.Hint, "nginx") && hasReason(e) {
		return "the body of the response gives the reason"
	}
	return e.NextStep()
}

// hasReason reports whether the body of a response gives a reason: whether it is plain text, and contains more than the status.
func hasReason(e *websocket.HandshakeError) bool {
	if !strings.HasPrefix(strings.ToLower(e.Header.Get("Content-Type")), "text/plain") {
		return false
	}
	text := strings.ToLower(strings.TrimSpace(string(e.Body)))
	text = strings.TrimSpace(strings.TrimPrefix(text, strconv.Itoa(e.Status)))
	text = strings.Trim(strings.TrimPrefix(text, strings.ToLower(http.StatusText(e.Status))), " .:\r\n")
	return text != ""
}

// unauthorizedStep returns the next step after a 401.
func unauthorizedStep(e *websocket.HandshakeError, sent *sentInfo) string {
	var schemes []string
	for _, challenge := range e.Header.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(challenge, " ")
		schemes = append(schemes, strings.TrimSuffix(scheme, ","))
	}
	wanted := ""
	if len(schemes) > 0 {
		wanted = " (" + strings.Join(schemes, ", ") + ")"
	}
	if len(sent.credentials) > 0 {
		return "the server did not accept the credential that was sent (" + strings.Join(sent.credentials, ", ") +
			"): most likely it is wrong, expired or revoked, or not of the kind that the server requires" + wanted
	}
	return "no credential was sent, and the server requires one" + wanted + ": " + credentialOptions(schemes, sent.flags)
}

// schemeFlags are the flags that send a credential of each authentication scheme.
var schemeFlags = [...]struct{ scheme, flag string }{
	{"Bearer", "--bearer TOKEN"}, {"Basic", "--basic USER:PASSWORD"}, {"ApiKey", "--api-key KEY"},
}

// credentialOptions returns how a command can send a credential of the schemes that a server requires. flags means that the command has flags
// for credentials.
func credentialOptions(schemes []string, flags bool) string {
	if !flags {
		return `-H "Authorization: Bearer TOKEN", -H "Cookie: NAME=VALUE", user:password@ in the URL, or --cert FILE`
	}
	known, all := "", ""
	for _, f := range schemeFlags {
		all += f.flag + ", "
		if slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, f.scheme) }) {
			known += f.flag + ", "
		}
	}
	return cmp.Or(known, all) + `--cookie "NAME=VALUE", --cert FILE, or -H "NAME: VALUE" for another header`
}

// forbiddenStep returns the next step after a 403.
func forbiddenStep(sent *sentInfo) string {
	var reasons []string
	if sent.origin != "" {
		reasons = append(reasons, "the origin "+sent.origin+" may not be allowed (--origin)")
	}
	if len(sent.credentials) > 0 {
		reasons = append(reasons, "the credential ("+strings.Join(sent.credentials, ", ")+") may lack permission")
	} else {
		reasons = append(reasons, "no credential was sent")
	}
	if sent.origin == "" {
		reasons = append(reasons, "no Origin was sent, which some servers require (--origin https://example.com)")
	}
	return "the server rejects this client: " + strings.Join(reasons, "; ")
}
