package natsengine

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	beatEvery  = 500 * time.Millisecond
	silentFor  = 3 * time.Second         // then a node does not count
	deafAfter  = 1500 * time.Millisecond // without its own beat a node judges no other
	settleWait = time.Second             // for nodes that may be gone
	youngWait  = 300 * time.Millisecond  // for nodes that are not known yet
	gapEvery   = time.Second             // at most so often for missing beats
	staleFor   = 2 * time.Second         // a leader that was cut off may answer as one, when it is back, until it hears of the new one
)

// beat is what each node sends twice a second.
type beat struct {
	Node   string `json:"node"`
	Server string `json:"server"`
	Count  uint64 `json:"count"`

	// Renewing are leases that the node cannot renew, because the stream has no leader, for example. They do not end meanwhile.
	Renewing []string `json:"renewing,omitempty"`
}

// peers are the nodes that are heard of.
type peers struct {
	engine *Engine

	mu     sync.Mutex
	nodes  map[string]*peer
	count  uint64
	sent   time.Time
	heard  time.Time // this node's own beat
	deaf   bool
	gapped time.Time
	missed bool      // a beat of another node is missing
	again  time.Time // when a gap is reported once more, because what is read now may be old; zero means never
	round  *round
	since  time.Time // when the first beat was sent
}

type peer struct {
	server string
	count  uint64
	seen   time.Time
}

// round is one wait until all other nodes have answered. Calls that come while one is under way share the next.
type round struct {
	done chan struct{}
	err  error
}

// follow subscribes to what all nodes hear.
func (e *Engine) follow() error {
	for subject, take := range map[string]func(*nats.Msg){
		e.sub.nodes():         e.peers.hear,
		e.sub.settle():        e.peers.answer,
		e.sub.watch():         e.leases.watched,
		e.sub.liveCommands():  e.commands.take,
		e.sub.liveProbe(e.id): e.probes.arrived,
	} {
		if err := e.in.follow(subject, take); err != nil {
			return err
		}
	}
	return nil
}

// beat sends this node's beat when it is time, and reports a gap if one of another node is missing.
func (p *peers) beat(now time.Time) {
	e := p.engine
	renewing := e.leases.renewing(now)
	p.mu.Lock()
	due := now.Sub(p.sent) >= beatEvery
	var data []byte
	if due {
		p.count++
		p.sent = now
		if p.since.IsZero() {
			p.since = now
		}
		data, _ = json.Marshal(beat{e.id, e.in.server(), p.count, renewing}) //nolint:errcheck // it has strings and a number
	}
	if !p.heard.IsZero() && now.Sub(p.heard) > deafAfter {
		p.deaf = true
	}
	if !p.again.IsZero() && !now.Before(p.again) {
		p.missed, p.again = true, time.Time{}
	}
	gap := p.missed && now.Sub(p.gapped) > gapEvery
	if gap {
		p.missed, p.gapped = false, now
	}
	for id, n := range p.nodes {
		if now.Sub(n.seen) > silentFor {
			delete(p.nodes, id)
		}
	}
	p.mu.Unlock()
	if due {
		e.in.send(e.sub.nodes(), data)
	}
	if gap {
		signal(e.resync)
		e.in.gap()
	}
}

// server returns the server that this node is connected to.
func (in *inward) server() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.nc == nil {
		return ""
	}
	return in.nc.ConnectedServerId()
}

// send sends what need not arrive.
func (in *inward) send(subject string, data []byte) {
	in.mu.Lock()
	nc := in.nc
	in.mu.Unlock()
	if nc != nil {
		nc.Publish(subject, data) //nolint:errcheck // while the connection is cut
	}
}

