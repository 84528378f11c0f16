package auth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/redact"
)

var errNotBase64 = errors.New("the token in the list of subprotocols is not base64url without padding")

// Subprotocol finds a token in the list of subprotocols, where a page in a browser can put it. The source for
//
//	new WebSocket(url, ["chat", "handfast.token." + jwt])
//
// is Subprotocol("handfast.token."). The entry with the prefix is not a protocol, and the server must not choose it: it is not in
// [websocket.AcceptOptions.Subprotocols], and so it is never sent back. Therefore a page has to offer a real protocol as well,
// which the server then chooses: a browser that has offered subprotocols fails the connection if the server chooses none (RFC 6455
// §4.1). Programs are less strict.
//
// The part after the prefix may consist of letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 §5.6.2), as a JWT does. It must not be
// empty, and neither must the prefix: otherwise every protocol would be a token.
func Subprotocol(prefix string) Source {
	return Source{scheme: "Bearer", find: func(r *http.Request) (string, error) {
		if prefix == "" {
			return "", ErrNoCredentials
		}
		return offered(r.Header["Sec-Websocket-Protocol"], prefix)
	}}
}

// KubernetesSubprotocol is [Subprotocol] in the form that Kubernetes uses: the prefix "base64url.bearer.authorization.k8s.io.", and
// the token in base64url without padding. It can carry any token, not only those with characters allowed in the name of a protocol.
func KubernetesSubprotocol() Source {
	return Source{scheme: "Bearer", find: func(r *http.Request) (string, error) {
		s, err := offered(r.Header["Sec-Websocket-Protocol"], redact.KubernetesPrefix)
		if err != nil {
			return "", err
		}
		token, err := base64.RawURLEncoding.Strict().DecodeString(s)
		// The decoder skips CR and LF; the error has no further information.
		if err != nil || !utf8.Valid(token) || strings.ContainsAny(s, "\r\n") {
			return "", errNotBase64
		}
		return string(token), nil
	}}
}

// offered returns the part after the prefix of the only entry in a list of subprotocols that has the prefix. The list may be spread
// over several lines (RFC 6455 §11.3.4); it must not contain quoted strings, so that every comma ends an entry.
func offered(lines []string, prefix string) (string, error) {
	found := ""
	for _, line := range lines {
		for entry := range strings.SplitSeq(line, ",") {
			token, ok := strings.CutPrefix(strings.Trim(entry, " \t"), prefix)
			switch {
			case !ok:
			case token == "":
				return "", errEmptyToken
			case found != "":
				return "", errTwoTokens
			case len(token) > 2*maxToken: // base64 makes a token a third longer
				return "", errLongToken
			default:
				found = token
			}
		}
	}
	if found == "" {
		return "", ErrNoCredentials
	}
	return found, nil
}
