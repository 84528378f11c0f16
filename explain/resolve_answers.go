package explain

import (
	"encoding/binary"
	"net"
	"strings"
	"sync"
)

// Response codes of DNS (RFC 1035 §4.1.1).
const (
	rcodeNone     = 0
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeRefused  = 5
)

// dnsAnswers records the response codes of name servers for one name. The errors of package net do not suffice: they do not distinguish a
// name that does not exist from a name without addresses, and may be about the last name of the search list.
type dnsAnswers struct {
	name string // the name in lower case, without the trailing dot

	mu    sync.Mutex
	codes map[int]bool
}

// dnsConn is a connection to a name server. It embeds *net.UDPConn, because package net treats connections that are not a net.PacketConn
// as streams.
type dnsConn struct {
	*net.UDPConn
	answers *dnsAnswers
}

func (c *dnsConn) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	c.answers.addCode(b[:n])
	return n, err
}

// observe returns a connection like c. If c is a UDP connection, the codes of responses are recorded.
func (a *dnsAnswers) observe(c net.Conn) net.Conn {
	if udp, ok := c.(*net.UDPConn); ok && a != nil {
		return &dnsConn{udp, a}
	}
	return c
}

// addCode records the code of a DNS message if it is a response to a question about the name.
func (a *dnsAnswers) addCode(b []byte) {
	const header = 12
	if len(b) <= header || b[2]&0x80 == 0 || binary.BigEndian.Uint16(b[4:]) != 1 || questionName(b[header:]) != a.name {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.codes == nil {
		a.codes = map[int]bool{}
	}
	a.codes[int(b[3]&0xf)] = true
}

// hasCode reports whether any response had this code.
func (a *dnsAnswers) hasCode(code int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.codes[code]
}

// questionName returns the name at the beginning of b in dotted form and lower case, or "" if the name is incomplete.
func questionName(b []byte) string {
	var parts []string
	for len(b) > 0 && b[0] != 0 {
		n := int(b[0])
		if n > 63 || n >= len(b) {
			return ""
		}
		parts = append(parts, string(b[1:1+n]))
		b = b[1+n:]
	}
	if len(b) == 0 {
		return ""
	}
	return strings.ToLower(strings.Join(parts, "."))
}
