package handshake

import (
	"strconv"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// authority contains a host in lower case, with an IPv6 address in brackets, and a port without leading zeros. The port is "" if it is
// missing.
type authority struct{ host, port string }

// parseAuthority parses host[:port] as in a Host header or an origin: without user information, and with nothing after the port.
func parseAuthority(s string) (authority, bool) {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || !validIPv6(s[1:end]) {
			return authority{}, false
		}
		if host, port = s[:end+1], s[end+1:]; port != "" && port[0] != ':' {
			return authority{}, false
		}
	} else {
		if i := strings.IndexByte(s, ':'); i >= 0 {
			host, port = s[:i], s[i:]
		}
		if !validName(host) {
			return authority{}, false
		}
	}
	if port = strings.TrimPrefix(port, ":"); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return authority{}, false
		}
		if port[0] == '0' {
			port = strconv.FormatUint(n, 10)
		}
	}
	return authority{header.Lower(host), port}, true
}

// validName reports whether s may be a host name or an IPv4 address: a reg-name of RFC 3986 §3.2.2 without sub-delims, which no
// name in use contains.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if lc := c | 0x20; 'a' <= lc && lc <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~%", c) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}

// validIPv6 reports whether s contains only characters of an IPv6 address, including those of a zone ("%25eth0").
func validIPv6(s string) bool {
	for i := range len(s) {
		if strings.IndexByte("0123456789abcdefABCDEF:.", s[i]) >= 0 {
			continue
		}
		return i > 2 && s[i] == '%' && validName(s[i:])
	}
	return strings.Contains(s, ":")
}
