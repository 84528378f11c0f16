package hub

import (
	"context"
	"fmt"
	"slices"
)

// PublishAll publishes ps in a channel, in order: the first directly after the offset o.Expect, and every other one directly after its
// predecessor. It requires an engine with a history, and publications without IDs and keys. With an engine that implements [Batch], either
// all of ps are published or none. With other engines they are published one by one, and ErrConflict may occur after some of them.
// PublishAll returns how many were published, and the position of the last one. ps must not be modified afterwards.
func (h *Hub) PublishAll(ctx context.Context, app, channel string, ps []*Publication, o PublishOptions) (n int, last Position, err error) {
	if err := checkName(channel); err != nil {
		return 0, last, err
	}
	if o.Expect == nil || slices.ContainsFunc(ps, func(p *Publication) bool { return p.ID != "" || p.Key != "" }) {
		return 0, last, fmt.Errorf("%w: PublishAll requires Expect, and publications without an ID or a key", ErrUnsupported)
	}
	ns, name := h.namespaces.of(app, channel), ChannelOf(app, channel)
	var all PublishOptions
	for _, p := range ps {
		if all, err = ns.complete(ctx, p, &o); err != nil {
			return 0, last, err
		}
	}
	if batch, ok := h.engine.(Batch); ok && len(ps) > 1 && all.History > 0 {
		last, err = batch.PublishAll(ctx, name, ps, all)
		for _, p := range ps {
			ns.published(h, name, p, Published{Position: last}, err)
		}
		if err == nil {
			n = len(ps)
		}
		return n, last, err
	}
	expect := *o.Expect
	all.Expect = &expect
	for _, p := range ps {
		done, err := h.engine.Publish(ctx, name, p, all)
		ns.published(h, name, p, done, err)
		if err != nil {
			return n, last, err
		}
		n, last, expect = n+1, done.Position, done.Offset
	}
	return n, last, nil
}
