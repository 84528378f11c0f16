package hub

import (
	"context"
	"errors"
	"time"
)

// firstSubscriber makes housekeeping report soon that a channel has its first subscriber. Several such channels are reported
// together.
func (r *reporter) firstSubscriber(ch *channel) {
	if r.first == nil {
		return
	}
	r.mu.Lock()
	r.firstSubscribed = append(r.firstSubscribed, ch)
	r.mu.Unlock()
	select {
	case r.first <- struct{}{}:
	default:
	}
}

// takeFirstSubscribed returns the channels that have had their first subscriber since the last call.
func (r *reporter) takeFirstSubscribed() []*channel {
	r.mu.Lock()
	defer r.mu.Unlock()
	chs := r.firstSubscribed
	r.firstSubscribed = nil
	return chs
}

// subscribers records that a channel has its first subscriber on this node, or no longer has one.
func (r *reporter) subscribers(name string, n int) {
	if !r.records() {
		return
	}
	r.mu.Lock()
	_, soon := r.vacating[name]
	delete(r.vacating, name)
	if n == 0 {
		r.vacating[name] = time.Now().Add(departureDelay)
	}
	r.mu.Unlock()
	if n > 0 && !soon {
		r.hub.tasks.do(func() { r.occupy(name, true) })
	}
}

// reportDue reports the events that are due. Housekeeping calls it.
func (r *reporter) reportDue(now time.Time) {
	if !r.records() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, at := range r.vacating {
		if !now.Before(at) {
			delete(r.vacating, name)
			r.hub.tasks.do(func() { r.vacate(name) })
		}
	}
	for k, e := range r.removing {
		if now.Sub(e.Time) >= departureDelay {
			delete(r.removing, k)
			r.hub.tasks.do(func() { r.reportRemoved(k, e) })
		}
	}
}

// vacate reports that a channel has no subscribers, if no node has one.
func (r *reporter) vacate(name string) {
	ctx, cancel := context.WithTimeout(r.hub.ctx, engineTimeout)
	defer cancel()
	cs, _, err := r.hub.occupancy.Occupied(ctx, name, "", 1) // the channel's own name sorts before all longer names that begin with it
	switch {
	case err != nil:
		r.scheduleVacate(name)
	case len(cs) == 0 || cs[0].Channel != name:
		r.occupy(name, false)
	}
}

func (r *reporter) scheduleVacate(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.vacating[name] = time.Now().Add(departureDelay)
}

// occupy reports that a channel is occupied or vacated, unless that was the last report. The last report is the only publication of
// a stream: when several nodes try to change it, only one succeeds.
func (r *reporter) occupy(name string, occupied bool) {
	state, kept, kind := "vacated", time.Minute, EventVacated
	if occupied {
		state, kept, kind = "occupied", 30*24*time.Hour, EventOccupied
	}
	for range maxTries {
		ctx, cancel := context.WithTimeout(r.hub.ctx, engineTimeout)
		page, err := r.hub.history.History(ctx, stateOf(name), HistoryQuery{Limit: 1, Reverse: true})
		was := ""
		if len(page.Publications) > 0 {
			was = string(page.Publications[0].Data)
		}
		if err == nil && was != state && (occupied || was != "") {
			p := &Publication{Data: []byte(state), Time: time.Now()}
			o := PublishOptions{History: 1, HistoryAge: kept, Expect: &page.Top.Offset}
			_, err = r.hub.engine.Publish(ctx, stateOf(name), p, o)
			if err == nil {
				app, channel := SplitChannel(name)
				r.emit(Event{Kind: kind, App: app, Channel: channel})
			}
		}
		cancel()
		if err == nil || !errors.Is(err, ErrConflict) && !r.hub.sleep(minRunPause) {
			return
		}
	}
}

// members reports changes in a roster. The caller holds the channel's lock.
func (r *reporter) members(ch *channel, b *batch) {
	if !r.records() {
		return
	}
	for _, c := range b.joins {
		m := ch.roster.users[c.User]
		r.mu.Lock()
		_, back := r.removing[memberKey{ch.name, c.User}]
		delete(r.removing, memberKey{ch.name, c.User})
		r.mu.Unlock()
		if !back && m != nil && m.local {
			e := memberEvent(EventMemberAdded, ch.name, c.Member)
			r.hub.tasks.do(func() {
				if r.claim("added:"+ch.name+"/"+e.User, claimTTL) {
					r.emit(e)
				}
			})
		}
	}
	for _, c := range b.changes {
		if c.Kind == Left {
			r.removed(ch.name, c.Member)
		}
	}
}

func memberEvent(kind EventKind, channel string, m Member) Event {
	app, name := SplitChannel(channel)
	return Event{Kind: kind, Time: time.Now(), App: app, Channel: name, Client: m.Client, User: m.User, Data: m.Data}
}

// removed schedules the report that a member was removed, unless the member returns soon.
func (r *reporter) removed(channel string, m Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removing[memberKey{channel, m.User}] = memberEvent(EventMemberRemoved, channel, m)
}

// reportRemoved reports that a member was removed, unless it has returned on another node.
func (r *reporter) reportRemoved(k memberKey, e Event) {
	if r.present(k) || !r.claim("removed:"+k.channel+"/"+k.user, claimTTL) {
		return
	}
	r.emit(e)
}

// present reports whether a user is a member of a channel, as far as the engine knows.
func (r *reporter) present(k memberKey) bool {
	if ch := r.hub.channels.lookup(k.channel); ch != nil && ch.roster != nil {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		if ch.ready {
			m := ch.roster.users[k.user]
			return m != nil && m.conns > 0
		}
	}
	for cursor := ""; ; {
		ctx, cancel := context.WithTimeout(r.hub.ctx, engineTimeout)
		es, next, err := r.hub.presence.Entries(ctx, k.channel, cursor, 1000)
		cancel()
		if err != nil {
			return false
		}
		for _, e := range es {
			if memberName(e.User, e.Client) == k.user {
				return true
			}
		}
		if cursor = next; next == "" {
			return false
		}
	}
}
