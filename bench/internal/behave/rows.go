package behave

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// row is a trial: an event to which a balancer is exposed, and the conditions.
type row struct {
	name    string
	servers []string // each server's initial handshake response; "" for a server that is not running
	spare   int      // additional servers, which are not in the configuration at first
	forever bool     // old connections may stay without a limit
	packed  bool     // run with the timeouts that the distribution packages of the program configure
	level   bool     // run with rebalancing, if supported
	alone   bool     // run without a crowd
	pings   bool     // run with a ping each second, or with TCP keep-alive
	held    bool     // run with servers for channels, and with the balancer's hold mode, if supported
	do      func(ctx context.Context, s *scene) (string, error)
}

var two = []string{AnswerUpgrade, AnswerUpgrade}

var rows = []row{
	{name: "reload: another weight and header", servers: two, do: reweigh},
	{name: "the same reload, old connections may stay", servers: two, forever: true, do: reweigh},
	{name: "reload: one more server", servers: two, spare: 1, do: func(ctx context.Context, s *scene) (string, error) {
		return s.watch(ctx, func(ctx context.Context) error {
			s.join()
			return s.b.change(ctx)
		})
	}},
	{name: "reload: one server less", servers: two, do: func(ctx context.Context, s *scene) (string, error) {
		return s.watch(ctx, func(ctx context.Context) error {
			s.b.now.Servers = s.b.now.Servers[1:]
			return s.b.change(ctx)
		})
	}},
	{name: "drain of one server", servers: two, do: drain},
	{name: "a server answers its checks with 503", servers: two, do: func(ctx context.Context, s *scene) (string, error) {
		text, err := s.watch(ctx, func(context.Context) error {
			s.servers[0].signal(syscall.SIGUSR1)
			return nil
		})
		each, _ := s.crowd.spread(s.servers)
		return fmt.Sprintf("%s; %d left on it", text, each[0]), err
	}},
	{name: "scale-out from 2 to 4, old connections may stay", servers: two, spare: 2, forever: true, level: true, do: scale},
	{name: "a server is killed (-9)", servers: two, do: kill},
	{name: "a server restarts and sends 1001", servers: two, do: restart},
	{name: "a server is drained, clients that can resume", held: true, do: drain},
	{name: "a server is killed (-9), clients that can resume", held: true, do: kill},
	{name: "a server restarts, clients that can resume", held: true, do: restart},
	{name: "the balancer's program is replaced", servers: two, do: replace},
	{name: "the program is replaced, old connections may stay", servers: two, forever: true, do: replace},
	{name: "one of two servers answers 503", servers: []string{AnswerUpgrade, AnswerUnavailable}, alone: true, do: rush},
	{name: "one of two servers refuses TCP", servers: []string{AnswerUpgrade, ""}, alone: true, do: rush},
	{name: "the server answers 200 to an upgrade", servers: []string{AnswerPage}, alone: true, do: ask},
	{name: "the server answers 101 with a wrong key", servers: []string{AnswerWrongKey}, alone: true, do: ask},
	{name: "clients and server are silent, limits as packaged", servers: []string{AnswerUpgrade}, packed: true, alone: true, do: silence},
	{name: "clients are silent behind a proxy that cuts such connections after 3 s", servers: two[:1], alone: true, pings: true, do: forgotten},
}

// scene is a row run with one tool.
type scene struct {
	*Options
	b       *balancer
	servers []*server
	crowd   *crowd
	room    *room
}

