package handshake

import "github.com/handfast/handfast/websocket/internal/header"

// scanner scans one header line.
type scanner struct {
	s string
	i int
}

func (s *scanner) done() bool { return s.i == len(s.s) }

// space skips spaces and tabs.
func (s *scanner) space() {
	for s.i < len(s.s) && (s.s[s.i] == ' ' || s.s[s.i] == '\t') {
		s.i++
	}
}

// take skips c, and reports whether it was the next character.
func (s *scanner) take(c byte) bool {
	if s.i < len(s.s) && s.s[s.i] == c {
		s.i++
		return true
	}
	return false
}

// token returns the next token, or "" if there is none.
func (s *scanner) token() string {
	start := s.i
	for s.i < len(s.s) && header.IsTokenByte(s.s[s.i]) {
		s.i++
	}
	return s.s[start:s.i]
}

// quoted returns the content of the next quoted string (RFC 9110 §5.6.4).
func (s *scanner) quoted() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	var b []byte
	for s.i < len(s.s) {
		c := s.s[s.i]
		s.i++
		switch {
		case c == '"':
			return string(b), true
		case c == '\\':
			if s.i == len(s.s) {
				return "", false
			}
			c = s.s[s.i]
			s.i++
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", false
		}
		b = append(b, c)
	}
	return "", false
}
