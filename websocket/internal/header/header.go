// Package header reads and writes the HTTP header values that a WebSocket handshake is made of: token lists, extension
// lists with parameters, and the Forwarded header.
//
// It is pure: strings in, values out. Field lines of one name come as a slice, as http.Header holds them, and are read as
// one list (RFC 9110 §5.3). Letters are folded in ASCII only: U+017F is no "s", and U+212A is no "k".
package header

import (
	"iter"
	"strings"
)

// tchar marks the bytes that may be in a token (RFC 7230 §3.2.6).
var tchar = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

// IsTokenByte reports whether c may be in a token.
func IsTokenByte(c byte) bool { return tchar[c] }

// IsToken reports whether s is a token: at least one byte, none of them a delimiter, a space or beyond ASCII.
func IsToken(s string) bool {
	for i := range len(s) {
		if !tchar[s[i]] {
			return false
		}
	}
	return s != ""
}

// IsValue reports whether s may stand as a field value: no line end, NUL or other control byte but a tab, and no space
// around it (RFC 9110 §5.5).
func IsValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return Trim(s) == s
}

// EqualFold reports whether a and b are the same except for the case of ASCII letters.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Lower returns s with its ASCII letters in lower case, and all else as it was.
func Lower(s string) string {
	for i := range len(s) {
		if lower(s[i]) != s[i] {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = lower(b[j])
			}
			return string(b)
		}
	}
	return s
}

// Trim returns s without the spaces and tabs around it (OWS in RFC 9110 §5.6.3; no other white space).
func Trim(s string) string { return strings.Trim(s, " \t") }

// Elements yields the elements of a comma-separated list, without the white space around them. Empty elements are left
// out (RFC 9110 §5.6.1.2). Quoted strings are not looked at: it is for lists of tokens.
func Elements(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for e := range strings.SplitSeq(line, ",") {
				if e = Trim(e); e != "" && !yield(e) {
					return
				}
			}
		}
	}
}

// HasToken reports whether a Connection or Upgrade list holds token, in whatever case. A list with anything in it but
// tokens, or token/version as Upgrade allows, holds nothing: who wrote it cannot be relied on to have meant an element.
func HasToken(lines []string, token string) bool {
	found := false
	for e := range Elements(lines) {
		name, version, versioned := strings.Cut(e, "/")
		if !IsToken(name) || versioned && !IsToken(version) {
			return false
		}
		found = found || EqualFold(e, token)
	}
	return found
}

// IsTokenList reports whether lines are a list of one token or more (1#token).
func IsTokenList(lines []string) bool {
	some := false
	for e := range Elements(lines) {
		if !IsToken(e) {
			return false
		}
		some = true
	}
	return some
}

// Contains reports whether the list holds exactly element, case included.
func Contains(lines []string, element string) bool {
	for e := range Elements(lines) {
		if e == element {
			return true
		}
	}
	return false
}
