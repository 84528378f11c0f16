// Package header checks the values of HTTP header fields in a WebSocket handshake, and parses lists of tokens.
//
// It consists of pure functions on strings. The lines of one field are passed as a slice, as in http.Header, and are treated as one
// list (RFC 9110 §5.3). Case folding applies only to ASCII letters: U+017F does not equal "s", and U+212A does not equal "k".
package header

import (
	"iter"
	"strings"
)

// isTokenChar marks the bytes that are allowed in a token (RFC 7230 §3.2.6).
var isTokenChar = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

// IsTokenByte reports whether c is allowed in a token.
func IsTokenByte(c byte) bool { return isTokenChar[c] }

// IsToken reports whether s is a token: at least one byte, with no delimiter, space or non-ASCII byte.
func IsToken(s string) bool {
	for i := range len(s) {
		if !isTokenChar[s[i]] {
			return false
		}
	}
	return s != ""
}

// IsValue reports whether s is a valid field value: no line break, NUL or other control byte except a tab, and no surrounding space
// (RFC 9110 §5.5).
func IsValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return Trim(s) == s
}

// EqualFold reports whether a and b are equal except for the case of ASCII letters.
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

// Lower returns s with its ASCII letters in lower case.
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

// Trim returns s without surrounding spaces and tabs (OWS in RFC 9110 §5.6.3; no other white space).
func Trim(s string) string { return strings.Trim(s, " \t") }

// Elements yields the elements of a comma-separated list, without surrounding white space. Empty elements are skipped (RFC 9110
// §5.6.1.2). Quoted strings are not supported: the function is for lists of tokens.
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

// HasToken reports whether a Connection or Upgrade list contains token, ignoring case. It returns false if any element of the list
// is neither a token nor, as Upgrade allows, token/version: it is unclear what the sender of such a list intended.
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

// IsTokenList reports whether lines form a list of one or more tokens (1#token).
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

// Contains reports whether the list contains element. The comparison is case-sensitive.
func Contains(lines []string, element string) bool {
	for e := range Elements(lines) {
		if e == element {
			return true
		}
	}
	return false
}
