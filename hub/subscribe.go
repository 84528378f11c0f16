package hub

import (
	"context"
	"math"
	"time"
)

// Subscribe subscribes to a channel. reply is called once, before anything of the channel is sent, and what is published from
// then on follows what it has sent; it must not wait and not call the session. An error of reply ends the subscription and is
// returned. Without an error of Subscribe, reply has been called.
//
// Subscribe waits for the engine where this node does not know enough: when it is the first to subscribe to the channel, when more was
// missed than the node remembers, and for the entry of a member.
func (s *Session) Subscribe(ctx context.Context, channel string, o SubscribeOptions, reply func(*Recovered) error) error {
	if err := s.permit(ActionSubscribe, channel); err != nil {
		return err
	}
	ns := s.hub.namespaceOf(s.client.App, channel)
	if ns.Presence && (o.Changes || o.Members > 0) {
		if err := s.permit(ActionPresence, channel); err != nil {
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
	a := admission{s: s, ch: ch, o: &o, x: &subscription{session: s, ch: ch, filter: o.Filter}}
	return a.run(ctx, reply)
}

// begin reserves a place for one more subscription.
func (s *Session) begin(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left:
		return ErrClosed
	case s.find(name) != nil:
		return ErrSubscribed
	case len(s.subs)+int(s.busy) >= s.hub.opts.MaxSubscriptions:
		return ErrTooMany
	}
	s.busy++
	return nil
}

func (s *Session) done() {
	s.mu.Lock()
	s.busy--
	s.mu.Unlock()
}

// admission makes one subscription.
type admission struct {
	s  *Session
	ch *channel
	o  *SubscribeOptions
	x  *subscription
	r  Recovered
	at uint64         // r.Publications reaches to this offset
	ps []*Publication // what was missed, as far as it was read

	turn bool // it is the one that reads the history
}

func (a *admission) run(ctx context.Context, reply func(*Recovered) error) error {
	if a.o.Delta {
		a.x.flags |= wantsDelta
	}
	if a.o.Changes && a.ch.roster != nil {
		a.x.flags |= wantsChanges
	}
	if a.o.Member && a.ch.roster != nil {
		if err := a.s.hub.tenancy.enter(ctx, a.ch, a.entry()); err != nil {
			return err
		}
		a.x.flags |= isMember
	}
	err := a.admit(ctx, reply)
	if err != nil && err != ErrSubscribed && a.x.state != ended && a.x.flags&isMember != 0 { //nolint:errorlint // it is never wrapped
		a.s.hub.tenancy.withdraw(a.ch, a.s.client.ID)
	}
	return err
}

// entry returns the session as a member of the channel.
func (a *admission) entry() Entry {
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

// reads is how often the history is read for one subscription. Each time, the node remembers what is published meanwhile, so
// the second one is there for a flood only.
const reads = 4

// admit finds out what was missed, and lets the live messages follow.
func (a *admission) admit(ctx context.Context, reply func(*Recovered) error) error {
	asked := a.o.Since != nil
	if !asked || !a.s.hub.keeps(a.ch) {
		if asked {
			a.r.Err = ErrTooOld
		}
		_, err := a.finish(false, reply)
		return err
	}
	a.ch.wide(1)
	defer a.ch.wide(-1)
	done, err := a.fromWindow(reply)
	for tries := 0; !done && err == nil && tries < reads; tries++ {
		if a.turn, err = a.ch.turn(ctx, *a.o.Since); a.turn {
			break
		}
		if err == nil { // others have read meanwhile
			done, err = a.fromWindow(reply)
		}
	}
	if done || err != nil {
		return err
	}
	return a.fromHistory(ctx, reply)
}

// fromHistory finishes with what the history has. Those that wait for their turn get to know of it, too.
func (a *admission) fromHistory(ctx context.Context, reply func(*Recovered) error) error {
	since := *a.o.Since
	a.at = since.Offset
	for i := range reads {
		var page HistoryPage
		var err error
		if i == 0 && a.turn {
			page, err = a.readForAll(ctx, since)
		} else {
			page, err = a.s.hub.history.History(ctx, a.ch.name, HistoryQuery{Since: &since, Limit: -1})
		}
		if err != nil {
			return err
		}
		if a.r.Err = page.Err; page.Err != nil {
			break
		}
		a.ps = append(a.ps, page.Publications...)
		since = page.Top
		a.at = max(a.at, page.Top.Offset)
		if done, err := a.finish(true, reply); done {
			return err
		}
	}
	if a.r.Err == nil {
		a.r.Err = ErrTooOld // it is published faster than the history can be read
	}
	_, err := a.finish(false, reply)
	return err
}

// readForAll reads the history behind since, or as far back as those need it that wait for their turn, has the channel remember it,
// and ends the turn.
func (a *admission) readForAll(ctx context.Context, since Position) (HistoryPage, error) {
	ch := a.ch
	defer ch.endTurn()
	ch.mu.Lock()
	from := since
	if since.Epoch == ch.epoch {
		from.Offset = min(from.Offset, ch.reading.wanted)
	}
	ch.reading.wanted = math.MaxUint64 // of those that come while it is being read
	ch.mu.Unlock()
	read := func(from Position) (HistoryPage, error) {
		return a.s.hub.history.History(ctx, ch.name, HistoryQuery{Since: &from, Limit: -1})
	}
	page, err := read(from)
	if err == nil && page.Err != nil && from != since {
		from = since
		page, err = read(from)
	}
	if err != nil || page.Err != nil {
		return page, err
	}
	ch.mu.Lock()
	if page.Top.Epoch == ch.epoch {
		ch.window.reachBack(from.Offset, page)
		ch.wideFor = time.Now().Add(wideTime)
	}
	ch.mu.Unlock()
	i := 0
	for i < len(page.Publications) && page.Publications[i].Offset <= since.Offset {
		i++
	}
	page.Publications = page.Publications[i:]
	return page, nil
}

// reading is that one subscription reads a channel's history, and others wait for it.
type reading struct {
	over   chan struct{} // closed when it is over; nil when there is none
	wanted uint64        // from which offset on those that wait need it
}

// turn waits until nothing else reads the channel's history for a subscription. It reports whether it is the caller's turn to do so,
// which endTurn ends; otherwise another has done it meanwhile. When many clients come back together, few of them read.
func (ch *channel) turn(ctx context.Context, since Position) (bool, error) {
	ch.mu.Lock()
	if ch.reading.over == nil {
		ch.reading.over = make(chan struct{})
		ch.mu.Unlock()
		return true, nil
	}
	if since.Epoch == ch.epoch {
		ch.reading.wanted = min(ch.reading.wanted, since.Offset)
	}
	wait := ch.reading.over
	ch.mu.Unlock()
	select {
	case <-wait:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (ch *channel) endTurn() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	close(ch.reading.over)
	ch.reading.over = nil
}

// wideTime is how long a channel remembers more after a client has come back: others may follow.
const wideTime = 5 * time.Second

// wide has the window keep more, as long as a subscriber catches up.
func (ch *channel) wide(n int) {
	ch.mu.Lock()
	ch.waiting += n
	ch.mu.Unlock()
}

// fromWindow finishes with what the node remembers, if that is enough and the history would have it, too.
func (a *admission) fromWindow(reply func(*Recovered) error) (bool, error) {
	ch, since, now := a.ch, *a.o.Since, time.Now()
	ch.mu.Lock()
	ps, all := ch.window.since(since.Offset)
	if since.Epoch != ch.epoch || since.Offset > ch.last || !all || len(ps) > ch.ns.History || ch.gap ||
		len(ps) > 0 && ch.ns.HistoryAge > 0 && now.Sub(ps[0].Time) > ch.ns.HistoryAge {
		ch.mu.Unlock()
		return false, nil
	}
	ch.mu.Unlock()
	a.at = since.Offset
	return a.finish(true, reply)
}

// finish puts the subscription into the channel and calls reply. With exact, what was read reaches to a.at, and it is done
// only if the node remembers all that was published since.
func (a *admission) finish(exact bool, reply func(*Recovered) error) (bool, error) {
	s, ch, x := a.s, a.ch, a.x
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
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
	if exact {
		rest, all := ch.window.since(a.at)
		if !all || a.o.Since.Epoch != ch.epoch && ch.epoch != "" {
			ch.gap = ch.gap || all // the channel is of another epoch than its history: it has to find out
			run := s.hub.schedule(ch)
			ch.mu.Unlock()
			if all {
				s.hub.tasks.do(run)
			}
			return false, nil
		}
		a.ps = append(a.ps, rest...)
		x.last = max(ch.last, a.at) // beyond the channel's: what this node has not got yet
	}
	a.r.Position = Position{Epoch: ch.epoch, Offset: x.last}
	if ch.roster != nil {
		a.r.Users, a.r.Members, a.r.Next = ch.roster.page("", a.o.Members, a.self())
	}
	ch.delta = ch.delta || a.o.Delta
	first := ch.add(x)
	ch.mu.Unlock()
	if first {
		s.hub.report.occupied(ch)
	}
	s.subs = append(s.subs, x)
	if a.o.Since != nil {
		a.count()
	}
	a.r.Publications = x.deliverable(a.ps)
	s.hub.report.session(s, EventSubscribed, ch.local())
	if err := reply(&a.r); err != nil {
		x.end()
		return true, err
	}
	return true, nil
}

// self returns the user that the subscription is a member as, "" if it is none.
func (a *admission) self() string {
	if a.x.flags&isMember == 0 {
		return ""
	}
	if a.o.User != "" {
		return a.o.User
	}
	return a.s.user()
}

func (a *admission) count() {
	if a.r.Err != nil {
		a.ps = nil
		a.ch.ns.unrecovered.Add(1)
		return
	}
	a.ch.ns.recovered.Add(1)
}

// deliverable returns what of ps the subscriber is to get now.
func (x *subscription) deliverable(ps []*Publication) []*Publication {
	if len(ps) == 0 {
		return nil
	}
	now := time.Now()
	out := make([]*Publication, 0, len(ps))
	for _, p := range ps {
		if !p.Expired(now) && x.wants(p) {
			out = append(out, p)
		}
	}
	return out
}
