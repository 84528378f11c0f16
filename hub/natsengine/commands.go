package natsengine

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/internal/record"
)

// commands receives the commands for all nodes. They have a separate stream, so that a node that was disconnected can read the
// commands that it has missed.
type commands struct {
	engine *Engine

	mu   sync.Mutex // held while a command is delivered
	last uint64     // the sequence of the last delivered command
}

// Broadcast implements [hub.Broadcast].
func (e *Engine) Broadcast(ctx context.Context, c hub.Command) error {
	data, o := record.AppendCommand(nil, &c), putOptions{id: rand.Text(), ttl: commandTTL}
	return e.call(ctx, func(s *store, _ string) error {
		_, err := s.put(ctx, e.sub.commands(), data, o)
		return err
	})
}

const commandTTL = 5 * time.Minute // how long commands are kept for disconnected nodes

// receive delivers a live command. If an earlier command was missed, take instead requests that this command and the missed ones
// are read from the stream.
func (c *commands) receive(m *nats.Msg) {
	seq, previous := number(m.Header, "Nats-Sequence"), number(m.Header, "Nats-Last-Sequence")
	c.mu.Lock()
	defer c.mu.Unlock()
	if seq <= c.last {
		return
	}
	if previous > c.last {
		signal(c.engine.resync)
		return
	}
	c.deliver(m.Data, seq)
}

// deliver delivers a command. The caller holds mu.
func (c *commands) deliver(data []byte, seq uint64) {
	c.last = seq
	if cmd, err := record.Command(data); err == nil {
		c.engine.inbound.sink.Command(cmd)
	}
}

// reread delivers the missed commands. For a node that has just started, it only determines which command is the last.
func (c *commands) reread(ctx context.Context, s *store, again bool) error {
	if !again {
		top, err := s.last(ctx, s.log, c.engine.sub.commands())
		if err == nil && top != nil {
			c.mu.Lock()
			c.last = max(c.last, top.seq)
			c.mu.Unlock()
		}
		return err
	}
	c.mu.Lock()
	from := c.last + 1
	c.mu.Unlock()
	for {
		items, more, err := s.batch(ctx, s.log, c.engine.sub.commands(), from, 500)
		if err != nil {
			return err
		}
		c.mu.Lock()
		for _, i := range items {
			if i.seq > c.last {
				c.deliver(i.data, i.seq)
			}
			from = i.seq + 1
		}
		c.mu.Unlock()
		if more == 0 || len(items) == 0 {
			return nil
		}
	}
}
