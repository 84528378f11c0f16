package auth

import (
	"errors"
	"net/http"
	"strings"
)

// maxToken limits a token from any place, in bytes: a longer one is refused before it is parsed.
const maxToken = 16 << 10

// Source is a place in a request where a token may be: [Bearer], [Header], [Cookie], [Subprotocol],
// [KubernetesSubprotocol], [Query].
// It may be used by multiple goroutines concurrently.
type Source struct {
	find   func(r *http.Request) (string, error)
	scheme string // scheme of the challenge, with all parameters except the realm
}

// Token returns the token in a request. The error is ErrNoCredentials, or an [*Error] if the value cannot be a token, or there is
// more than one.
func (s Source) Token(r *http.Request) (string, error) {
	if s.find == nil {
		return "", ErrNoCredentials
	}
	token, err := s.find(r)
	if err == nil && len(token) > maxToken {
		err = errLongToken
	}
	if err == nil {
		return token, nil
	}
	if _, ok := errors.AsType[*Error](err); ok || errors.Is(err, ErrNoCredentials) {
		return "", err
	}
	return "", Unauthorized(err, s.scheme)
}

var (
	errLongToken  = errors.New("the token is longer than 16 KiB")
	errTwoTokens  = errors.New("the request has more than one token")
	errNotBearer  = errors.New("the Authorization field has the Bearer scheme without a token (RFC 6750 §2.1)")
	errNotToken   = errors.New("the header field for the token does not contain a token")
	errEmptyToken = errors.New("the token is empty")
)

// Bearer finds a token in the Authorization field (RFC 6750 §2.1), which programs use; a browser cannot set it. A field with
// another scheme is left to the next method.
func Bearer() Source { return Source{find: bearer, scheme: "Bearer"} }

func bearer(r *http.Request) (string, error) {
	lines := r.Header["Authorization"]
	if len(lines) > 1 { // RFC 9110 §11.6.2: the field has one value
		return "", errTwoTokens
	}
	if len(lines) == 0 {
		return "", ErrNoCredentials
	}
	return parseBearer(lines[0])
}

// parseBearer returns the token in an Authorization field.
func parseBearer(field string) (string, error) {
	scheme, rest, _ := strings.Cut(field, " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110 §11.1: scheme names ignore case
		return "", ErrNoCredentials
	}
	token := strings.Trim(rest, " ")
	if len(token) > maxToken {
		return "", errLongToken
	}
	if !token68(token) {
		return "", errNotBearer
	}
	return token, nil
}

// token68 reports whether s has the form of a token in an Authorization field (RFC 9110 §11.2, RFC 6750 §2.1).
func token68(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		switch c := body[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return body != ""
}

// Header finds a token that is the whole value of a field. Use it if a proxy in front of this server adds the token, such as a
// balancer that signs the client's identity.
func Header(name string) Source {
	name = http.CanonicalHeaderKey(name)
	return Source{scheme: "Bearer", find: func(r *http.Request) (string, error) {
		lines := r.Header[name]
		switch {
		case len(lines) == 0:
			return "", ErrNoCredentials
		case len(lines) > 1:
			return "", errTwoTokens
		case len(lines[0]) <= maxToken && !token68(lines[0]):
			return "", errNotToken
		}
		return lines[0], nil
	}}
}

// Query finds a token in a query parameter of the URL, where a browser can put it. URLs are logged by proxies and kept in the
// browser's history, including the token: use it only for tokens that expire within a minute, or better use a ticket, which is
// valid only once.
func Query(parameter string) Source {
	return Source{scheme: "Bearer", find: func(r *http.Request) (string, error) {
		if r.URL == nil || !strings.Contains(r.URL.RawQuery, parameter) {
			return "", ErrNoCredentials
		}
		values := r.URL.Query()[parameter]
		switch {
		case len(values) == 0:
			return "", ErrNoCredentials
		case len(values) > 1:
			return "", errTwoTokens
		case values[0] == "":
			return "", errEmptyToken
		}
		return values[0], nil
	}}
}
