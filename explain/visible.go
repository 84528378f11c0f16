package explain

import (
	"strings"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/visible"
)

// oneLine is visible.Text for text that has to stay on one line.
func oneLine(s string) string {
	return visible.Text(strings.NewReplacer("\r", `\r`, "\n", `\n`, "\t", `\t`).Replace(s))
}

// cut truncates s to at most n bytes, at the beginning of a character, with a mark.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
