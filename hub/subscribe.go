package hub

import (
	"cmp"
	"context"
	"math"
	"time"
)

// Subscribe subscribes to a channel. reply is called once, before any message of the channel is sent; it must not block or call the
// session. The publications that are sent later follow those passed to reply. If reply returns an error, the subscription ends and
// Subscribe returns that error. If Subscribe returns nil, reply has been called.
//
// Subscribe waits for the engine if this node does not have the necessary data: if the node is not yet subscribed to the channel, or if
// more publications were missed than the node remembers. It also waits for the engine to enter a member.
func (s *Session) Subscribe(ctx context.Context, channel string, o SubscribeOptions, reply func(*Recovered) error) error {
	if err := s.checkAllowed(ActionSubscribe, channel); err != nil {
		return err
	}
	ns := s.hub.namespaces.of(s.client.App, channel)
	if ns.Presence && (o.Changes || o.Members > 0) {
		if err := s.checkAllowed(ActionPresence, channel); err != nil {
			return err
		}
	}
	name := ChannelOf(s.client.App, channel)
	if err := s.begin(name); err != nil {
		return err
	}
	defer s.done()
	ch, err := s.hub.acquire(ctx, ns, name)
	if err != nil {
		return err
	}
	defer ch.unpin()
	a := subscribing{s: s, ch: ch, o: &o, sub: &subscription{session: s, ch: ch, filter: o.Filter}}
	return a.run(ctx, reply)
}

// begin reserves a place for one more subscription.
func (s *Session) begin(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.hasLeft:
		return ErrClosed
	case s.find(name) != nil:
		return ErrSubscribed
	case len(s.subs)+int(s.subscribing) >= s.hub.opts.MaxSubscriptions:
		return ErrTooMany
	}
	s.subscribing++
	return nil
}

func (s *Session) done() {
	s.mu.Lock()
	s.subscribing--
	s.mu.Unlock()
}

// subscribing is a subscription in progress.
type subscribing struct {
	s          *Session
	ch         *channel
	o          *SubscribeOptions
	sub        *subscription
	r          Recovered
	completeTo uint64         // r.Publications are complete up to this offset
	ps         []*Publication // the missed publications that were read so far

	reader bool // this subscription reads the history, and others wait for it
}

func (a *subscribing) run(ctx context.Context, reply func(*Recovered) error) error {
	if a.o.Delta {
		a.sub.flags |= wantsDelta
	}
	if a.o.KeyDelta && a.ch.ns.KeyDeltas() && a.s.hub.keyed != nil {
		a.sub.flags |= wantsKeyDelta
		a.ch.readBases(ctx, a.s.hub.keyed)
	}
	if _, ok := a.s.client.Codec.(PositionedCodec); ok && a.o.Positions {
		a.sub.flags |= wantsPositions
	}
	if a.o.Changes && a.ch.roster != nil {
		a.sub.flags |= wantsChanges
	}
	if a.o.Member && a.ch.roster != nil {
		if err := a.s.hub.node.addEntry(ctx, a.ch, a.entry()); err != nil {
			return err
		}
		a.sub.flags |= isMember
	}
	err := a.admit(ctx, reply)
	if err != nil && err != ErrSubscribed && a.sub.state != ended && a.sub.flags&isMember != 0 { //nolint:errorlint // ErrSubscribed is never wrapped
		a.s.hub.node.removeEntry(a.ch, a.s.client.ID)
	}
	return err
}

// entry returns the entry for the session as a member of the channel.
func (a *subscribing) entry() Entry {
	c := a.s.Client()
	e := Entry{Client: c.ID, User: c.User, Data: c.Data}
	if a.o.User != "" {
		e.User = a.o.User
	}
	if a.o.Data != nil {
		e.Data = a.o.Data
	}
	return e
}

// maxReads is the number of times that the history is read for one subscription. The node remembers publications that arrive during
// a read, so a second read is needed only if very many arrive.
const maxReads = 4

// admit determines the missed publications, and adds the subscription so that live messages follow them.
func (a *subscribing) admit(ctx context.Context, reply func(*Recovered) error) error {
	asked := a.o.Since != nil
	if !asked || !a.s.hub.hasHistory(a.ch) {
		if asked {
			a.r.Err = ErrTooOld
		}
		_, err := a.finish(false, reply)
		return err
	}
	a.ch.wide(1)
	defer a.ch.wide(-1)
	done, err := a.fromWindow(reply)
	for tries := 0; !done && err == nil && tries < maxReads; tries++ {
		if a.reader, err = a.ch.acquireRead(ctx, *a.o.Since); a.reader {
			break
		}
		if err == nil { // another subscription has read the history
			done, err = a.fromWindow(reply)
		}
	}
	if done || err != nil {
		return err
	}
	return a.fromHistory(ctx, reply)
}

