package behave

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
)

// protocol is the protocol of clients that can resume; see docs/channels-protocol.md.
const protocol = "handfast.v1.json"

// room is a channel on two servers that share a Redis, with a publisher that numbers its messages. A nil room means there is none.
type room struct {
	redis     *process
	publisher *conn
	stop      context.CancelFunc
	running   sync.WaitGroup

	mu        sync.Mutex
	published int
	seats     []*seat
}

// seat is a subscriber with its successive connections. The fields are guarded by room.mu.
type seat struct {
	room   *room
	epoch  string
	offset uint64
	next   int // the number of the next message; 0 before the first one
	missed int
}

// openRoom starts the servers and their Redis server.
func openRoom(ctx context.Context, handfast, dir string) (r *room, servers []*server, err error) {
	r = &room{stop: func() {}}
	defer func() {
		if err != nil {
			for _, s := range servers {
				s.kill()
			}
			r.close()
		}
	}()
	redis, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	host, port, _ := net.SplitHostPort(redis) // the address of a listener contains a port
	if r.redis, err = start(exec.CommandContext(ctx, "redis-server", "--bind", host, "--port", port, "--save", "", "--dir", dir)); err != nil {
		return nil, nil, err
	}
	if err = load.Await(ctx, redis); err != nil {
		return nil, nil, err
	}
	for range 2 {
		addr, err := freeAddress()
		if err != nil {
			return nil, servers, err
		}
		s := &server{addr: addr, program: handfast, args: []string{"serve", "--listen", addr, "--tls", "off", "--engine", "redis", "--redis-url", "redis://" + redis}}
		if err := s.start(ctx); err != nil {
			return nil, servers, err
		}
		servers = append(servers, s)
	}
	if r.publisher, err = dial(ctx, servers[1].addr, protocol); err != nil {
		return nil, servers, err
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.running.Go(func() { r.publisher.read() }) // answers pings
	r.running.Go(func() { r.publish(ctx) })
	return r, servers, nil
}

// publish publishes a message twice a second.
func (r *room) publish(ctx context.Context) {
	for ctx.Err() == nil {
		r.mu.Lock()
		next := r.published + 1
		r.mu.Unlock()
		if r.publisher.send(textFrame, fmt.Appendf(nil, `{"type":"publish","channel":"room","data":%d}`, next)) != nil {
			return
		}
		r.mu.Lock()
		r.published = next
		r.mu.Unlock()
		wait(ctx, 500*time.Millisecond)
	}
}

func (r *room) close() {
	if r == nil {
		return
	}
	r.stop()
	if r.publisher != nil {
		r.publisher.Close()
	}
	r.running.Wait()
	if r.redis != nil {
		r.redis.kill()
	}
}

func (r *room) subprotocol() string {
	if r == nil {
		return ""
	}
	return protocol
}

// enter returns a new seat, or nil without a room.
func (r *room) enter() *seat {
	if r == nil {
		return nil
	}
	s := &seat{room: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seats = append(r.seats, s)
	return s
}

// on subscribes on a connection, from the last position.
func (s *seat) on(c *conn) {
	if s == nil {
		return
	}
	c.message = s.handle
	since := ""
	s.room.mu.Lock()
	if s.epoch != "" {
		since = fmt.Sprintf(`,"since":{"epoch":%q,"offset":%d}`, s.epoch, s.offset)
	}
	s.room.mu.Unlock()
	_ = c.send(textFrame, fmt.Appendf(nil, `{"type":"subscribe","channel":"room"%s}`, since)) // if the connection has ended, read returns
}

// handle records a message of the server.
func (s *seat) handle(payload []byte) {
	var m struct {
		Type     string
		Position struct {
			Epoch  string
			Offset uint64
		}
		Offset uint64
		Data   int
	}
	if json.Unmarshal(payload, &m) != nil {
		return
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	switch m.Type {
	case "subscribed":
		s.epoch, s.offset = m.Position.Epoch, m.Position.Offset
	case "message":
		s.offset = m.Offset
		if s.next > 0 {
			s.missed += max(m.Data-s.next, 0)
		}
		s.next = m.Data + 1
	}
}

// missed describes how many messages subscribers have missed, after waiting a limited time for everything published so far.
func (r *room) missed() string {
	r.mu.Lock()
	last := r.published
	r.mu.Unlock()
	for deadline := time.Now().Add(timeout); ; <-time.After(10 * time.Millisecond) {
		r.mu.Lock()
		missed, behind := 0, 0
		for _, s := range r.seats {
			missed += s.missed
			behind += max(last+1-s.next, 0)
		}
		r.mu.Unlock()
		if behind > 0 && time.Now().Before(deadline) {
			continue
		}
		if missed+behind == 0 {
			return "; no message is missed"
		}
		return fmt.Sprintf("; %d messages are missed", missed+behind)
	}
}

// connections returns the number of a server's connections, including health checks.
func connections(addr string) (n int, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	if host != "127.0.0.1" {
		return 0, errors.New("an address that no server here has")
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return 0, err
	}
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	local := fmt.Sprintf("0100007F:%04X", number)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if field := strings.Fields(lines.Text()); len(field) > 3 && field[1] == local && field[3] == "01" { // state ESTABLISHED
			n++
		}
	}
	return n, lines.Err()
}

// cutter is a TCP proxy that cuts idle connections.
type cutter struct {
	net.Listener
	to      string
	maxIdle time.Duration
	running sync.WaitGroup

	mu  sync.Mutex
	all map[net.Conn]struct{} // nil after close
}

// newCutter starts a cutter in front of an address.
func newCutter(to string, maxIdle time.Duration) (*cutter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &cutter{Listener: l, to: to, maxIdle: maxIdle, all: map[net.Conn]struct{}{}}
	p.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.carry(c) })
		}
	})
	return p, nil
}

// add registers a connection, which close will close. It returns false if the cutter is already closed.
func (p *cutter) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all != nil {
		p.all[c] = struct{}{}
	}
	return p.all != nil
}

func (p *cutter) carry(c net.Conn) {
	defer c.Close()
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer to.Close()
	if !p.add(c) || !p.add(to) {
		return
	}
	silent := time.AfterFunc(p.maxIdle, func() { c.Close(); to.Close() })
	defer silent.Stop()
	pass := func(from, to net.Conn) {
		b := make([]byte, 4<<10)
		for {
			n, err := from.Read(b)
			if err == nil {
				silent.Reset(p.maxIdle)
				_, err = to.Write(b[:n])
			}
			if err != nil {
				c.Close()
				to.Close()
				return
			}
		}
	}
	var both sync.WaitGroup
	both.Go(func() { pass(c, to) })
	both.Go(func() { pass(to, c) })
	both.Wait()
}

func (p *cutter) close() {
	p.Close()
	p.mu.Lock()
	for c := range p.all {
		c.Close()
	}
	p.all = nil
	p.mu.Unlock()
	p.running.Wait()
}
