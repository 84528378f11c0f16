package hub

import (
	"context"
	"slices"
	"strings"
)

// Subscribers returns the number of subscribers of a channel on all nodes: the current number for this node, and the
// last reported number for the others, which report every second. See [Occupancy].
func (h *Hub) Subscribers(ctx context.Context, app, channel string) (int, error) {
	if err := checkName(channel); err != nil {
		return 0, err
	}
	if h.occupancy == nil {
		return 0, ErrUnsupported
	}
	name := ChannelOf(app, channel)
	cs, _, err := h.occupancy.Occupied(ctx, name, "", 1) // the channel's own name sorts before all longer names that begin with it
	if err != nil {
		return 0, err
	}
	n := 0
	if len(cs) > 0 && cs[0].Channel == name {
		n = cs[0].Subscribers
	}
	if ch := h.channels.lookup(name); ch != nil {
		n = ch.correct(n)
	}
	return n, nil
}

// correct adjusts a number of subscribers from the engine by the change on this node since its last report.
func (ch *channel) correct(n int) int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return max(n-ch.reportedCount.reported, 0) + len(ch.subs)
}

// correctPage adjusts the numbers of subscribers in a page of the channels that begin with prefix, and adds and removes channels
// accordingly.
func correctPage(h *Hub, cs []Occupied, more bool, prefix, after string, limit int) ([]Occupied, bool) {
	own := map[string]*channel{}
	h.channels.each(func(ch *channel) {
		if strings.HasPrefix(ch.name, prefix) && ch.name > after && (!more || ch.name <= cs[len(cs)-1].Channel) {
			own[ch.name] = ch
		}
	})
	for i := range cs {
		if ch := own[cs[i].Channel]; ch != nil {
			cs[i].Subscribers = ch.correct(cs[i].Subscribers)
			delete(own, cs[i].Channel)
		}
	}
	for name, ch := range own {
		cs = append(cs, Occupied{name, ch.correct(0)})
	}
	cs = slices.DeleteFunc(cs, func(c Occupied) bool { return c.Subscribers == 0 })
	slices.SortFunc(cs, func(a, b Occupied) int { return strings.Compare(a.Channel, b.Channel) })
	if len(cs) > limit && limit > 0 {
		return cs[:limit], true
	}
	return cs, more
}
