package hub

// Stats is what has happened in the channels of a namespace on this node.
type Stats struct {
	// Namespace is its name.
	Namespace string

	// Publications counts those that were published from this node.
	Publications uint64

	// Deliveries counts publications times the subscribers that they were sent to as they were published.
	Deliveries uint64

	// Recovered and Unrecovered count subscriptions that asked for what they had missed, and got it or not.
	Recovered, Unrecovered uint64

	// Slow counts how often a subscriber had no room for more.
	Slow uint64

	// Dropped counts the publications that a subscriber or the node has lost for good.
	Dropped uint64

	// Refilled counts the publications that were read from the history because the engine or a subscriber had lost them.
	Refilled uint64

	// Gaps counts how often the engine had lost publications that could not be read again.
	Gaps uint64

	// Insufficient counts subscriptions that ended because of lost messages.
	Insufficient uint64

	// Rejected counts publications of clients that were too big or too many.
	Rejected uint64

	// Joins and Leaves count members as they were announced.
	Joins, Leaves uint64
}

// Stats returns the counts of every namespace. Those with the same name count together.
func (h *Hub) Stats() []Stats {
	all := make([]Stats, 0, len(h.namespaces))
	at := map[string]int{}
	for _, n := range h.namespaces {
		c := &n.counters
		i, there := at[n.Name]
		if !there {
			i, at[n.Name] = len(all), len(all)
			all = append(all, Stats{Namespace: n.Name})
		}
		all[i].add(Stats{
			Publications: c.publications.Load(), Deliveries: c.deliveries.Load(),
			Recovered: c.recovered.Load(), Unrecovered: c.unrecovered.Load(), Slow: c.slow.Load(),
			Dropped: c.dropped.Load(), Refilled: c.refilled.Load(), Gaps: c.gaps.Load(),
			Insufficient: c.insufficient.Load(), Rejected: c.rejected.Load(),
			Joins: c.joins.Load(), Leaves: c.leaves.Load(),
		})
	}
	return all
}

// add counts o together with s.
func (s *Stats) add(o Stats) {
	s.Publications += o.Publications
	s.Deliveries += o.Deliveries
	s.Recovered += o.Recovered
	s.Unrecovered += o.Unrecovered
	s.Slow += o.Slow
	s.Dropped += o.Dropped
	s.Refilled += o.Refilled
	s.Gaps += o.Gaps
	s.Insufficient += o.Insufficient
	s.Rejected += o.Rejected
	s.Joins += o.Joins
	s.Leaves += o.Leaves
}

// Sizes is how much a hub has on this node.
type Sizes struct {
	// Sessions, Channels and Subscriptions are their numbers.
	Sessions, Channels, Subscriptions int
}

// Sizes counts what the hub has.
func (h *Hub) Sizes() Sizes {
	var n Sizes
	h.channels.each(func(ch *channel) {
		ch.mu.Lock()
		n.Channels++
		n.Subscriptions += len(ch.subs)
		ch.mu.Unlock()
	})
	h.sessions.each(func(*Session) { n.Sessions++ })
	return n
}