// play runs a row, and returns the result.
func (o *Options) play(ctx context.Context, t tool, path string, r row) (string, error) {
	s := &scene{Options: o}
	defer s.close()
	now := situation{Bound: int(o.Bound.Seconds()), Rebalance: r.level, Packaged: r.packed, Hold: r.held, Pings: r.pings, Delay: t.name == "Caddy" && delays(ctx, path, o.Dir)}
	if r.forever {
		now.Bound = 0
	}
	for i, answer := range append(slices.Clone(r.servers), slices.Repeat(two[:1], r.spare)...) {
		one, err := newServer(ctx, o.Upstream, answer)
		if err != nil {
			return "", err
		}
		s.servers = append(s.servers, one)
		if i < len(r.servers) {
			now.Servers = append(now.Servers, member{Addr: one.addr, Weight: 1})
		}
	}
	var err error
	if r.held {
		if s.room, s.servers, err = openRoom(ctx, o.Handfast, o.Dir); err != nil {
			return "", err
		}
		for _, one := range s.servers {
			now.Servers = append(now.Servers, member{Addr: one.addr, Weight: 1})
		}
	}
	if s.b, err = open(ctx, t, path, o.Dir, now); err != nil || r.alone {
		if err != nil {
			return "", err
		}
		return r.do(ctx, s)
	}
	every := 500 * time.Millisecond
	if r.held {
		every = 0 // no messages, because servers for channels accept only commands
	}
	if s.crowd, err = startCrowd(ctx, s.b.now.Listen, o.Clients, every, s.room); err != nil {
		return "", fmt.Errorf("the crowd: %w: %s", err, s.b.logs())
	}
	s.b.sees = s.crowd.sees
	s.crowd.addClients(newcomers)
	return r.do(ctx, s)
}

// newcomers is the number of new clients per second.
const newcomers = 50

func (s *scene) close() {
	if s.crowd != nil {
		s.crowd.end()
	}
	if s.b != nil {
		s.b.close()
	}
	for _, one := range s.servers {
		if one.process != nil {
			one.kill()
		}
	}
	s.room.close()
}

// watch describes how an action affects the clients.
func (s *scene) watch(ctx context.Context, act func(context.Context) error) (string, error) {
	start, before := time.Now(), s.b.members()
	if err := act(ctx); err != nil {
		return "", err
	}
	wait(ctx, s.Window-time.Since(start))
	return s.seen(start, before), ctx.Err()
}

// seen describes the clients' observations since start, and whether there are more processes than before.
func (s *scene) seen(start time.Time, before int) string {
	ends, handshakes := s.crowd.since(start)
	text := ended(ends, start)
	if failed := met(handshakes, start); failed != "" {
		text += "; " + failed
	}
	if n := s.b.members() - before; n > 0 {
		text += fmt.Sprintf("; processes: %d before, %d now", before, before+n)
	}
	if s.room != nil {
		text += s.room.missed()
	}
	return text
}

func kill(ctx context.Context, s *scene) (string, error) {
	return s.watch(ctx, func(context.Context) error {
		s.servers[0].kill()
		return nil
	})
}

func replace(ctx context.Context, s *scene) (string, error) {
	return s.watch(ctx, func(ctx context.Context) error { return s.b.replace(ctx, s.b) })
}

func reweigh(ctx context.Context, s *scene) (string, error) {
	return s.watch(ctx, func(ctx context.Context) error {
		s.b.now.Servers[0].Weight = 2
		return s.b.change(ctx)
	})
}

// join adds all servers to the configuration.
func (s *scene) join() {
	for _, one := range s.servers[len(s.b.now.Servers):] {
		s.b.now.Servers = append(s.b.now.Servers, member{Addr: one.addr, Weight: 1})
	}
}

// left returns the number of clients that remain on the first server.
func (s *scene) left() (int, error) {
	if s.room != nil {
		return connections(s.servers[0].addr)
	}
	each, _ := s.crowd.spread(s.servers)
	return each[0], nil
}

func drain(ctx context.Context, s *scene) (string, error) {
	var parts []string
	for _, way := range s.b.drains {
		text, err := s.watch(ctx, func(ctx context.Context) error { return way.do(ctx, s.b) })
		if err != nil {
			return "", fmt.Errorf("%s: %w", way.what, err)
		}
		left, err := s.left()
		if err != nil {
			return "", err
		}
		parts = append(parts, fmt.Sprintf("%s: %s; %d left on it", way.what, text, left))
	}
	return strings.Join(parts, ". Then "), nil
}

