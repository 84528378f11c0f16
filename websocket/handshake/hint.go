package handshake

import (
	"net/http"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// StatusHint returns the next step after a response with a status other than 101.
func StatusHint(a *Response) string {
	switch s := a.Status; s {
	case http.StatusOK, http.StatusNoContent:
		return "the server responds, but not as a WebSocket server: check the path; if the path is correct, " + proxyHint
	case http.StatusBadRequest:
		return "the server treated the request as plain HTTP, or a header is wrong: the body may say which; perhaps " +
			proxyHint
	case http.StatusUnauthorized:
		return "the server requires credentials: an Authorization header, or a user and a password in the URL" + challenge(a.Header)
	case http.StatusForbidden:
		return "the server rejects this client: often its Origin is not allowed, " +
			"or its credentials do not permit the connection"
	case http.StatusNotFound:
		return "there is no WebSocket at this path: check the path and the host name"
	case http.StatusMethodNotAllowed:
		return "the server does not allow GET at this path: check the path"
	case http.StatusProxyAuthRequired:
		return "the proxy requires credentials: put them in its URL"
	case http.StatusUpgradeRequired:
		if v := a.Header[fieldVersion]; len(v) > 0 && !strings.Contains(strings.Join(v, ","), "13") {
			return "the server does not speak version 13 of the protocol, the only one in use"
		}
		return "the server did not receive an upgrade request: " + proxyHint
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		state := "the server is busy"
		if s == http.StatusServiceUnavailable {
			state += ", or is shutting down"
		}
		if len(a.Header["Retry-After"]) > 0 {
			return state + ": try again after the time in its Retry-After header"
		}
		return state + ": try again later"
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return "a proxy responded in place of the server: the server behind it is down or cannot be reached"
	default:
		switch {
		case s >= 300 && s < 400:
			return HintClientRedirects
		case s >= 500:
			return "the server failed: check its log"
		}
	}
	return ""
}

// challenge returns the schemes in a WWW-Authenticate header, without their parameters.
func challenge(h http.Header) string {
	var schemes []string
	for _, line := range h["Www-Authenticate"] {
		if scheme, _, _ := strings.Cut(line, " "); header.IsToken(scheme) {
			schemes = append(schemes, scheme)
		}
	}
	if len(schemes) == 0 {
		return ""
	}
	return " (" + strings.Join(schemes, ", ") + ")"
}
