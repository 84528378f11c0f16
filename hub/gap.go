package hub

import "context"

// fill reads what the engine has lost on its way to this node. It is called with draining set.
func (h *Hub) fill(ch *channel) {
	ch.mu.Lock()
	since := Position{ch.epoch, ch.last}
	ch.gap = false
	ch.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.ctx, engineWait)
	page, err := h.history.History(ctx, ch.name, HistoryQuery{Since: &since, Limit: -1})
	cancel()
	if err != nil {
		h.sleep(pauseOfRun)
		ch.mu.Lock()
		ch.gap = true
		ch.mu.Unlock()
		h.tasks.do(func() { h.fill(ch) })
		return
	}
	ch.mu.Lock()
	rest := ch.pending
	ch.pending = nil
	var b *batch
	if page.Err == nil {
		for _, p := range page.Publications {
			if p.Offset > ch.last {
				ch.pending = append(ch.pending, p)
			}
		}
		ch.ns.refilled.Add(uint64(len(ch.pending)))
		ch.trusted = page.Top.Offset
		if len(ch.pending) == 0 {
			ch.last = max(ch.last, page.Top.Offset) // what there was has expired
		}
	} else {
		ch.ns.gaps.Add(1)
		b = &batch{lost: true, subs: append([]*subscription(nil), ch.subs...), from: ch.last, to: page.Top.Offset, epoch: page.Top.Epoch}
		ch.epoch, ch.last, ch.trusted, ch.latest = page.Top.Epoch, page.Top.Offset, 0, latest{floor: page.Top.Offset}
		ch.window.reset(ch.last)
	}
	for _, p := range rest {
		if p.Offset == 0 || p.Epoch == page.Top.Epoch && p.Offset > page.Top.Offset {
			ch.pending = append(ch.pending, p)
		}
	}
	ch.mu.Unlock()
	if b != nil {
		h.fanout(ch, b)
	}
	h.drain(ch, inlineRounds)
}
