package redact

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxEntity limits the length of a character reference of HTML.
const maxEntity = 32

// Unescape decodes the escape sequence at the beginning of s, as in a URL (%61, +), in JSON or a script (\u0061, \x61, \/), or in
// HTML (&#97;, &amp;). It returns the decoded text and the length of the sequence, which is 0 if s does not begin with one.
func Unescape(s string) (text string, n int) {
	switch {
	case s == "":
	case s[0] == '+':
		return " ", 1
	case s[0] == '%' && len(s) > 2:
		if c, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
			return string([]byte{byte(c)}), 3
		}
	}
	return unescapeText(s)
}

// unescapeText does what [Unescape] does, for JSON, scripts and HTML only.
func unescapeText(s string) (text string, n int) {
	switch {
	case len(s) < 2:
	case s[0] == '\\':
		return unescapeJSON(s)
	case s[0] == '&':
		end := strings.IndexByte(s[:min(len(s), maxEntity)], ';') + 1
		if text := html.UnescapeString(s[:end]); end > 0 && text != s[:end] && !strings.HasSuffix(text, ";") {
			return text, end
		}
	}
	return "", 0
}

// unescapeJSON decodes an escape sequence that begins with a backslash (RFC 8259 §7), except for those of control characters.
func unescapeJSON(s string) (text string, n int) {
	switch c := s[1]; {
	case c == 'u':
		unit := hexUnit(s)
		if unit < 0 {
			return "", 0
		}
		if r := utf16.DecodeRune(unit, hexUnit(s[6:])); r != utf8.RuneError {
			return string(r), 12
		}
		return string(unit), 6
	case c == 'x' && len(s) > 3:
		if c, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
			return string([]byte{byte(c)}), 4
		}
	case c > ' ' && c < 0x7f && !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'):
		return s[1:2], 2
	}
	return "", 0
}

// hexUnit returns the UTF-16 code unit of the sequence \uXXXX at the beginning of s, or -1 if there is none.
func hexUnit(s string) rune {
	if len(s) < 6 || s[:2] != `\u` {
		return -1
	}
	unit, err := strconv.ParseUint(s[2:6], 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}

// decode decodes the escape sequences of JSON, scripts and HTML in s once. at contains the offset in s for each byte of plain and
// for its end.
func decode(s string) (plain string, at []int) {
	var out strings.Builder
	at = make([]int, 0, len(s)+1)
	for i := 0; i < len(s); {
		text, n := unescapeText(s[i:])
		if n == 0 {
			text, n = s[i:i+1], 1
		}
		out.WriteString(text)
		for range len(text) {
			at = append(at, i)
		}
		i += n
	}
	return out.String(), append(at, len(s))
}
