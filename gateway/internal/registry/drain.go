package registry

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/handfast/handfast/websocket"
)

// Stopping is the close reason when the server stops.
const Stopping = "the server is stopping"

// step is the maximum time between two closes in a drain, so that closing a few connections does not take the whole spread.
const step = 10 * time.Millisecond

// Drain configures the drain of a registry.
type Drain struct {
	Spread time.Duration     // the time over which the closes are spread
	Code   websocket.Code    // the code of the close frames
	Refuse *websocket.Reject // the reply to new handshakes
}

// Drain admits no more connections, closes all open ones in random order, one after the other, and waits until they have ended. If
// ctx is done first, it cuts the remaining ones. It returns the numbers of connections that ended in time and that were cut, and
// must be called once.
func (g *Registry) Drain(ctx context.Context, d Drain) (closed, cut int) {
	open := g.beginDrain(d)
	rand.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	began := time.Now()
	each := min(d.Spread/time.Duration(max(len(open), 1)), step)
	for i, e := range open {
		if !g.pause(ctx, time.Until(began.Add(each*time.Duration(i)))) {
			break
		}
		e.Close(e.drainCode(d.Code, len(open)-i-1), Stopping)
	}
	select {
	case <-g.idle:
	case <-ctx.Done():
		cut = g.cut()
		<-g.idle
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.endedInDrain - cut, cut
}

// drainCode returns the close code of an entry in a drain.
func (e *Entry) drainCode(code websocket.Code, left int) websocket.Code {
	if e.DrainCode == nil {
		return code
	}
	return e.DrainCode(left)
}

// beginDrain rejects new clients from now on, and returns the connections.
func (g *Registry) beginDrain(d Drain) []*Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining, g.endedInDrain, g.drainCode, g.refused = true, 0, d.Code, d.Refuse
	if g.inUse == 0 {
		close(g.idle)
	}
	return g.list(Filter{})
}

// pause waits, and reports false if there is nothing left to wait for.
func (g *Registry) pause(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.idle:
	case <-ctx.Done():
	}
	return false
}

// cut cuts the remaining connections immediately, and returns their number.
func (g *Registry) cut() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cutting = true
	n := 0
	for _, e := range g.entries {
		if h := e.Handle(); h != nil { // without a handle, Open cuts the connection
			_ = h.CloseNow() // an error means that the connection has already ended
			n++
		}
	}
	return n
}

// Abort cuts every connection immediately, including those that are opened from now on.
func (g *Registry) Abort() { g.cut() }
