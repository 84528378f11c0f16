package explain

import (
	"encoding/binary"
	"net"
	"strings"
	"sync"
)

// The codes of a DNS response (RFC 1035 §4.1.1).
const (
	rcodeNone     = 0
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeRefused  = 5
)

// dnsAnswers records the codes of the responses of name servers for one name: package net does not distinguish a name that does not
// exist from one without addresses, and may report the last name of the search list instead of the requested one.
type dnsAnswers struct {
	name string // without the trailing dot, in lower case

	mu    sync.Mutex
	codes map[int]bool
}

// dnsConn is a connection to a name server. It has to remain a *net.UDPConn, by which package net distinguishes datagrams from a
// stream.
type dnsConn struct {
	*net.UDPConn
	answers *dnsAnswers
}

func (c *dnsConn) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	c.answers.addCode(b[:n])
	return n, err
}

// observe returns c. If it carries datagrams, the codes of its responses are recorded.
func (a *dnsAnswers) observe(c net.Conn) net.Conn {
	if udp, ok := c.(*net.UDPConn); ok && a != nil {
		return &dnsConn{udp, a}
	}
	return c
}

// addCode records the code of a message that answers the question for the name.
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

// questionName returns the name at the beginning of b in dotted form, in lower case; "" if it is incomplete.
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