// fromHistory completes the subscription with publications of the history. If a.reader is set, waiting subscriptions can
// use what it reads.
func (a *subscribing) fromHistory(ctx context.Context, reply func(*Recovered) error) error {
	since := *a.o.Since
	a.completeTo = since.Offset
	for i := range maxReads {
		var page HistoryPage
		var whole bool
		var err error
		if i == 0 && a.reader {
			page, whole, err = a.readForAll(ctx, since)
		} else {
			page, whole, err = readPages(ctx, a.s.hub.history, a.ch.name, since, a.bytes())
		}
		if err != nil {
			return err
		}
		if a.r.Err = page.Err; page.Err != nil {
			break
		}
		a.ps = append(a.ps, page.Publications...)
		if !whole { // there are more publications than may be read for one reply
			return a.part(reply)
		}
		since = page.Top
		a.completeTo = max(a.completeTo, page.Top.Offset)
		if done, err := a.finish(true, reply); done {
			return err
		}
	}
	if a.r.Err == nil {
		a.r.Err = ErrTooOld // publications arrive faster than the history can be read
	}
	_, err := a.finish(false, reply)
	return err
}

// readForAll reads the history after since, or from further back if waiting subscriptions need earlier publications. It adds the result to
// the channel's window, and wakes the waiting subscriptions.
func (a *subscribing) readForAll(ctx context.Context, since Position) (page HistoryPage, whole bool, err error) {
	ch := a.ch
	defer ch.endRead()
	ch.mu.Lock()
	from := since
	if since.Epoch == ch.epoch {
		from.Offset = min(from.Offset, ch.reading.wanted)
	}
	ch.reading.wanted = math.MaxUint64 // reset for subscriptions that begin to wait during this read
	ch.mu.Unlock()
	page, whole, err = readPages(ctx, a.s.hub.history, ch.name, from, windowBytesWide)
	if err == nil && (page.Err != nil || !whole) && from != since {
		from = since
		page, whole, err = readPages(ctx, a.s.hub.history, ch.name, from, windowBytesWide)
	}
	if err != nil || page.Err != nil || !whole {
		return page, whole, err
	}
	ch.mu.Lock()
	if page.Top.Epoch == ch.epoch {
		ch.window.prepend(from.Offset, page)
		ch.wideUntil = time.Now().Add(wideTime)
	}
	ch.mu.Unlock()
	i := 0
	for i < len(page.Publications) && page.Publications[i].Offset <= since.Offset {
		i++
	}
	page.Publications = page.Publications[i:]
	return page, true, nil
}

// historyRead coordinates subscriptions that need a channel's history: one of them reads it, and the others wait.
type historyRead struct {
	done   chan struct{} // closed when the read has finished; nil if no read is in progress
	wanted uint64        // the lowest offset after which the waiting subscriptions need the history
}

