// Package proxyproto reads the header of the PROXY protocol, versions 1 and 2, in which a proxy that forwards bytes sends the
// client's address: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, called "the specification" below.
//
// The header lets its sender claim any address, so read it only from trusted proxies.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// Header is the content of a header.
type Header struct {
	// Source and Destination are the addresses of the connection that the proxy accepted. They are the zero AddrPort if the header
	// has no IP addresses, as for the proxy's own health checks. Then the addresses of the connection itself apply.
	Source, Destination netip.AddrPort
}

// MaxBytes is the maximum size of a header: a header of version 1 has at most 107 bytes, and in version 2 MaxBytes limits the stated
// length. The specification allows 64 KiB; addresses and the TLVs of known proxies need only a small part of that.
const MaxBytes = 4 << 10

const (
	maxV1       = 107 // specification, §2.1: the longest line, including its end
	signature   = "\r\n\r\n\x00\r\nQUIT\n"
	headerLenV2 = 16 // the bytes of version 2 before the addresses
)

// ErrMissing indicates that the first bytes are not a header of the PROXY protocol.
var ErrMissing = errors.New("proxyproto: the connection does not begin with a PROXY header")

// Read reads one header from r, and no byte after it. It can block as long as r does, so r should have a deadline. Errors of r are
// wrapped; errors do not contain the bytes of a header.
func Read(r io.Reader) (Header, error) {
	// Every header is longer than the signature of version 2.
	var room [maxV1]byte
	start := room[:len(signature)]
	if _, err := io.ReadFull(r, start); err != nil {
		return Header{}, fmt.Errorf("proxyproto: read the header: %w", err)
	}
	switch {
	case string(start) == signature:
		return readV2(r)
	case bytes.HasPrefix(start, []byte("PROXY ")):
		return readV1(r, &room)
	}
	return Header{}, ErrMissing
}

// readV1 reads the rest of a line; room already contains as many bytes as the signature. It reads single bytes, because the bytes
// after the line belong to the next reader.
func readV1(r io.Reader, room *[maxV1]byte) (Header, error) {
	for n := len(signature); n < maxV1; n++ {
		if _, err := io.ReadFull(r, room[n:n+1]); err != nil {
			return Header{}, fmt.Errorf("proxyproto: read the header: %w", err)
		}
		if room[n] == '\n' {
			if room[n-1] != '\r' {
				return Header{}, errV1("the line does not end with CR LF")
			}
			return parseV1(string(room[:n-1]))
		}
	}
	return Header{}, errV1("the line is longer than 107 bytes")
}

func errV1(what string) error { return errors.New("proxyproto: invalid header of version 1: " + what) }

// parseV1 parses a line (specification, §2.1).
func parseV1(line string) (Header, error) {
	fields := strings.Split(line, " ")
	if len(fields) >= 2 && fields[1] == "UNKNOWN" {
		return Header{}, nil // the rest of the line must be ignored
	}
	if len(fields) != 6 {
		return Header{}, errV1("there are not six fields")
	}
	four := fields[1] == "TCP4"
	if !four && fields[1] != "TCP6" {
		return Header{}, errV1("the protocol is not TCP4, TCP6 or UNKNOWN")
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		addr, err := netip.ParseAddr(fields[2+i])
		if err != nil || addr.Zone() != "" || addr.Is4() != four {
			return Header{}, errV1("an address does not match the protocol")
		}
		port, err := strconv.ParseUint(fields[4+i], 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != fields[4+i] {
			return Header{}, errV1("a port is not a number from 0 to 65535")
		}
		ends[i] = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	}
	return Header{ends[0], ends[1]}, nil
}

func errV2(what string) error { return errors.New("proxyproto: invalid header of version 2: " + what) }

// readV2 reads the part after the signature (specification, §2.2).
func readV2(r io.Reader) (Header, error) {
	var head [headerLenV2 - len(signature)]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Header{}, fmt.Errorf("proxyproto: read the header: %w", err)
	}
	length := int(binary.BigEndian.Uint16(head[2:]))
	if length > MaxBytes-headerLenV2 {
		return Header{}, errV2("the header is longer than " + strconv.Itoa(MaxBytes) + " bytes")
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return Header{}, fmt.Errorf("proxyproto: read the header: %w", err)
	}
	if head[0]>>4 != 2 {
		return Header{}, errV2("the version is not supported")
	}
	switch head[0] & 15 {
	case 0: // LOCAL: from the proxy itself, such as a health check; the addresses must be ignored
		return Header{}, nil
	case 1: // PROXY
	default:
		return Header{}, errV2("the command is unknown")
	}
	h, tlvs, err := parseV2(head[1], rest)
	if err != nil {
		return Header{}, err
	}
	if err := checkSum(append(head[:], rest...), len(head)+tlvs); err != nil {
		return Header{}, err
	}
	return h, nil
}

// The checksum is the only TLV after the addresses that is used (specification, §2.2.3).
const (
	typeCRC32C = 0x03
	tlvHead    = 3 // bytes for type and length
)

// checkSum verifies the checksum of a header, if there is one. The parameter header excludes the signature, and its TLVs begin at offset
// at. "The receiver MUST verify the checksum" (specification, §2.2.3).
func checkSum(header []byte, at int) error {
	for at+tlvHead <= len(header) {
		length := int(binary.BigEndian.Uint16(header[at+1:]))
		value := at + tlvHead
		if value+length > len(header) {
			break
		}
		if header[at] == typeCRC32C {
			if length != crc32.Size {
				return errV2("the checksum has the wrong length")
			}
			said := binary.BigEndian.Uint32(header[value:])
			clear(header[value : value+length]) // the checksum field itself counts as zero
			castagnoli := crc32.MakeTable(crc32.Castagnoli)
			if crc32.Update(crc32.Checksum([]byte(signature), castagnoli), castagnoli, header) != said {
				return errV2("the checksum is wrong")
			}
			return nil
		}
		at = value + length
	}
	if at != len(header) {
		return errV2("the TLVs are truncated")
	}
	return nil
}

// parseV2 parses the addresses, and returns the offset of the TLVs.
func parseV2(family byte, b []byte) (h Header, tlvs int, err error) {
	size := 0
	switch family {
	case 0x11: // TCP over IPv4
		size = 4
	case 0x21: // TCP over IPv6
		size = 16
	case 0x00, 0x31, 0x32: // unspecified, and Unix sockets: no IP addresses
		return Header{}, len(b), nil
	default:
		return Header{}, 0, errV2("the family and protocol are not those of a TCP connection")
	}
	if len(b) < 2*size+4 {
		return Header{}, 0, errV2("the addresses are truncated")
	}
	end := func(i int) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(b[i*size : (i+1)*size]) // it cannot fail for 4 or 16 bytes
		return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(b[2*size+2*i:]))
	}
	return Header{end(0), end(1)}, 2*size + 4, nil
}
