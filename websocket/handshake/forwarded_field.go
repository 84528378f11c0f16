package handshake

import (
	"errors"

	"github.com/handfast/handfast/websocket/internal/header"
)

// maxHops limits a Forwarded list, as maxExtensions limits an extension list.
const maxHops = 32

// hop describes the request that one proxy received (RFC 7239 §4). Unknown fields are "".
type hop struct {
	For   string // the sender: an address, optionally with a port, or an obfuscated name
	Proto string // the scheme
	Host  string // the Host header
}

// parseForwarded parses the lines of a Forwarded header, and returns the farthest hop first. An error describes the violation of
// the grammar without quoting the header.
func parseForwarded(lines []string) ([]hop, error) {
	var hops []hop
	for _, line := range lines {
		s := scanner{s: line}
		for !s.atEnd() {
			if s.skipSpace(); s.atEnd() || s.consume(',') {
				continue
			}
			if len(hops) == maxHops {
				return nil, errors.New("more than 32 hops")
			}
			h, err := s.hop()
			if err != nil {
				return nil, err
			}
			hops = append(hops, h)
			if !s.consume(',') && !s.atEnd() {
				return nil, errors.New("a pair that is not followed by a comma or a semicolon")
			}
		}
	}
	return hops, nil
}

// hop parses pairs up to a comma or the end of the line.
func (s *scanner) hop() (hop, error) {
	var h hop
	for {
		s.skipSpace()
		if name := s.token(); name != "" { // a pair may be empty: ";;"
			if !s.consume('=') {
				return h, errors.New("a name without a value")
			}
			v := s.token()
			if v == "" {
				var ok bool
				if v, ok = s.quoted(); !ok {
					return h, errors.New("a value that is neither a token nor a quoted string")
				}
			}
			field := h.field(name)
			if field != nil {
				if *field != "" { // RFC 7239 §4: "each parameter MUST NOT occur more than once per field-value"
					return h, errors.New("a name that occurs twice in one hop")
				}
				*field = v
			}
		}
		s.skipSpace()
		if !s.consume(';') {
			return h, nil
		}
	}
}

func (h *hop) field(name string) *string {
	switch header.Lower(name) {
	case "for":
		return &h.For
	case "proto":
		return &h.Proto
	case "host":
		return &h.Host
	}
	return nil
}
