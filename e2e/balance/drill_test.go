//go:build e2e

package balance

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
)

// mixedKinds lists three servers of different kinds.
var mixedKinds = []string{"", "gorilla", "Node's ws"}

// trial is an event that affects a balancer, its servers or its clients while the crowd keeps sending.
type trial struct {
	name         string
	want         string // the expected result, in addition to the checks of every trial
	setup        func(f form) farmOptions
	perform      func(s *stage) bounds             // performs the event, and returns what the clients may observe
	storm        bool                              // the number of clients is form.storm instead of form.clients
	startClients func(s *stage, n int) clientGroup // starts the clients; nil means echoClients
}

// clientGroup is implemented by all kinds of clients of a trial.
type clientGroup interface {
	waitProgress()               // waits until each client has received another reply
	expect(allowed bounds) tally // checks and returns the clients' observations since the last call
	leave()                      // stops all clients
}

// echoClients starts clients of an echo server.
func echoClients(s *stage, n int) clientGroup { return startCrowd(s.t, s.url(), n, s.pause) }

var trials = []trial{
	{name: "rolling restart of three servers", want: "clients are closed with 1012, no faster than the configured pace of a drain", setup: three, perform: rollingRestart},
	{name: "rolling restart with hold: stateless", want: "no client is closed", setup: heldEcho, perform: heldRestart},
	{name: "rolling restart with hold: resume, for clients of channels", want: "no client is closed; every acknowledged message arrives",
		setup: heldChannels, perform: heldRestart, startClients: channelClients},
	{name: "rolling restart with hold: resume, for the JavaScript SDK of Centrifugo", want: "no client is closed; every acknowledged message arrives",
		setup: heldChannels, perform: heldRestart, startClients: javascriptClients},
	{name: "kill -9 of a server with hold: resume, for clients of channels", want: "no client is closed; every acknowledged message arrives",
		setup: heldChannels, perform: heldKill, startClients: channelClients},
	{name: "kill -9 of a server, which is then restarted", want: "only the clients of that server are closed, with 1012", setup: three, perform: kill},
	{name: "a new server accepts connections and hangs; another one is drained", want: "only the drain closes clients, with 1012; the new server is ejected after five handshakes",
		setup: joining, perform: hang},
	{name: "a new server fails half of its handshakes; another one is drained", want: "only the drain closes clients, with 1012", setup: joining, perform: half},
	{name: "slow handshakes: a new server takes 2 s for each, and clients send theirs in pieces; another server is drained",
		want: "only the drain closes clients, with 1012; the slow clients are admitted", setup: joining, perform: slow},
	{name: "two servers become four", want: "clients are only closed with 1012; at the end no server has more than 1.2 times its share", setup: two, perform: scaleOut},
	{name: "five reloads of the balancer", want: "no client is closed", setup: three, perform: reload},
	{name: "all clients lose their connections and return within a second", want: "503 with Retry-After, if a handshake is refused", setup: three, perform: storm, storm: true},
	{name: "clients that never read; their server is drained", want: "only the drain closes clients, with 1012, and the drain ends; the balancer uses less than 64 MiB of additional memory",
		setup: three, perform: clientsThatNeverRead},
	{name: "a server that never reads, which is drained", want: "no connection to another server is closed; the drain ends; the balancer uses less than 64 MiB of additional memory",
		setup: three, perform: serverThatNeverReads},
}

func three(f form) farmOptions {
	return farmOptions{kinds: mixedKinds, balance: fmt.Sprintf(", drain: {per_second: %g}", f.pace)}
}

// joining configures no slow start, so that new servers immediately receive their full share of clients.
func joining(f form) farmOptions {
	o := three(f)
	o.balance += ", slow_start: 0s"
	return o
}

func two(f form) farmOptions {
	return farmOptions{kinds: append(slices.Clone(mixedKinds), "Python's websockets"), proxied: 2,
		balance: fmt.Sprintf(", slow_start: %v, rebalance: {enabled: true, per_second: %g}", f.slowStart, f.pace/5)}
}

// stage is a running trial.
type stage struct {
	form
	*farm
	t      *testing.T
	c      clientGroup
	began  time.Time
	spread []sample
	notes  []string // additional text for the table of results
	leave  []func() // functions that stop additional clients
}

