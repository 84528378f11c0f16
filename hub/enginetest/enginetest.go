// Package enginetest is the test suite that every [hub.Engine] must pass. It runs hubs on the engine, one for each node of a
// cluster, with clients that record what they receive. Tests of interfaces that the engine does not implement are skipped.
//
//	func TestEngine(t *testing.T) {
//		enginetest.Run(t, enginetest.Options{}, func(t testing.TB) enginetest.Cluster {
//			server := startServer(t) // empty, and stopped by t.Cleanup
//			return enginetest.Cluster{
//				Node:   func(t testing.TB) hub.Engine { return myengine.New(server.Addr) },
//				Faults: map[string]func(testing.TB) func(){"a stopped server": server.stop},
//			}
//		})
//	}
//
// [Client] and [Codec] are also useful for other tests of hubs.
package enginetest

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
)

// Cluster is an engine under test: an empty server or store, and the nodes that share it. Only Node is required.
type Cluster struct {
	// Node returns the engine of another node. Its resources are released when the test ends.
	Node func(t testing.TB) hub.Engine

	// Kill ends the node with this engine without any cleanup, like kill -9. nil means that nodes cannot be killed.
	Kill func(e hub.Engine)

	// Faults are faults to inject while messages are flowing. Each function begins a fault, and returns a function that ends it. Faults are
	// injected one after the other, each for the time Hold.
	Faults map[string]func(t testing.TB) (end func())

	// Flood prepares the server for a flood of large messages, for example with a small limit for the data that waits for a node. The
	// flood lasts until lost reports true, and end undoes the preparation. nil means that nothing need be prepared.
	Flood func(t testing.TB) (lost func() bool, end func())

	// Hold is how long each fault lasts. 0 means 200 ms.
	Hold time.Duration

	// Forgets reports whether a fault may lose the history: then a subscriber may be notified that its position is of another
	// epoch.
	Forgets bool

	// Second is the shortest lifetime that the engine supports for stored data. 0 means one second.
	Second time.Duration
}

// Options configures the suite.
type Options struct {
	// Pure reports that the engine uses nothing outside of the process: its tests run in a synctest bubble.
	Pure bool

	// Flow is the number of messages that each publisher publishes in the tests with continuous traffic. 0 means 2,000.
	Flow int

	// FaultsOnly runs only the flow tests with a fault, for an engine that has passed the other tests.
	FaultsOnly bool
}

// namespaces are the namespaces of the suite's hubs.
var namespaces = []hub.Namespace{
	{Prefix: "plain:"},
	{Prefix: "history:", History: 10_000, HistoryAge: time.Hour},
	{Prefix: "small:", History: 2, HistoryAge: time.Hour},
	{Prefix: "short:", History: 100, HistoryAge: 2 * time.Second},
	{Prefix: "keyed:", History: 100, HistoryAge: time.Hour, Slow: hub.SlowLatest},
	{Prefix: "room:", Presence: true, History: 100, HistoryAge: time.Hour},
}

// suite is the state of one test.
type suite struct {
	*testing.T
	Cluster
	opts  Options
	nodes int
}

// Parallel allows four tests to run in parallel, even with fewer processors, since most of them wait. A TestMain should
// call it before the tests run; the flag -parallel takes precedence.
func Parallel() {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return
	}
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err) // the program is not a test binary
	}
}

// Run runs the suite. It calls open for each test to make a cluster. Tests that mostly wait run in parallel, after the test that has called
// Run has returned.
func Run(t *testing.T, o Options, open func(t testing.TB) Cluster) {
	if o.Flow == 0 {
		o.Flow = 2000
	}
	if !o.FaultsOnly {
		runWithoutFaults(t, o, open)
	}
	names := newSuite(t, o, open).Faults
	for name := range names {
		t.Run("flow with "+name, func(t *testing.T) { flow(newSuite(t, o, open), name) })
	}
}

// runWithoutFaults runs the tests that inject no fault.
func runWithoutFaults(t *testing.T, o Options, open func(t testing.TB) Cluster) {
	run := func(name string, f func(*suite), waits bool) {
		t.Run(name, func(t *testing.T) {
			if o.Pure {
				synctest.Test(t, func(t *testing.T) { f(newSuite(t, o, open)) })
				return
			}
			s := newSuite(t, o, open)
			if waits {
				t.Parallel()
			}
			f(s)
		})
	}
	timed := func(name string, f func(*suite)) { run(name, f, false) }
	waits := func(name string, f func(*suite)) { run(name, f, true) } // tests that mostly wait for a timeout run in parallel
	timed("order", order)
	timed("history", history)
	timed("history in reverse", reverse)
	timed("history too old", tooOld)
	timed("pages", pages)
	timed("pages of connections", entryPages)
	waits("history by age", byAge)
	timed("recovery", recovery)
	timed("not kept", notKept)
	timed("idempotency", idempotency)
	if o.Pure {
		timed("idempotency ends", idempotencyEnds)
	}
	timed("expected offset", expectedOffset)
	timed("several together", publishTogether)
	waits("expiry", expiry)
	timed("trim", trim)
	timed("keyed", keyed)
	waits("keys expire", keysExpire)
	timed("keyed catch-up", keyedCatchUp)
	timed("presence", presence)
	timed("presence by user", presenceByUser)
	waits("presence of a killed node", presenceOfKilledNode)
	waits("presence in pages", presencePages)
	timed("versions of entries", versions)
	waits("claim", claim)
	waits("occupied", occupied)
	timed("commands", commands)
	timed("positions", positions)
	timed("probe", probe)
	timed("trace", trace)
	t.Run("flow", func(t *testing.T) { flow(newSuite(t, o, open), "") })
	t.Run("flow with "+flood, func(t *testing.T) { flow(newSuite(t, o, open), flood) })
	t.Run("flow of presence", func(t *testing.T) { presenceFlow(newSuite(t, o, open)) })
}

func newSuite(t *testing.T, o Options, open func(t testing.TB) Cluster) *suite {
	s := &suite{T: t, Cluster: open(t), opts: o}
	if s.Hold == 0 {
		s.Hold = 200 * time.Millisecond
	}
	if s.Second == 0 {
		s.Second = time.Second
	}
	return s
}

// hub starts a hub on a new engine.
func (s *suite) hub() *hub.Hub {
	s.Helper()
	return s.hubOn(s.Node(s))
}

func (s *suite) hubOn(e hub.Engine) *hub.Hub {
	s.Helper()
	return s.hubWith(hub.Options{Engine: e})
}

func (s *suite) hubWith(o hub.Options) *hub.Hub {
	s.Helper()
	o.Namespaces, o.ProbeEvery = namespaces, 200*time.Millisecond
	h := hub.New(o)
	s.Cleanup(func() {
		if err := h.Close(); err != nil {
			s.Logf("closing a hub: %v", err)
		}
	})
	return h
}

// client creates a client that joins h as a user.
func (s *suite) client(h *hub.Hub, user string) *Client {
	s.Helper()
	s.nodes++
	return NewClient(s, h, nil, hub.Client{ID: fmt.Sprintf("c%d", s.nodes), User: user, Data: []byte("data of " + user)})
}
