package handshake

import "github.com/handfast/handfast/websocket/internal/header"

// scanner scans one header line.
type scanner struct {
	s   string
	pos int
}

func (s *scanner) atEnd() bool { return s.pos == len(s.s) }

// skipSpace skips spaces and tabs.
func (s *scanner) skipSpace() {
	for s.pos < len(s.s) && (s.s[s.pos] == ' ' || s.s[s.pos] == '\t') {
		s.pos++
	}
}

// consume skips c, and reports whether it was the next character.
func (s *scanner) consume(c byte) bool {
	if s.pos < len(s.s) && s.s[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// token returns the next token, or "" if there is none.
func (s *scanner) token() string {
	start := s.pos
	for s.pos < len(s.s) && header.IsTokenByte(s.s[s.pos]) {
		s.pos++
	}
	return s.s[start:s.pos]
}

// quoted returns the content of the next quoted string (RFC 9110 §5.6.4).
func (s *scanner) quoted() (string, bool) {
	if !s.consume('"') {
		return "", false
	}
	var b []byte
	for s.pos < len(s.s) {
		c := s.s[s.pos]
		s.pos++
		switch {
		case c == '"':
			return string(b), true
		case c == '\\':
			if s.pos == len(s.s) {
				return "", false
			}
			c = s.s[s.pos]
			s.pos++
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", false
		}
		b = append(b, c)
	}
	return "", false
}