// TestDrill runs all trials, each with its own clients. The trials of the long form do not run in parallel.
func TestDrill(t *testing.T) {
	for _, x := range trials {
		t.Run(x.name, func(t *testing.T) {
			if !*drill {
				t.Parallel() // the short trials mostly wait
			}
			x.run(t, size())
		})
	}
}

// run runs the trial and records its result.
func (x trial) run(t *testing.T, f form) {
	r := result{name: x.name, want: x.want, clients: f.clients}
	if x.storm {
		r.clients = f.storm
	}
	var s *stage
	defer func() {
		r.failed = t.Failed()
		record(r)
		if r.failed && s != nil {
			t.Logf("the balancer says:\n%s", s.logHead(20))
		}
	}()
	s = &stage{form: f, farm: start(t, x.setup(f)), t: t}
	defer s.end()
	startClients := x.startClients
	if startClients == nil {
		startClients = echoClients
	}
	s.c = startClients(s, r.clients)
	s.c.expect(bounds{refused: true})
	s.began = time.Now()
	allowed := x.perform(s)
	r.took = time.Since(s.began)
	ended := time.Now()
	s.c.waitProgress()
	r.recovery = time.Since(ended)
	r.seen = s.c.expect(allowed)
	r.notes, r.spread = s.notes, s.spread
	t.Logf("%d clients, took %v, all back %v later: %+v, %q", r.clients, r.took, r.recovery, r.seen, r.notes)
	s.end()
	bounded.Until(t, func() bool {
		n := 0
		for _, server := range s.status() {
			n += server.Live
		}
		return n == 0
	})
}

// logHead returns the first lines of the balancer's log, without those about successful or closed connections.
func (s *stage) logHead(most int) string {
	var all []string
	for line := range strings.Lines(s.balancer.Log.String()) {
		if !strings.Contains(line, "msg=closed") && !strings.Contains(line, "msg=opened") {
			all = append(all, line)
		}
	}
	return strings.Join(all[:min(most, len(all))], "")
}

// end stops all clients.
func (s *stage) end() {
	for _, leave := range s.leave {
		leave()
	}
	s.leave = nil
	if s.c != nil {
		s.c.leave()
	}
}

func (s *stage) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// drain drains a server, checks the pace, and returns how many connections the server had.
func (s *stage) drain(id string) int {
	s.t.Helper()
	had := s.live(id)
	if had == 0 {
		s.t.Fatalf("%s has no connections", id)
	}
	began := time.Now()
	s.empty(id)
	// The intervals are jittered, but their average over many connections is close to 1/pace. Load can only make them longer.
	if least := time.Duration(0.8 * float64(had-1) / s.pace * float64(time.Second)); time.Since(began) < least {
		s.t.Errorf("got %d closed connections in %v, want at most %g a second", had, time.Since(began), s.pace)
	}
	return had
}

func rollingRestart(s *stage) bounds {
	moved := 0
	for i, server := range s.servers {
		began := time.Now()
		n := s.drain(s.id(i))
		s.note("%d clients of %s moved in %.1f s", n, server.name(), time.Since(began).Seconds())
		moved += n
		s.stop(server)
		s.run(server)
		s.do("undrain", s.id(i))
		s.ready(s.id(i))
		s.c.waitProgress()
	}
	return bounds{code: "1012", atLeast: moved, atMost: moved, refused: true}
}

// name is the name of a server in the table.
func (u *upstream) name() string {
	if u.kind == "" {
		return "handfast"
	}
	return u.kind
}

// ready waits until the balancer considers a server ready.
func (s *stage) ready(id string) {
	s.t.Helper()
	harness.Until(s.t, id+" is ready", func() bool { return s.status()[id].State == "ready" })
}

func kill(s *stage) bounds {
	had := s.live(s.id(0))
	s.farm.kill(s.servers[0])
	s.c.waitProgress()
	s.note("the server had %d clients", had)
	s.run(s.servers[0])
	return bounds{code: "1012", atLeast: had, atMost: had, refused: true}
}

// join adds a server, drains the first one, and waits until the clients of the drained server have reconnected.
func (s *stage) join(id string) bounds {
	s.t.Helper()
	s.do("add", id)
	s.ready(id)
	n := s.drain(s.id(0))
	s.c.waitProgress()
	return bounds{code: "1012", atLeast: n, atMost: n, refused: true}
}

