package cli

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket/handshake"
)

// traceTo returns a function that writes the heads of requests, each line after "> ", and the heads of responses, each line after
// "< ". The values of fields whose names indicate a secret are redacted, and the given secrets are redacted everywhere.
func traceTo(w io.Writer, secrets []string) func(*handshake.Request, *handshake.Response) {
	return func(req *handshake.Request, got *handshake.Response) {
		var b strings.Builder
		if got == nil {
			r := *req
			path, query, ok := strings.Cut(r.Target, "?")
			if ok {
				r.Target = path + "?" + redact.Query(query)
			}
			r.Subprotocols = nil // AppendHead writes them from r.Header instead, redacted
			r.Header = hideFields(req.Header)
			if len(req.Subprotocols) > 0 {
				r.Header["Sec-WebSocket-Protocol"] = []string{redact.Subprotocols(strings.Join(req.Subprotocols, ", "))}
			}
			for line := range strings.Lines(string(r.AppendHead(nil))) {
				b.WriteString("> " + visible.Text(strings.TrimRight(line, "\r\n")) + "\n")
			}
		} else {
			fmt.Fprintf(&b, "< HTTP/1.%d %d %s\n", got.Minor, got.Status, visible.Text(got.Reason))
			header := hideFields(got.Header)
			for _, name := range slices.Sorted(maps.Keys(header)) {
				for _, value := range header[name] {
					b.WriteString("< " + visible.Text(name+": "+value) + "\n")
				}
			}
			b.WriteString("<\n")
		}
		text := b.String()
		for _, secret := range secrets {
			text = strings.ReplaceAll(text, visible.Text(secret), redact.Mark)
			text = strings.ReplaceAll(text, url.QueryEscape(secret), redact.Mark)
		}
		_, _ = io.WriteString(w, text) // an error of standard error is ignored
	}
}

// hideFields returns a copy of h without secrets.
func hideFields(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		switch {
		case redact.Name(name):
			out[name] = []string{redact.Mark}
			if scheme, _, ok := strings.Cut(strings.Join(values, ", "), " "); ok && strings.HasSuffix(name, "Authorization") {
				out[name][0] = scheme + " " + redact.Mark
			}
		case strings.EqualFold(name, "Location"):
			for _, v := range values {
				out[name] = append(out[name], redact.URL(v))
			}
		default:
			out[name] = values
		}
	}
	return out
}
