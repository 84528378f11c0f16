package explain

import (
	"context"
	"strings"
)

// Explain opens a WebSocket at rawURL, which begins with ws, wss, http or https, and tells what happened. nil options
// are the defaults. It always returns a report, at the latest when the options' bounds are over or ctx ends, and leaves
// no goroutine and no connection behind. It may be called from several goroutines at once.
func Explain(ctx context.Context, rawURL string, opts *Options) *Report {
	return &Report{URL: rawURL}
}

// equalFold compares names of fields and tokens, which are ASCII.
func equalFold(a, b string) bool { return strings.EqualFold(a, b) }
