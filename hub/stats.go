package hub

// Stats are the counters of a namespace on this node.
type Stats struct {
	// Namespace is the name of the namespace.
	Namespace string

	// Publications counts the publications that were made from this node.
	Publications uint64

	// Deliveries counts, for each publication, the subscribers that it was sent to when it was published.
	Deliveries uint64

	// Recovered counts subscriptions that requested missed publications and received them, and Unrecovered those that did not
	// receive them.
	Recovered, Unrecovered uint64

	// Slow counts how often a subscriber's queue was full.
	Slow uint64

	// Dropped counts the publications that were permanently lost on this node, for one subscriber or for all.
	Dropped uint64

	// Refilled counts the publications that were read from the history because the engine or a subscriber had lost them.
	Refilled uint64

	// Gaps counts how often the engine had lost publications that could not be recovered.
	Gaps uint64

	// Insufficient counts subscriptions that ended because of lost messages.
	Insufficient uint64

	// Rejected counts publications from clients that were rejected because of their size or rate.
	Rejected uint64

	// Joins and Leaves count the announced changes of members.
	Joins, Leaves uint64
}

// Stats returns the counters of every namespace. Counters of namespaces with the same name are added up.
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

// add adds the counters of o to s.
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

// Sizes are the current numbers of sessions, channels and subscriptions on this node.
type Sizes struct {
	// Sessions, Channels and Subscriptions are the current numbers of each.
	Sessions, Channels, Subscriptions int
}

// Sizes returns the current numbers.
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
