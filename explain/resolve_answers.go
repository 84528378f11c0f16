package explain

import (
	"encoding/binary"
	"net"
	"strings"
	"sync"
)

// The codes of a DNS answer (RFC 1035 §4.1.1).
const (
	rcodeNone     = 0
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeRefused  = 5
)

// dnsAnswers keeps the codes of the answers that name servers gave about one name: package net reports a name that does not exist
// and one without addresses as the same, and may report the last name of the search list instead of the one that was asked for.
type dnsAnswers struct {
	name string // without the last dot, in small letters

	mu    sync.Mutex
	codes map[int]bool
}

// overheard is a connection to a name server. It has to stay a *net.UDPConn, by which package net tells datagrams from a stream.
type overheard struct {
	*net.UDPConn
	answers *dnsAnswers
}

func (c *overheard) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	c.answers.hear(b[:n])
	return n, err
}

// listen returns c, whose answers are kept if they are datagrams.
func (a *dnsAnswers) listen(c net.Conn) net.Conn {
	if udp, ok := c.(*net.UDPConn); ok && a != nil {
		return &overheard{udp, a}
	}
	return c
}

// hear keeps the code of a message that answers the question for the name.
func (a *dnsAnswers) hear(b []byte) {
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

// gave reports whether an answer had this code.
func (a *dnsAnswers) gave(code int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.codes[code]
}

// questionName returns the name at the beginning of b with dots, in small letters; "" when it is not whole.
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
