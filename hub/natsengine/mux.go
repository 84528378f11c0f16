package natsengine

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

var (
	errCut     = errors.New("natsengine: the connection to the NATS server was lost")
	errNobody  = errors.New("natsengine: no NATS server has this stream, or it has no leader")
	errTooLate = errors.New("natsengine: the NATS server did not answer in time")
)

const (
	attempt     = 10 * time.Second      // the longest wait for one answer
	askAgain    = time.Second           // before a request is sent again
	leaderPause = 50 * time.Millisecond // between two attempts while there is no leader
)

// mux hands answers to those that wait for them. An answer may be several messages. When the connection is lost, all of them get to
// know.
type mux struct {
	nc     *nats.Conn
	prefix string

	mu      sync.Mutex
	n       uint64
	waiting map[string]chan *nats.Msg
}

func newMux(nc *nats.Conn) (*mux, error) {
	m := &mux{nc: nc, prefix: nats.NewInbox() + ".", waiting: map[string]chan *nats.Msg{}}
	sub, err := nc.Subscribe(m.prefix+"*", m.answer)
	if err != nil {
		return nil, err
	}
	return m, sub.SetPendingLimits(-1, -1)
}

func (m *mux) answer(msg *nats.Msg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.waiting[strings.TrimPrefix(msg.Subject, m.prefix)]; c != nil {
		select {
		case c <- msg:
		default: // more than was asked for
		}
	}
}

// cut has all that wait get to know that the connection is lost.
func (m *mux) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, c := range m.waiting {
		close(c)
		delete(m.waiting, key)
	}
}

// ask sends a request and returns where up to n answers arrive. done ends that.
func (m *mux) ask(msg *nats.Msg, n int) (answers <-chan *nats.Msg, done func(), err error) {
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
		if errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) {
			err = errCut
		}
		return nil, nil, err
	}
	return c, done, nil
}

// receive waits for an answer.
func receive(ctx context.Context, c <-chan *nats.Msg) (*nats.Msg, error) {
	select {
	case msg, ok := <-c:
		if !ok {
			return nil, errCut
		}
		if len(msg.Data) == 0 && msg.Header.Get("Status") == "503" {
			return nil, errNobody
		}
		return msg, nil
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), errTooLate) {
			return nil, errTooLate
		}
		return nil, ctx.Err()
	}
}

// request sends a request and waits for its answer. While there is no leader it tries again, and also when no answer comes: the
// server that it went to may have stopped, while its connections stay open.
func (m *mux) request(ctx context.Context, subject string, header nats.Header, data []byte) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, attempt, errTooLate)
	defer cancel()
	for {
		msg, err := m.once(ctx, &nats.Msg{Subject: subject, Header: header, Data: data})
		switch {
		case errors.Is(err, errTooLate) && ctx.Err() == nil:
			continue
		case !errors.Is(err, errNobody):
			return msg, err
		}
		if !sleep(ctx, leaderPause) {
			return nil, errNobody
		}
	}
}

// once sends a request and waits for its answer, not for long.
func (m *mux) once(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	answers, done, err := m.ask(msg, 1)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeoutCause(ctx, askAgain, errTooLate)
	defer cancel()
	return receive(ctx, answers)
}

// sleep waits for d, and reports false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
