package observe

import (
	"log/slog"

	"github.com/handfast/handfast/internal/visible"
)

// maxText is the maximum length of a text in a log line. A peer chooses some texts, such as those in an error about a malformed
// response.
const maxText = 2 << 10

// ReplaceAttr omits empty strings, and cuts strings and errors that are too long, except stacks. It is the ReplaceAttr of
// [slog.HandlerOptions] for all logs.
func ReplaceAttr(_ []string, a slog.Attr) slog.Attr {
	if a.Key == KeyStack {
		return a
	}
	text := ""
	switch a.Value.Kind() {
	case slog.KindString:
		if text = a.Value.String(); text == "" {
			return slog.Attr{}
		}
	case slog.KindAny: // Value.Any allocates for other kinds
		if err, ok := a.Value.Any().(error); ok {
			text = err.Error()
		}
	}
	if len(text) > maxText {
		a.Value = slog.StringValue(visible.Cut(text, maxText))
	}
	return a
}