// heard notes a node's beat.
func (p *peers) hear(m *nats.Msg) {
	e := p.engine
	var b beat
	if json.Unmarshal(m.Data, &b) != nil {
		return
	}
	now := time.Now()
	e.leases.excuse(now, b.Renewing...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.Node == e.id {
		if p.deaf {
			p.deaf = false
			e.leases.excuseAll(now)
		}
		p.heard = now
		return
	}
	if p.nodes == nil {
		p.nodes = map[string]*peer{}
	}
	// A node that is new begins with 1. One that was silent for long is not known any more, and it, or this node, was cut off.
	n := p.nodes[b.Node]
	if n != nil && b.Count > n.count+1 || n == nil && b.Count > 1 {
		p.missed, p.again = true, now.Add(staleFor)
	}
	p.nodes[b.Node] = &peer{b.Server, b.Count, now}
}

// servers returns how many servers have nodes; own is that of this node.
func (p *peers) servers(own string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]bool{own: true}
	for _, n := range p.nodes {
		all[n.server] = true
	}
	return len(all)
}

// young reports whether this node may not have heard the others yet.
func (p *peers) young() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since.IsZero() || time.Since(p.since) < 2*beatEvery
}

// elsewhere returns the nodes on other servers.
func (p *peers) elsewhere(server string) map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]bool{}
	for id, n := range p.nodes {
		if n.server != server {
			all[id] = true
		}
	}
	return all
}

// hears reports whether this node hears itself.
func (p *peers) hears() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.deaf && !p.heard.IsZero()
}

// settle waits until every server knows what this node has subscribed to. Its own server knows it when it answers; those of
// other nodes when these answer, because what a server passes on keeps its order.
func (p *peers) settle(ctx context.Context, s *store) error {
	p.mu.Lock()
	r := p.round
	if r == nil { // begin one
		r = &round{done: make(chan struct{})}
		p.round = r
		p.mu.Unlock()
		return p.run(ctx, s, r)
	}
	p.mu.Unlock()
	// One is under way that may have begun too early: wait for it, then for the next.
	select {
	case <-r.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	r = p.round
	if r == nil {
		r = &round{done: make(chan struct{})}
		p.round = r
		p.mu.Unlock()
		return p.run(ctx, s, r)
	}
	p.mu.Unlock()
	select {
	case <-r.done:
		if r.err != nil && ctx.Err() == nil { // it may have been the context of another caller
			return p.ask(ctx, s)
		}
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *peers) run(ctx context.Context, s *store, r *round) error {
	r.err = p.ask(ctx, s)
	p.mu.Lock()
	p.round = nil
	p.mu.Unlock()
	close(r.done)
	return r.err
}

// ask asks the nodes on other servers whether they hear this one, and waits for their answers; not for long, since some may be
// gone. A node that has just come to a cluster knows no others yet: it waits for who answers.
func (p *peers) ask(ctx context.Context, s *store) error {
	e := p.engine
	nodes := p.elsewhere(s.nc.ConnectedServerId())
	settleWait := settleWait
	if s.nc.ConnectedClusterName() != "" && p.young() {
		nodes[""], settleWait = true, youngWait
	}
	if len(nodes) == 0 {
		ctx, cancel := context.WithTimeout(ctx, attempt)
		defer cancel()
		return sending(s.nc.FlushWithContext(ctx))
	}
	answers, done, err := s.ask(&nats.Msg{Subject: e.sub.settle()}, len(nodes)+16)
	if err != nil {
		return err
	}
	defer done()
	wait, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	for len(nodes) > 0 {
		m, err := receive(wait, answers)
		if err != nil {
			if ctx.Err() == nil && wait.Err() != nil {
				return nil
			}
			return err
		}
		delete(nodes, string(m.Data))
	}
	return nil
}

func (p *peers) answer(m *nats.Msg) {
	e := p.engine
	if m.Reply != "" {
		e.in.send(m.Reply, []byte(e.id))
	}
}

// others reports whether nodes on other servers are heard of.
func (p *peers) others() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.nodes) > 0
}

// miss has a gap be reported soon.
func (p *peers) miss() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missed = true
}
