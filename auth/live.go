package auth

import (
	"context"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket"
)

// Live closes connections when the credentials that opened them are revoked, on this node or another. Give it to
// [Guard.Live], and call Run. It may be used from many goroutines at once. Make it with [NewLive].
type Live struct {
	store Store

	mu    sync.Mutex
	conns map[*websocket.Conn]*Identity
}

// NewLive returns a Live of no connections yet, which hears of revocations from store.
func NewLive(store Store) *Live {
	return &Live{store: store, conns: map[*websocket.Conn]*Identity{}}
}

// Run waits for revocations until ctx ends, and closes with [CodeExpired] what they cover, well within a second.
func (l *Live) Run(ctx context.Context) {
	l.store.Watch(ctx, func(r Revocation) {
		for _, c := range l.covered(r) {
			go closeRevoked(c)
		}
	})
}

// Len returns how many connections are open.
func (l *Live) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// add takes in a connection, until it ends. What was revoked while it was being opened is asked for after that: a
// revocation is heard by Run or found here. A store that does not answer has it closed.
func (l *Live) add(ctx context.Context, c *websocket.Conn, id *Identity) {
	l.mu.Lock()
	l.conns[c] = id
	l.mu.Unlock()
	context.AfterFunc(c.Context(), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, c)
	})
	if isAnonymous(id) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if revoked, err := l.store.Revoked(ctx, id); revoked || err != nil {
		go closeRevoked(c)
	}
}

// covered returns the connections that a revocation covers.
func (l *Live) covered(r Revocation) []*websocket.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*websocket.Conn
	for c, id := range l.conns {
		if r.CoversOpen(id) {
			list = append(list, c)
		}
	}
	return list
}

// revocationSkew is by how much the clocks of nodes may differ.
const revocationSkew = 5 * time.Second

// closeRevoked ends within the Conn's CloseTimeout.
func closeRevoked(c *websocket.Conn) {
	c.Close(CodeExpired, "the credential is revoked") //nolint:errcheck // the Conn tells its reader
}
