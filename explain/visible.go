package explain

import (
	"strings"

	"github.com/handfast/handfast/internal/visible"
)

// oneLine is like visible.Text, for text that must be on one line.
func oneLine(s string) string {
	return visible.Text(strings.NewReplacer("\r", `\r`, "\n", `\n`, "\t", `\t`).Replace(s))
}
