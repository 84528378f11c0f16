package natsengine

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	heartbeatInterval   = 500 * time.Millisecond
	peerTimeout         = 3 * time.Second         // after this time a node is considered gone
	ownHeartbeatTimeout = 1500 * time.Millisecond // without its own heartbeat for this time, a node does not end leases
	settleTimeout       = time.Second             // the timeout for replies of nodes that may be gone
	unknownPeersTimeout = 300 * time.Millisecond  // the timeout for replies of nodes that are not known yet
	minGapInterval      = time.Second             // the minimum time between two gaps for missing heartbeats
	staleLeaderTime     = 2 * time.Second         // how long a disconnected leader may still reply as the leader after it has reconnected
)

// heartbeat is the message that each node sends twice a second.
type heartbeat struct {
	Node   string `json:"node"`
	Server string `json:"server"`
	Count  uint64 `json:"count"`

	// Renewing are the leases that the node is trying to renew without success, for example because the stream has no leader. The other
	// nodes do not end these leases.
	Renewing []string `json:"renewing,omitempty"`
}

// peers are the other nodes that this node receives heartbeats from.
type peers struct {
	engine *Engine

	mu           sync.Mutex
	nodes        map[string]*peer
	count        uint64
	sent         time.Time
	lastOwn      time.Time // when this node last received its own heartbeat
	notReceiving bool
	lastGap      time.Time
	missed       bool      // a heartbeat of another node was missed
	gapAgainAt   time.Time // when to report the gap once more, because the data that is read now may be old; zero means never
	round        *settleRound
	since        time.Time // when the first heartbeat was sent
}

type peer struct {
	server string
	count  uint64
	seen   time.Time
}

// settleRound is one round of waiting for the replies of all other nodes. Calls that arrive during a round share the next one.
type settleRound struct {
	done chan struct{}
	err  error
}

// follow subscribes to the subjects that all nodes receive.
func (e *Engine) follow() error {
	for subject, take := range map[string]func(*nats.Msg){
		e.sub.nodes():         e.peers.receive,
		e.sub.settle():        e.peers.answer,
		e.sub.nodeRecords():   e.leases.receive,
		e.sub.liveCommands():  e.commands.receive,
		e.sub.liveProbe(e.id): e.probes.arrived,
	} {
		if err := e.inbound.follow(subject, take); err != nil {
			return err
		}
	}
	return nil
}

// sendHeartbeat sends this node's heartbeat when it is due, and reports a gap if a heartbeat of another node was missed.
func (p *peers) sendHeartbeat(now time.Time) {
	e := p.engine
	renewing := e.leases.renewing(now)
	p.mu.Lock()
	due := now.Sub(p.sent) >= heartbeatInterval
	var data []byte
	if due {
		p.count++
		p.sent = now
		if p.since.IsZero() {
			p.since = now
		}
		data, _ = json.Marshal(heartbeat{e.id, e.inbound.server(), p.count, renewing}) //nolint:errcheck // encoding strings and numbers never fails
	}
	if !p.lastOwn.IsZero() && now.Sub(p.lastOwn) > ownHeartbeatTimeout {
		p.notReceiving = true
	}
	if !p.gapAgainAt.IsZero() && !now.Before(p.gapAgainAt) {
		p.missed, p.gapAgainAt = true, time.Time{}
	}
	gap := p.missed && now.Sub(p.lastGap) > minGapInterval
	if gap {
		p.missed, p.lastGap = false, now
	}
	for id, n := range p.nodes {
		if now.Sub(n.seen) > peerTimeout {
			delete(p.nodes, id)
		}
	}
	p.mu.Unlock()
	if due {
		e.inbound.send(e.sub.nodes(), data)
	}
	if gap {
		signal(e.resync)
		e.inbound.gap()
	}
}

// server returns the ID of the server that this node is connected to.
func (in *inbound) server() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.nc == nil {
		return ""
	}
	return in.nc.ConnectedServerId()
}

