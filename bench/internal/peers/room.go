//go:build linux

package peers

import "sync"

// room holds the connections of a broadcast.
type room[T comparable] struct {
	mu   sync.Mutex
	list []T
	at   map[T]int
}

func (r *room[T]) enter(t T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = make(map[T]int)
	}
	r.at[t] = len(r.list)
	r.list = append(r.list, t)
}

func (r *room[T]) leave(t T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.at[t]
	if !ok {
		return
	}
	last := len(r.list) - 1
	r.list[i] = r.list[last]
	r.at[r.list[i]] = i
	r.list = r.list[:last]
	delete(r.at, t)
}

// all calls send for every connection, one call at a time. It ignores errors, because the reader of the connection reports them.
func (r *room[T]) all(send func(T) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.list {
		_ = send(t)
	}
}

// times returns how many times to send a received message to all connections.
func times(trigger []byte) int {
	if len(trigger) < 2 {
		return 0
	}
	return int(trigger[1])
}
