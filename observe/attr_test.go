package observe

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// A log line has no empty strings and is short, even if a peer has chosen a text or a part of an error.
func TestReplaceAttr(t *testing.T) {
	long := strings.Repeat("€", 30_000)
	for _, tt := range []struct {
		a    slog.Attr
		want string
	}{
		{slog.String(KeyReason, "short"), "short"},
		{slog.String(KeyReason, long), "cut"},
		{slog.Any(KeyError, errors.New("malformed HTTP response "+long)), "cut"},
		{slog.Any(KeyError, errors.New("short")), "short"},
		{slog.String(KeyStack, long), long},
		{slog.Int(KeyCode, 1000), "1000"},
	} {
		switch got := ReplaceAttr(nil, tt.a).Value.String(); {
		case tt.want != "cut" && got != tt.want:
			t.Errorf("%s is changed to %d bytes", tt.a.Key, len(got))
		case tt.want == "cut" && (len(got) > maxText+len("…") || !strings.HasSuffix(got, "€…")):
			t.Errorf("%s has %d bytes", tt.a.Key, len(got))
		}
	}
	var b strings.Builder
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: ReplaceAttr}), slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: ReplaceAttr}),
	} {
		slog.New(h).Info(EventServer, KeyReason, "", KeyState, "ready", KeyCount, 0)
	}
	if got := b.String(); strings.Contains(got, KeyReason) || !strings.Contains(got, "state=ready connections=0\n") || !strings.Contains(got, `"state":"ready","connections":0}`) {
		t.Errorf("%s", got)
	}
}