// acquireRead returns true if the caller must read the channel's history, and then call endRead. If another subscription is already
// reading the history, turn waits for the end of that read, and returns false. So the history is read only a few times when many
// clients reconnect at the same time.
func (ch *channel) acquireRead(ctx context.Context, since Position) (bool, error) {
	ch.mu.Lock()
	if ch.reading.done == nil {
		ch.reading.done = make(chan struct{})
		ch.mu.Unlock()
		return true, nil
	}
	if since.Epoch == ch.epoch {
		ch.reading.wanted = min(ch.reading.wanted, since.Offset)
	}
	wait := ch.reading.done
	ch.mu.Unlock()
	select {
	case <-wait:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (ch *channel) endRead() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	close(ch.reading.done)
	ch.reading.done = nil
}

// wideTime is how long a channel's window stays wide after a client has reconnected, because others may follow.
const wideTime = 5 * time.Second

// wide changes the number of subscribers that are catching up, which keep the window wide.
func (ch *channel) wide(n int) {
	ch.mu.Lock()
	ch.catchingUp += n
	ch.mu.Unlock()
}

// fromWindow completes the subscription with publications of the window, if the window contains all that were missed and all of them are
// within the limits of the history.
func (a *subscribing) fromWindow(reply func(*Recovered) error) (bool, error) {
	ch, since, now := a.ch, *a.o.Since, time.Now()
	ch.mu.Lock()
	ps, all := ch.window.since(since.Offset)
	if since.Epoch != ch.epoch || since.Offset > ch.last || !all || len(ps) > ch.ns.History || ch.gapPending ||
		len(ps) > 0 && ch.ns.HistoryAge > 0 && now.Sub(ps[0].Time) > ch.ns.HistoryAge {
		ch.mu.Unlock()
		return false, nil
	}
	ch.mu.Unlock()
	a.completeTo = since.Offset
	return a.finish(true, reply)
}

// finish adds the subscription to the channel and calls reply. If exact is set, the missed publications were read up to a.at, and
// finish succeeds only if the window contains all publications since then.
func (a *subscribing) finish(exact bool, reply func(*Recovered) error) (bool, error) {
	s, ch, x := a.s, a.ch, a.sub
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hasLeft {
		return true, ErrClosed
	}
	if s.find(ch.name) != nil {
		return true, ErrSubscribed
	}
	ch.mu.Lock()
	if ch.ns.MaxSubscribers > 0 && len(ch.subs) >= ch.ns.MaxSubscribers {
		ch.mu.Unlock()
		return true, ErrTooMany
	}
	x.last = ch.last
	var missed []*Publication
	if exact {
		rest, all := ch.window.since(a.completeTo)
		if !all || a.o.Since.Epoch != ch.epoch && ch.epoch != "" {
			ch.gapPending = ch.gapPending || all // the channel's epoch differs from its history's, so the history must be read
			run := s.hub.schedule(ch)
			ch.mu.Unlock()
			if all {
				s.hub.tasks.do(run)
			}
			return false, nil
		}
		x.last = max(ch.last, a.completeTo) // may be after ch.last, if this node has not received the newest publications yet
		if missed, all = x.deliverable(append(a.ps, rest...), a.bytes()); !all {
			a.r.Position = Position{Epoch: ch.epoch, Offset: missed[len(missed)-1].Offset}
			ch.mu.Unlock()
			return true, a.answerPart(missed, reply)
		}
	}
	a.r.Position = Position{Epoch: ch.epoch, Offset: x.last}
	if ch.roster != nil {
		a.r.Users, a.r.Members, a.r.Next = ch.roster.page("", a.o.Members, a.o.MembersBytes, a.self())
	}
	ch.deltas.enable(x)
	first := ch.add(x)
	ch.mu.Unlock()
	if first {
		s.hub.report.firstSubscriber(ch)
	}
	s.subs = append(s.subs, x)
	if a.o.Since != nil {
		a.count()
	}
	a.r.Publications = missed
	s.hub.report.session(s, EventSubscribed, ch.local())
	if err := reply(&a.r); err != nil {
		x.end()
		return true, err
	}
	return true, nil
}

// self returns the user as which the session is a member of the channel, or "" if the session is not a member.
func (a *subscribing) self() string {
	if a.sub.flags&isMember == 0 {
		return ""
	}
	if a.o.User != "" {
		return a.o.User
	}
	return a.s.user()
}

// bytes returns the maximum size of the missed publications in the reply.
func (a *subscribing) bytes() int { return cmp.Or(a.o.MissedBytes, windowBytesWide) }

// part replies with the first part of the missed publications that were read.
func (a *subscribing) part(reply func(*Recovered) error) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.s.hasLeft {
		return ErrClosed
	}
	missed, all := a.sub.deliverable(a.ps, a.bytes())
	end := a.ps[len(a.ps)-1]
	if !all {
		end = missed[len(missed)-1]
	}
	a.r.Position = end.Position
	return a.answerPart(missed, reply)
}

// answerPart replies with missed as the first part.
func (a *subscribing) answerPart(missed []*Publication, reply func(*Recovered) error) error {
	a.ch.ns.counters.recovered.Add(1)
	a.r.Publications, a.r.More = missed, true
	if err := reply(&a.r); err != nil {
		return err
	}
	return ErrMore
}

func (a *subscribing) count() {
	if a.r.Err != nil {
		a.ch.ns.counters.unrecovered.Add(1)
		return
	}
	a.ch.ns.counters.recovered.Add(1)
}

// deliverable returns the publications of ps that the subscriber should receive, up to the size limit of its reply, and reports
// whether those are all.
func (x *subscription) deliverable(ps []*Publication, bytes int) ([]*Publication, bool) {
	if len(ps) == 0 {
		return nil, true
	}
	room, now := NewRoom(bytes), time.Now()
	out := make([]*Publication, 0, len(ps))
	for _, p := range ps {
		if p.Expired(now) || !x.allows(p) {
			continue
		}
		if !room.Take(p.Size()) {
			return out, false
		}
		out = append(out, p)
	}
	return out, true
}
