package natsengine

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// mux passes replies to the waiting calls. A reply may consist of several messages. When the connection is lost, all waiting calls
// fail.
type mux struct {
	nc     *nats.Conn
	prefix string

	mu      sync.Mutex
	n       uint64
	waiting map[string]chan *nats.Msg
}

func newMux(nc *nats.Conn) (*mux, error) {
	m := &mux{nc: nc, prefix: nats.NewInbox() + ".", waiting: map[string]chan *nats.Msg{}}
	sub, err := nc.Subscribe(m.prefix+"*", m.dispatch)
	if err != nil {
		return nil, err
	}
	return m, sub.SetPendingLimits(-1, -1)
}

func (m *mux) dispatch(msg *nats.Msg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.waiting[strings.TrimPrefix(msg.Subject, m.prefix)]; c != nil {
		select {
		case c <- msg:
		default: // more replies than were requested
		}
	}
}

// failAll makes all waiting calls fail, because the connection is lost.
func (m *mux) failAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, c := range m.waiting {
		close(c)
		delete(m.waiting, key)
	}
}

// send sends a request and returns a channel for up to n replies. done releases the channel.
func (m *mux) send(msg *nats.Msg, n int) (answers <-chan *nats.Msg, done func(), err error) {
	c := make(chan *nats.Msg, n)
	m.mu.Lock()
	m.n++
	key := strconv.FormatUint(m.n, 36)
	m.waiting[key] = c
	m.mu.Unlock()
	done = func() {
		m.mu.Lock()
		delete(m.waiting, key)
		m.mu.Unlock()
	}
	msg.Reply = m.prefix + key
	if err := m.nc.PublishMsg(msg); err != nil {
		done()
		return nil, nil, sendError(err)
	}
	return c, done, nil
}

// receive waits for a reply.
func receive(ctx context.Context, c <-chan *nats.Msg) (*nats.Msg, error) {
	select {
	case msg, ok := <-c:
		if !ok {
			return nil, errDisconnected
		}
		if len(msg.Data) == 0 && msg.Header.Get("Status") == "503" {
			return nil, errNoResponders
		}
		return msg, nil
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), errTimeout) {
			return nil, errTimeout
		}
		return nil, ctx.Err()
	}
}

// request sends a request and decodes its reply. It repeats the request while the error is temporary: see [persist].
func (m *mux) request(ctx context.Context, subject string, header nats.Header, data []byte, read func(*nats.Msg) error) error {
	return withRetry(ctx, func(ctx context.Context) error {
		msg, err := m.tryRequest(ctx, &nats.Msg{Subject: subject, Header: header, Data: data})
		if err != nil {
			return err
		}
		return read(msg)
	})
}

// tryRequest sends a request and waits up to retryInterval for its reply.
func (m *mux) tryRequest(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	answers, done, err := m.send(msg, 1)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeoutCause(ctx, retryInterval, errTimeout)
	defer cancel()
	return receive(ctx, answers)
}
