// Package utf8x checks text that arrives in pieces: a rune may be cut where one piece ends and the next begins.
package utf8x

import "unicode/utf8"

// Validator checks one text, piece by piece. The zero value is ready for the first piece.
type Validator struct {
	open [utf8.UTFMax]byte // the rune that the last piece cut off; its first n bytes
	n    uint8
}

// Write takes the next piece and reports whether the text so far is UTF-8 or the start of it. It says no at the first
// byte that cannot be part of any UTF-8 text, not at the end of the rune. After a no the Validator is spent.
func (v *Validator) Write(p []byte) bool {
	for v.n > 0 {
		if len(p) == 0 {
			return true
		}
		v.open[v.n] = p[0]
		v.n++
		p = p[1:]
		if !utf8.FullRune(v.open[:v.n]) {
			continue
		}
		if r, size := utf8.DecodeRune(v.open[:v.n]); r == utf8.RuneError && size == 1 {
			return false
		}
		v.n = 0
	}
	cut := len(p)
	for i := 1; i <= min(utf8.UTFMax-1, len(p)); i++ {
		if utf8.RuneStart(p[len(p)-i]) {
			if !utf8.FullRune(p[len(p)-i:]) { // true for a rune whose bytes are wrong, too: those go to Valid
				cut = len(p) - i
			}
			break
		}
	}
	v.n = uint8(copy(v.open[:], p[cut:]))
	return utf8.Valid(p[:cut])
}

// Complete reports whether no rune is cut: the text may end here.
func (v *Validator) Complete() bool { return v.n == 0 }

// Reset makes v ready for another text.
func (v *Validator) Reset() { v.n = 0 }
