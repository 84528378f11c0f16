package hub

import (
	"context"
	"time"
)

const (
	gapReadTries = 40 // the number of reads of a history that does not yet contain delivered publications
	gapReadPause = 50 * time.Millisecond
)

// fillGap reads publications that the engine has lost on the way to this node. It is called with draining set.
func (h *Hub) fillGap(ch *channel) {
	ch.mu.Lock()
	since := Position{ch.epoch, ch.last}
	ch.gapPending = false
	ch.mu.Unlock()
	page, whole, ok := h.readGap(ch, since)
	if !ok {
		return // the hub is closed
	}
	ch.mu.Lock()
	rest := ch.pending.ps
	ch.pending = backlog{}
	var b *batch
	if page.Err == nil {
		for _, p := range page.Publications {
			if p.Offset > ch.last {
				ch.pending.push(p)
			}
		}
		ch.ns.counters.refilled.Add(uint64(len(ch.pending.ps)))
		if !whole { // the remaining publications are read when this part has been sent
			page.Top.Offset, ch.gapPending = page.Publications[len(page.Publications)-1].Offset, true
		}
		ch.complete = page.Top.Offset
		if len(ch.pending.ps) == 0 {
			ch.last = max(ch.last, page.Top.Offset) // the missing publications have expired
		}
	} else {
		ch.ns.counters.gaps.Add(1)
		b = &batch{lost: true, subs: append([]*subscription(nil), ch.subs...), from: ch.last, to: page.Top.Offset, epoch: page.Top.Epoch}
		ch.epoch, ch.last, ch.complete, ch.latest = page.Top.Epoch, page.Top.Offset, 0, latest{floor: page.Top.Offset}
		ch.window.reset(ch.last)
		ch.deltas.reset()
	}
	for _, p := range rest {
		if p.Offset == 0 || p.Epoch == page.Top.Epoch && p.Offset > page.Top.Offset {
			ch.pending.push(p)
		}
	}
	ch.mu.Unlock()
	if b != nil {
		h.fanout(ch, b)
	}
	h.drain(ch, inlineRounds)
}

// readGap reads the history after a position, or the first part of it. It repeats the read until the history contains everything before the
// first pending publication, because a replica of the history may lag behind the delivery. It reports false when the hub is closed.
func (h *Hub) readGap(ch *channel, since Position) (page HistoryPage, whole, ok bool) {
	for tries := 0; ; tries++ {
		ctx, cancel := context.WithTimeout(h.ctx, engineTimeout)
		var err error
		page, whole, err = readPages(ctx, h.history, ch.name, since, windowBytesWide)
		cancel()
		if err != nil {
			tries = 0
			if !h.sleep(minRunPause) {
				return page, whole, false
			}
			continue
		}
		need := ch.requiredOffset(page.Top)
		if page.Err != nil || need <= page.Top.Offset {
			return page, whole, true
		}
		if tries == gapReadTries {
			page.Err, page.Top.Offset = ErrTooOld, need
			return page, whole, true
		}
		if !h.sleep(gapReadPause) {
			return page, whole, false
		}
	}
}

// requiredOffset returns the offset that the history must have reached so that no publication is missing before the first pending
// one; 0 if nothing is pending.
func (ch *channel) requiredOffset(top Position) uint64 {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for _, p := range ch.pending.ps {
		if p.Offset > max(ch.last, top.Offset) && p.Epoch == top.Epoch {
			return p.Previous
		}
	}
	return 0
}
