//go:build e2e

package cluster

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

// fault is a failure of a part of a cluster while the clients continue. perform returns how long the other nodes listed the members of the
// lost node; 0 if no node was lost.
type fault struct {
	name     string
	perform  func(t *testing.T, c *cluster, w *crowd) time.Duration
	possible func(c *cluster) bool // whether the fault is possible in c; nil means always
}

var faults = []fault{
	{"none", func(*testing.T, *cluster, *crowd) time.Duration {
		<-time.After(time.Second) // a run without a fault, for comparison
		return 0
	}, nil},
	{"kill -9 of a node, which is then restarted", killNode, nil},
	{"a node stopped with SIGSTOP, and continued later", stopNode, nil},
	{"kill -9 of the engine, which is then restarted", func(t *testing.T, c *cluster, _ *crowd) time.Duration {
		c.restart(t, func() { <-time.After(2 * time.Second) })
		return 0
	}, func(c *cluster) bool { return c.restart != nil }},
	{"a node cut off from the other nodes and the engine, and reconnected later", cutNode, func(c *cluster) bool { return c.net != nil }},
}

// killNode kills the second node, whose clients reconnect to the other nodes.
func killNode(t *testing.T, c *cluster, w *crowd) time.Duration {
	n := c.nodes[1]
	dead := w.connectedTo(n)
	w.unwatch(n)
	n.kill()
	began := time.Now()
	took := w.waitGone(t, dead, n).Sub(began)
	n.start()
	w.watch(t, n)
	return took
}

// stopNode suspends the third node for w.away.
func stopNode(t *testing.T, c *cluster, w *crowd) time.Duration {
	n := c.nodes[2]
	dead := w.connectedTo(n)
	n.server.Signal(syscall.SIGSTOP)
	began := time.Now()
	took := w.waitGone(t, dead, n).Sub(began)
	<-time.After(time.Until(began.Add(w.away)))
	n.server.Signal(syscall.SIGCONT)
	return took
}

// cutNode disconnects the third node from the network of the nodes and the engine. The node's clients can still reach it.
func cutNode(t *testing.T, c *cluster, w *crowd) time.Duration {
	n := c.nodes[2]
	dead := w.connectedTo(n)
	c.net.cut(t, 2, true)
	began := time.Now()
	took := w.waitGone(t, dead, n).Sub(began)
	<-time.After(time.Until(began.Add(w.away)))
	c.net.cut(t, 2, false)
	return took
}

// After any failure of a node, of the engine or of the network between them, each subscriber receives each acknowledged message
// once and in order, members of a lost node disappear soon, no leave is announced twice, and the resources used for clients are
// released at the end.
func TestFaults(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			f := size()
			c := startCluster(t, e.start, lan(t))
			// The first clients start worker goroutines that remain, so before must be measured after these clients.
			startCrowd(t, c, form{subscribers: 60, channels: 3, pace: 50 * time.Millisecond}).shutdown(t)
			first, lost := c.nodes[0], c.nodes[2] // lost is suspended and disconnected, but not restarted
			before, beforeLost := first.resources(), lost.resources()
			w := startCrowd(t, c, f)
			for _, x := range faults {
				if x.possible != nil && !x.possible(c) {
					continue
				}
				t.Run(x.name, func(t *testing.T) { runFault(t, e.name, c, w, x) })
			}
			w.shutdown(t)
			if s := w.takeSum(); s.lost+s.duplicates+s.gaps > 0 {
				t.Errorf("at the end: %+v", s)
			}
			waitResources(t, "a node that was never lost", first, before)
			waitResources(t, "a node that was suspended and disconnected", lost, beforeLost)
		})
	}
}

// runFault causes one fault, and checks all guarantees.
func runFault(t *testing.T, engine string, c *cluster, w *crowd, x fault) {
	w.waitCaughtUp(t)
	w.waitAgreement(t)
	w.takeSum()
	w.announcements()
	first := w.acked()
	began := time.Now()
	ran := bounded.Clock(t)
	took := x.perform(t, c, w)
	stalled := time.Since(began) - ran()
	fixed := time.Now()
	w.waitProgress(t)
	w.waitCaughtUp(t)
	recovered := time.Since(fixed)
	w.waitAgreement(t)
	s := w.takeSum()
	leaves, twice := w.announcements()
	for _, n := range first {
		s.acked -= n
	}
	t.Logf("%s: in %v: %+v, members gone after %v, caught up %v after the end, %d leaves announced", engine,
		time.Since(began).Round(time.Millisecond), s, took.Round(time.Millisecond), recovered.Round(time.Millisecond), leaves)
	if s.acked == 0 || s.received == 0 {
		t.Errorf("nothing was published: %+v", s)
	}
	if s.lost > 0 || s.duplicates > 0 || s.gaps > 0 {
		t.Errorf("%d lost, %d twice or late, %d gaps", s.lost, s.duplicates, s.gaps)
	}
	if took-stalled > w.presence {
		t.Errorf("members of the lost node were listed for %v, including %v in which this process was not scheduled", took, stalled)
	}
	if len(twice) > 0 {
		t.Errorf("announced twice: %d: %s", len(twice), strings.Join(twice[:min(len(twice), 5)], ", "))
	}
	record(result{engine: engine, fault: x.name, subscribers: len(w.subscribers), sum: s, presence: took, recovered: recovered,
		duplicates: len(twice), failed: t.Failed()})
}

// waitResources waits until a node uses about as many resources as before its clients connected. what describes the node.
func waitResources(t *testing.T, what string, n *node, before resources) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(n.get("/debug/pprof/goroutine?debug=1"))
		}
	}()
	const slack = 16 // for example for connections to the engine
	var now resources
	harness.Until(t, fmt.Sprintf("what clients cost is given back: before %+v", before), func() bool {
		now = n.resources()
		return now.goroutines > 0 && now.goroutines <= before.goroutines+slack && now.descriptors <= before.descriptors+slack
	})
	t.Logf("%s: before %+v, after %+v", what, before, now)
}