func hang(s *stage) bounds {
	id, asked := startSilentServer(s.t)
	b := s.join(id)
	ejected := false
	for line := range strings.Lines(s.balancer.Log.String()) {
		ejected = ejected || strings.Contains(line, id) && strings.Contains(line, "state=ejected")
	}
	if n := asked.Load(); n >= 5 && !ejected { // servers are ejected after five consecutive failures
		s.t.Errorf("the server is not ejected after %d handshakes, want 5", n)
	}
	s.note("%d handshakes reached the new server, ejected: %t", asked.Load(), ejected)
	if n := s.live(id); n > 0 {
		s.t.Errorf("got %d connections at the hanging server, want 0", n)
	}
	return b
}

func half(s *stage) bounds {
	h := &halfServer{}
	b := s.join(serve(s.t, h))
	s.note("the new server failed %d of %d handshakes", h.failed.Load(), h.requests.Load())
	if h.failed.Load() == 0 {
		s.t.Error("the server has failed no handshake")
	}
	return b
}

func slow(s *stage) bounds {
	id := serve(s.t, &slowServer{delay: 2 * time.Second})
	in := s.slowClients()
	b := s.join(id)
	harness.Until(s.t, "the slow clients are in", func() bool { return int(in.Load()) == s.few })
	s.note("%d slow clients were admitted", s.few)
	s.note("the slow server has %d clients", s.live(id))
	return b
}

func scaleOut(s *stage) bounds {
	s.sample()
	s.do("add", s.id(2))
	s.do("add", s.id(3))
	most := s.clients*3/10 + 1
	harness.Until(s.t, "no server has more than its share", func() bool { return slices.Max(s.sample()) <= most })
	return bounds{code: "1012", atLeast: s.clients * 2 / 5, atMost: 2 * s.clients}
}

func reload(s *stage) bounds {
	ids := s.ids()
	all := strings.Join(ids, ", ")
	for i, set := range [][2]string{
		{strings.Join(ids[:2], ", "), ""}, {all, ""}, {"{url: " + ids[0] + ", weight: 5}, " + ids[2], ", policy: round_robin"},
		{all, ", retries: 0, slow_start: 1s, sticky: hf"}, {all, ", policy: hash, key: address, slow_start: 0s"},
	} {
		s.configure(set[0], set[1], "")
		s.balancer.Signal(syscall.SIGHUP) // does nothing if the balancer has already noticed the change
		harness.Until(s.t, "the reload is in the log", func() bool { return strings.Count(s.balancer.Log.String(), "configuration reloaded") > i })
		s.c.waitProgress()
	}
	return bounds{}
}

func storm(s *stage) bounds {
	s.c.(*crowd).disconnect()
	return bounds{refused: true}
}

func clientsThatNeverRead(s *stage) bounds {
	before := s.memory()
	written := s.flood(s.url())
	s.note("%d clients sent %d MiB and read nothing", s.floods, written>>20)
	s.note("the balancer used %d MiB of additional memory", s.memoryGrowth(before))
	n := s.drain(s.id(0))
	s.note("the drain closed %d clients", n)
	return bounds{code: "1012", atLeast: n - s.floods, atMost: n, refused: true}
}

func serverThatNeverReads(s *stage) bounds {
	id := serve(s.t, neverReadHandler{})
	s.configure(strings.Join(s.ids(), ", "), fmt.Sprintf(", drain: {per_second: %g}", s.pace), fmt.Sprintf(`  - name: deaf
    path: /deaf
    auth: [anonymous]
    target: {balance: {to: ["ws://%s"]}}
`, id))
	s.balancer.Signal(syscall.SIGHUP)
	harness.Until(s.t, "the reload is in the log", func() bool { return strings.Contains(s.balancer.Log.String(), "configuration reloaded") })
	before := s.memory()
	written := s.flood("ws://" + s.listen + "/deaf")
	s.note("%d clients sent %d MiB to the server", s.floods, written>>20)
	s.note("the balancer used %d MiB of additional memory", s.memoryGrowth(before))
	s.empty(id)
	return bounds{}
}
