package gateway

import (
	"context"
	"log/slog"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/observe"
)

// traced logs the events of a message with a trace ID: at level info for channels whose namespace samples traces, otherwise at
// level debug.
func (s *recorder) traced(t hub.Trace) {
	level := slog.LevelDebug
	if t.Sampled {
		level = slog.LevelInfo
	}
	ctx := context.Background()
	if !s.log.Enabled(ctx, level) {
		return
	}
	p := t.Publication
	attrs := append(make([]slog.Attr, 0, 9),
		slog.String(observe.KeyTrace, p.Trace), slog.String(observe.KeyApp, t.App), slog.String(observe.KeyChannel, t.Channel),
		slog.String(observe.KeyEpoch, t.Epoch), slog.Uint64(observe.KeyOffset, t.Offset))
	if t.Delivered {
		s.log.LogAttrs(ctx, level, observe.EventDelivered, append(attrs, slog.Int(observe.KeySubscribers, t.Subscribers))...)
		return
	}
	attrs = append(attrs, slog.String(observe.KeyUser, p.User), slog.String(observe.KeyClient, p.Client))
	if t.Duplicate {
		attrs = append(attrs, slog.Bool(observe.KeyDuplicate, true))
	}
	if t.Err != nil {
		attrs = append(attrs, slog.Any(observe.KeyError, t.Err))
	}
	s.log.LogAttrs(ctx, level, observe.EventPublished, attrs...)
}
