package proxy

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// The PROXY protocol: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, called "the text" below.

// appendProxyV1 appends the line of version 1 (the text, §2.1).
func appendProxyV1(dst []byte, from, to netip.AddrPort, known bool) []byte {
	if !known {
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	family := "TCP6"
	if from.Addr().Is4() {
		family = "TCP4"
	}
	return fmt.Appendf(dst, "PROXY %s %s %s %d %d\r\n", family, formatAddr(from.Addr()), formatAddr(to.Addr()), from.Port(), to.Port())
}

// formatAddr formats an address without the dotted form of IPv6, which some parsers of version 1 do not accept.
func formatAddr(a netip.Addr) string {
	if !a.Is4In6() {
		return a.String()
	}
	b := a.As16()
	return fmt.Sprintf("::ffff:%x:%x", binary.BigEndian.Uint16(b[12:]), binary.BigEndian.Uint16(b[14:]))
}

// appendProxyV2 appends the header of version 2 (the text, §2.2). For an unknown client it has the command LOCAL, with which the
// receiver uses the real addresses of the connection.
func appendProxyV2(dst []byte, from, to netip.AddrPort, known bool) []byte {
	dst = append(dst, "\r\n\r\n\x00\r\nQUIT\n"...)
	if !known {
		return append(dst, 0x20, 0, 0, 0)
	}
	family, size := byte(0x21), 36 // TCP over IPv6
	if from.Addr().Is4() {
		family, size = 0x11, 12
	}
	dst = append(dst, 0x21, family, 0, byte(size))
	dst = append(dst, from.Addr().AsSlice()...)
	dst = append(dst, to.Addr().AsSlice()...)
	dst = binary.BigEndian.AppendUint16(dst, from.Port())
	return binary.BigEndian.AppendUint16(dst, to.Port())
}
