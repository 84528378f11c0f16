package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// deceptiveChars are characters that no name may contain: those that control a terminal or break a line, those that change the text
// direction, and the replacement character of decoders, which would make several subjects equal.
var deceptiveChars = []*unicode.RangeTable{unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control,
	{R16: []unicode.Range16{{Lo: utf8.RuneError, Hi: utf8.RuneError, Stride: 1}}}}

// validSubject reports whether s can be a subject of at most max bytes.
func validSubject(s string, max int) bool {
	return s != "" && len(s) <= max && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(c rune) bool { return unicode.In(c, deceptiveChars...) })
}