func scale(ctx context.Context, s *scene) (string, error) {
	each, _ := s.crowd.spread(s.servers)
	text, last := share(each), share(each)
	start, before := time.Now(), s.b.members()
	s.join()
	add := s.b.add
	if add == nil {
		add = func(ctx context.Context, b *balancer) error { return b.change(ctx) }
	}
	if err := add(ctx, s.b); err != nil {
		return "", err
	}
	for i := range checks {
		wait(ctx, time.Duration(i+1)*s.Window-time.Since(start))
		each, _ = s.crowd.spread(s.servers)
		if now := share(each); now != last {
			text, last = text+fmt.Sprintf("; %s after %s", now, seconds(time.Since(start))), now
		}
	}
	text += ". " + s.seen(start, before)
	for _, way := range s.b.level {
		said, err := s.watch(ctx, func(ctx context.Context) error { return way.do(ctx, s.b) })
		if err != nil {
			return "", fmt.Errorf("%s: %w", way.what, err)
		}
		each, _ = s.crowd.spread(s.servers)
		text += fmt.Sprintf(". Then %s: %s; %s", way.what, said, share(each))
	}
	return text, ctx.Err()
}

// checks is the number of periods for which the spread is observed after scale-out.
const checks = 6

func restart(ctx context.Context, s *scene) (string, error) {
	text, err := s.watch(ctx, func(ctx context.Context) error {
		old := s.servers[0].process
		old.signal(syscall.SIGTERM)
		<-old.ended
		wait(ctx, time.Second) // simulates the duration of a restart
		return s.servers[0].start(ctx)
	})
	if s.room != nil {
		return text, err
	}
	each, _ := s.crowd.spread(s.servers)
	return text + "; then " + share(each), err
}

// rush opens many connections concurrently to a balancer that has just started.
func rush(ctx context.Context, s *scene) (string, error) {
	c := &crowd{addr: s.b.now.Listen, ctx: ctx}
	start := time.Now()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for range s.Clients / 10 {
				if n, _ := c.connect(); n != nil { // connect records the failures
					n.Close()
				}
			}
		})
	}
	all.Wait()
	_, handshakes := c.since(start)
	text := met(handshakes, start)
	if !slices.ContainsFunc(handshakes, func(e event) bool { return e.what != "" }) {
		text = strings.TrimSuffix(fmt.Sprintf("all %d handshakes succeed; %s", len(handshakes), text), "; ")
	}
	return text, ctx.Err()
}

// ask performs one handshake.
func ask(ctx context.Context, s *scene) (string, error) {
	c, err := dial(ctx, s.b.now.Listen, "")
	if err == nil {
		c.Close()
		return "the handshake succeeds", nil
	}
	return "the client gets: " + err.Error(), nil
}

// silence observes idle connections.
func silence(ctx context.Context, s *scene) (string, error) {
	start := time.Now()
	c, err := startCrowd(ctx, s.b.now.Listen, 5, 0, nil)
	if err != nil {
		return "", err
	}
	wait(ctx, s.Silence)
	ends, _ := c.since(start)
	c.end()
	return fmt.Sprintf("within %s: %s; %d pings", seconds(s.Silence), ended(ends, start), c.pings), ctx.Err()
}

// forgotten observes idle connections through a proxy that cuts them.
func forgotten(ctx context.Context, s *scene) (string, error) {
	p, err := newCutter(s.b.now.Listen, 3*time.Second)
	if err != nil {
		return "", err
	}
	defer p.close()
	start, long := time.Now(), max(s.Window, 7*time.Second)
	c, err := startCrowd(ctx, p.Addr().String(), 5, 0, nil)
	if err != nil {
		return "", err
	}
	wait(ctx, long)
	ends, _ := c.since(start)
	c.end()
	return fmt.Sprintf("within %s: %s; %d pings", seconds(long), ended(ends, start), c.pings), ctx.Err()
}
