package faults

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Response codes of the DNS server (RFC 1035 §4.1.1).
const (
	rcodeNone     = 0
	rcodeServer   = 2 // SERVFAIL
	rcodeNotFound = 3 // NXDOMAIN
	rcodeRefused  = 5
)

// Types of records (RFC 1035 §3.2.2, RFC 3596 §2.1).
const (
	typeA    = 1
	typeAAAA = 28
)

// zone is a name server on the loopback interface that knows one name.
type zone struct {
	name  string // without the trailing dot
	addrs []netip.Addr
	rcode byte // of the response to a question for any other name
}

// resolver serves z and returns a resolver that queries only it.
func (l *lab) resolver(z zone) (*net.Resolver, error) {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.keep(pc)
	l.wg.Go(func() {
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if a := z.answer(buf[:n]); a != nil {
				pc.WriteTo(a, from) //nolint:errcheck // if the answer is lost, the resolver asks again
			}
		}
	})
	server := pc.LocalAddr().String()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: serverTimeout}
		return d.DialContext(ctx, "udp4", server)
	}}, nil
}

// answer returns the response to a message with one question, and nil for anything else.
func (z zone) answer(q []byte) []byte {
	const header = 12
	if len(q) < header || binary.BigEndian.Uint16(q[4:]) != 1 {
		return nil
	}
	end := bytes.IndexByte(q[header:], 0)
	if end < 0 || len(q) < header+end+5 {
		return nil
	}
	question := q[header : header+end+5]
	kind := binary.BigEndian.Uint16(question[end+1:])
	a := append([]byte{}, q[:2]...)
	a = append(a, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0) // a response, recursion available, one question
	a = append(a, question...)
	if !strings.EqualFold(labels(question[:end]), z.name) {
		a[3] |= z.rcode
		return a
	}
	for _, addr := range z.addrs {
		if (kind == typeA) != addr.Is4() || kind != typeA && kind != typeAAAA {
			continue
		}
		a = append(a, 0xc0, header, 0, byte(kind), 0, 1) // a pointer to the name in the question; class IN
		a = binary.BigEndian.AppendUint32(a, uint32(time.Minute/time.Second))
		a = binary.BigEndian.AppendUint16(a, uint16(addr.BitLen()/8))
		a = append(a, addr.AsSlice()...)
		a[7]++ // ANCOUNT
	}
	return a
}

// labels converts a name from the wire format to dotted form.
func labels(b []byte) string {
	var parts []string
	for len(b) > 0 {
		n := int(b[0])
		if n >= len(b) {
			return ""
		}
		parts = append(parts, string(b[1:1+n]))
		b = b[1+n:]
	}
	return strings.Join(parts, ".")
}
