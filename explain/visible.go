package explain

import (
	"strings"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/visible"
)

// oneLine is visible.Text for a text that has to stay on its line.
func oneLine(s string) string {
	return visible.Text(strings.NewReplacer("\r", `\r`, "\n", `\n`, "\t", `\t`).Replace(s))
}

// cut shortens s to n bytes at most, at the beginning of a character, and says that it did.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
