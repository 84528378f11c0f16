// Package utf8x validates text that arrives in pieces: a rune may be split between two pieces.
package utf8x

import "unicode/utf8"

// Validator checks one text, piece by piece. The zero value is ready for the first piece.
type Validator struct {
	partial [utf8.UTFMax]byte // the first n bytes of the rune that is split at the end of the last piece
	n       uint8
}

// Write processes the next piece and reports whether the text so far is valid UTF-8 or a prefix of it. It returns false as soon as p
// contains a byte that cannot be part of any UTF-8 text, even if the rune is not complete. The Validator must then not be used until Reset.
func (v *Validator) Write(p []byte) bool {
	for v.n > 0 {
		if len(p) == 0 {
			return true
		}
		v.partial[v.n] = p[0]
		v.n++
		p = p[1:]
		if !utf8.FullRune(v.partial[:v.n]) {
			continue
		}
		if r, size := utf8.DecodeRune(v.partial[:v.n]); r == utf8.RuneError && size == 1 {
			return false
		}
		v.n = 0
	}
	cut := len(p)
	for i := 1; i <= min(utf8.UTFMax-1, len(p)); i++ {
		if utf8.RuneStart(p[len(p)-i]) {
			if !utf8.FullRune(p[len(p)-i:]) { // FullRune returns true for invalid bytes, too, which Valid then detects
				cut = len(p) - i
			}
			break
		}
	}
	v.n = uint8(copy(v.partial[:], p[cut:]))
	return utf8.Valid(p[:cut])
}

// Complete reports whether no rune is split, so that the text may end here.
func (v *Validator) Complete() bool { return v.n == 0 }

// Reset prepares v for another text.
func (v *Validator) Reset() { v.n = 0 }