// send publishes a message whose loss is acceptable.
func (in *inbound) send(subject string, data []byte) {
	in.mu.Lock()
	nc := in.nc
	in.mu.Unlock()
	if nc != nil {
		nc.Publish(subject, data) //nolint:errcheck // Publish fails only while the connection is lost
	}
}

// receive records a node's heartbeat.
func (p *peers) receive(m *nats.Msg) {
	e := p.engine
	var b heartbeat
	if json.Unmarshal(m.Data, &b) != nil {
		return
	}
	now := time.Now()
	e.leases.restartTimers(now, b.Renewing...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.Node == e.id {
		if p.notReceiving {
			p.notReceiving = false
			e.leases.restartAllTimers(now)
		}
		p.lastOwn = now
		return
	}
	if p.nodes == nil {
		p.nodes = map[string]*peer{}
	}
	// A new node begins with 1. A node that was silent for a long time is no longer known: it or this node was disconnected.
	n := p.nodes[b.Node]
	if n != nil && b.Count > n.count+1 || n == nil && b.Count > 1 {
		p.missed, p.gapAgainAt = true, now.Add(staleLeaderTime)
	}
	p.nodes[b.Node] = &peer{b.Server, b.Count, now}
}

// servers returns the number of servers that have nodes, including own, which is the server of this node.
func (p *peers) servers(own string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]bool{own: true}
	for _, n := range p.nodes {
		all[n.server] = true
	}
	return len(all)
}

// isNew reports whether this node has started so recently that it may not have received heartbeats of the others yet.
func (p *peers) isNew() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since.IsZero() || time.Since(p.since) < 2*heartbeatInterval
}

// onOtherServers returns the nodes that are connected to other servers.
func (p *peers) onOtherServers(server string) map[string]bool {
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

// receivesOwn reports whether this node receives its own heartbeats.
func (p *peers) receivesOwn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.notReceiving && !p.lastOwn.IsZero()
}

// settle waits until every server knows the subscriptions of this node. This node's server knows them when it replies, and the
// others when their nodes reply, because a server forwards messages in order.
func (p *peers) settle(ctx context.Context, s *store) error {
	p.mu.Lock()
	r := p.round
	if r == nil { // start a round
		r = &settleRound{done: make(chan struct{})}
		p.round = r
		p.mu.Unlock()
		return p.run(ctx, s, r)
	}
	p.mu.Unlock()
	// The current round may have started too early: wait until it has ended, and then for the next one.
	select {
	case <-r.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	r = p.round
	if r == nil {
		r = &settleRound{done: make(chan struct{})}
		p.round = r
		p.mu.Unlock()
		return p.run(ctx, s, r)
	}
	p.mu.Unlock()
	select {
	case <-r.done:
		if r.err != nil && ctx.Err() == nil { // the error may be that of another caller's context
			return p.queryPeers(ctx, s)
		}
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *peers) run(ctx context.Context, s *store, r *settleRound) error {
	r.err = p.queryPeers(ctx, s)
	p.mu.Lock()
	p.round = nil
	p.mu.Unlock()
	close(r.done)
	return r.err
}

// queryPeers asks the nodes on other servers to reply, and waits a limited time for their replies, since some nodes may be gone. A
// node that has just joined a cluster does not know the others yet, so it waits a short time for replies of any node.
func (p *peers) queryPeers(ctx context.Context, s *store) error {
	e := p.engine
	nodes := p.onOtherServers(s.nc.ConnectedServerId())
	settleWait := settleTimeout
	if s.nc.ConnectedClusterName() != "" && p.isNew() {
		nodes[""], settleWait = true, unknownPeersTimeout
	}
	if len(nodes) == 0 {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		return sendError(s.nc.FlushWithContext(ctx))
	}
	answers, done, err := s.send(&nats.Msg{Subject: e.sub.settle()}, len(nodes)+16)
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
		e.inbound.send(m.Reply, []byte(e.id))
	}
}

// hasPeers reports whether other nodes are known.
func (p *peers) hasPeers() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.nodes) > 0
}

// scheduleGap schedules a report of a gap.
func (p *peers) scheduleGap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missed = true
}
