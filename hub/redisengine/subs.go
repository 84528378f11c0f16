package redisengine

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/redis/rueidis"
)

func jitter(n int64) int64 { return rand.Int64N(max(n, 1)) }

const maxNamesPerCommand = 500 // the number of topics in one command

// table holds the current and the wanted subscriptions. It is kept when the connection is lost.
type table struct {
	prefix string

	mu         sync.Mutex
	byTopic    map[string]*sub
	dirty      []string // topics that write must check
	wake       chan struct{}
	connected  bool
	generation int
}

// sub is the state of one topic.
type sub struct {
	wanted        bool
	sent          bool // the last command on this connection was to subscribe
	subscribed    bool // subscribed, according to the server
	pending       int  // the number of commands without a reply
	wasSubscribed bool // subscribed on an earlier connection
	waiters       []*waiter
}

// waiter waits until topics are subscribed to.
type waiter struct {
	left int
	done chan struct{}
}

func (t *table) init(prefix string) {
	t.prefix, t.byTopic, t.wake = prefix, map[string]*sub{}, make(chan struct{}, 1)
}

// topicOf returns the topic of a channel.
func (t *table) topicOf(channel string) string { return t.prefix + ":{" + channel + "}" }

// channelOf is the inverse of topicOf; ok is false for other topics.
func (t *table) channelOf(topic string) (channel string, ok bool) {
	rest, ok := strings.CutPrefix(topic, t.prefix+":{")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "}")
}

// add makes topics wanted, and returns a waiter whose done is closed when all of them are subscribed to.
func (t *table) add(topics []string) *waiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &waiter{done: make(chan struct{})}
	for _, topic := range topics {
		s := t.byTopic[topic]
		if s == nil {
			s = &sub{}
			t.byTopic[topic] = s
		}
		s.wanted = true
		if s.subscribed && s.sent && s.pending == 0 {
			continue
		}
		w.left++
		s.waiters = append(s.waiters, w)
		t.dirty = append(t.dirty, topic)
	}
	if w.left == 0 {
		close(w.done)
	}
	t.signal()
	return w
}

func (t *table) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// drop makes topics unwanted.
func (t *table) drop(topics []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, topic := range topics {
		s := t.byTopic[topic]
		if s == nil {
			continue
		}
		s.wanted = false
		s.release()
		t.dirty = append(t.dirty, topic)
		if !t.connected {
			delete(t.byTopic, topic)
		}
	}
	t.signal()
}

// release releases the waiters of a topic.
func (s *sub) release() {
	for _, w := range s.waiters {
		if w.left--; w.left == 0 {
			close(w.done)
		}
	}
	s.waiters = nil
}

// removeWaiter removes a waiter from topics.
func (t *table) removeWaiter(w *waiter, topics []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, topic := range topics {
		if s := t.byTopic[topic]; s != nil {
			for i, x := range s.waiters {
				if x == w {
					s.waiters = append(s.waiters[:i:i], s.waiters[i+1:]...)
					break
				}
			}
		}
	}
}

// connect marks the beginning of a connection, and returns its generation.
func (t *table) connect() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connected = true
	t.generation++
	t.dirty = t.dirty[:0]
	for topic, s := range t.byTopic {
		if s.wanted {
			t.dirty = append(t.dirty, topic)
		}
	}
	t.signal()
	return t.generation
}

// disconnect marks the end of a connection: nothing is subscribed to.
func (t *table) disconnect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connected = false
	t.generation++
	for topic, s := range t.byTopic {
		if !s.wanted {
			delete(t.byTopic, topic)
			continue
		}
		s.wasSubscribed = s.wasSubscribed || s.subscribed
		s.sent, s.subscribed, s.pending = false, false, 0
	}
}

// resubscribe adds the engine's own topics, and returns a channel that is closed when all wanted topics are subscribed to. before
// contains the channels that were subscribed to on an earlier connection.
func (t *table) resubscribe(own ...string) (done <-chan struct{}, before []string) {
	t.mu.Lock()
	all := own
	for topic, s := range t.byTopic {
		if c, ok := t.channelOf(topic); ok && s.wanted {
			all = append(all, topic)
			if s.wasSubscribed {
				before = append(before, c)
			}
		}
	}
	t.mu.Unlock()
	return t.add(all).done, before
}

// confirm records the server's reply to a command.
func (t *table) confirm(generation int, is bool, topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byTopic[topic]
	if s == nil || generation != t.generation {
		return
	}
	s.wasSubscribed = s.wasSubscribed || s.subscribed && !is && s.wanted // a node of a cluster ends subscriptions when the slot moves to another node
	s.subscribed = is
	s.pending = max(0, s.pending-1)
	switch {
	case s.pending > 0:
	case s.subscribed && s.wanted:
		s.release()
	case !s.subscribed && !s.wanted:
		delete(t.byTopic, topic)
	}
}

// next returns the topics for the next commands.
func (t *table) next() (subscribe, unsubscribe []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.dirty), maxNamesPerCommand)
	for _, topic := range t.dirty[:n] {
		s := t.byTopic[topic]
		if s == nil || s.wanted == s.sent {
			if s != nil && !s.wanted && s.pending == 0 && !s.subscribed {
				delete(t.byTopic, topic)
			}
			continue
		}
		s.sent = s.wanted
		s.pending++
		if s.wanted {
			subscribe = append(subscribe, topic)
		} else {
			unsubscribe = append(unsubscribe, topic)
		}
	}
	t.dirty = t.dirty[n:]
	if len(t.dirty) > 0 {
		t.signal()
	}
	return subscribe, unsubscribe
}

// write sends the commands. On a node of a cluster it subscribes to sharded channels.
func (t *table) write(ctx context.Context, c rueidis.DedicatedClient, clustered bool) error {
	for {
		select {
		case <-t.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		subscribe, unsubscribe := t.next()
		if len(unsubscribe) > 0 {
			command := c.B().Unsubscribe().Channel(unsubscribe...).Build()
			if clustered {
				command = c.B().Sunsubscribe().Channel(unsubscribe...).Build()
			}
			if err := c.Do(ctx, command).Error(); err != nil {
				return err
			}
		}
		if len(subscribe) > 0 {
			command := c.B().Subscribe().Channel(subscribe...).Build()
			if clustered {
				command = c.B().Ssubscribe().Channel(subscribe...).Build()
			}
			if err := c.Do(ctx, command).Error(); err != nil {
				return err
			}
		}
	}
}

// Subscribe implements [hub.Engine].
func (e *Engine) Subscribe(ctx context.Context, channels ...string) error {
	topics := e.topics(channels)
	w := e.subs.add(topics)
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		e.subs.removeWaiter(w, topics)
		return ctx.Err()
	}
}

// Unsubscribe implements [hub.Engine].
func (e *Engine) Unsubscribe(_ context.Context, channels ...string) error {
	e.subs.drop(e.topics(channels))
	return nil
}

func (e *Engine) topics(channels []string) []string {
	topics := make([]string, len(channels))
	for i, c := range channels {
		topics[i] = e.subs.topicOf(c)
	}
	return topics
}
