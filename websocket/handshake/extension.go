package handshake

import (
	"errors"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// The limits of an extension list. Real peers offer at most four extensions. Without a limit, the slices for a header of one megabyte of
// commas would occupy twenty megabytes.
const (
	maxExtensions = 32
	maxParams     = 16
)

// Extension is one element of a Sec-WebSocket-Extensions header (RFC 6455 §9.1).
type Extension struct {
	Name   string  // a token, such as DeflateName
	Params []Param // in order
}

// Param is a parameter of an extension.
//
// For a parameter "name=" without a value HasValue is true and Value is empty. The grammar does not allow that, but RFC 7692 §7
// requires that an offer whose parameter has an invalid value is declined, so the decision is left to the caller.
type Param struct {
	Name     string // a token
	Value    string // a token, without its quotes
	HasValue bool   // the parameter contains an equals sign
}

// ParseExtensions parses the lines of a Sec-WebSocket-Extensions header. An error means that the lines violate the grammar, so that the
// handshake must fail (RFC 6455 §9.1). The error does not quote the header.
func ParseExtensions(lines []string) ([]Extension, error) { return new(extensionList).parse(lines) }

// extensionList contains reusable memory for the result of ParseExtensions. The zero value is ready to use.
type extensionList struct {
	list   []Extension
	params []Param
}

// parse is like [ParseExtensions], but uses the list's own memory: the result is valid until the next parse.
func (l *extensionList) parse(lines []string) ([]Extension, error) {
	l.list, l.params = l.list[:0], l.params[:0]
	for _, line := range lines {
		s := scanner{s: line}
		for {
			s.skipSpace()
			if s.consume(',') { // an empty element
				continue
			}
			if s.atEnd() {
				break
			}
			if len(l.list) == maxExtensions {
				return nil, errors.New("more than 32 extensions")
			}
			e, err := l.extension(&s)
			if err != nil {
				return nil, err
			}
			l.list = append(l.list, e)
			if !s.consume(',') && !s.atEnd() {
				return nil, errors.New("an extension that is not followed by a comma or a semicolon")
			}
		}
	}
	if len(l.list) == 0 {
		return nil, errors.New("no extension in the list")
	}
	return l.list, nil
}

// clear removes all references from the list's memory.
func (l *extensionList) clear() {
	clear(l.list[:cap(l.list)])
	clear(l.params[:cap(l.params)])
}

// extension parses a name and its parameters, up to a comma or the end of the line.
func (l *extensionList) extension(s *scanner) (Extension, error) {
	e := Extension{Name: s.token()}
	if e.Name == "" {
		return e, errors.New("an extension without a name")
	}
	first := len(l.params)
	for s.skipSpace(); s.consume(';'); s.skipSpace() {
		if len(l.params)-first == maxParams {
			return e, errors.New("more than 16 parameters")
		}
		s.skipSpace()
		p := Param{Name: s.token()}
		if p.Name == "" {
			return e, errors.New("a semicolon without a parameter after it")
		}
		// The grammar includes the "implied *LWS" rule of RFC 2616: spaces are allowed around "=" too.
		if s.skipSpace(); s.consume('=') {
			s.skipSpace()
			var err error
			if p.Value, err = s.value(); err != nil {
				return e, err
			}
			p.HasValue = true
		}
		l.params = append(l.params, p)
	}
	if n := len(l.params); n > first {
		e.Params = l.params[first:n:n]
	}
	return e, nil
}

// value parses a token, or a quoted string that contains one.
func (s *scanner) value() (string, error) {
	if s.pos == len(s.s) || s.s[s.pos] != '"' {
		return s.token(), nil
	}
	v, ok := s.quoted()
	if !ok {
		return "", errors.New("a quoted value without a closing quote")
	}
	if !header.IsToken(v) { // RFC 6455 §4.3, §9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF"
		return "", errors.New("a quoted value that is not a token")
	}
	return v, nil
}

// String formats e for a header.
func (e Extension) String() string {
	var b strings.Builder
	b.WriteString(e.Name)
	for _, p := range e.Params {
		b.WriteString("; ")
		b.WriteString(p.Name)
		if p.HasValue {
			b.WriteByte('=')
			b.WriteString(p.Value)
		}
	}
	return b.String()
}

// FormatExtensions formats list as one header value.
func FormatExtensions(list []Extension) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = e.String()
	}
	return strings.Join(parts, ", ")
}
