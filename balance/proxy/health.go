package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/handfast/handfast/websocket"
)

// The kinds of health checks.
const (
	CheckOff       = ""          // no checks: only the outcomes of client connections count
	CheckTCP       = "tcp"       // the server accepts a connection, and completes the TLS handshake if it uses TLS
	CheckHTTP      = "http"      // the server responds to a GET with a 2xx status; 503 or DrainHeader means no new clients
	CheckWebSocket = "websocket" // the server opens a WebSocket, and replies to a ping and a close frame
)

// Health configures the health checks.
type Health struct {
	Check   string        // one of the kinds
	Path    string        // path of the request
	Every   time.Duration // interval between two checks of a server, plus or minus a tenth, and a fifth of it after an unexpected result; 0 means 5 s
	Timeout time.Duration // time limit of one check; 0 means 2 s
}

// errDraining indicates that a server accepts no new clients.
var errDraining = errors.New("the server accepts no new clients")

// watch checks a server until ctx ends.
func (b *Balancer) watch(ctx context.Context, id string, n *server, h Health) {
	every := h.Every
	setDefault(&every, 5*time.Second)
	said := true // a check with earlier settings may have found a drain
	for {
		err := probe(ctx, n, h)
		if ctx.Err() != nil {
			return
		}
		if !isLocalFault(err) { // otherwise the result indicates nothing about the server
			said = b.probed(time.Now(), id, h, said, err)
		}
		pause := every
		if b.pool.Wavers(id) {
			pause = every / 5
		}
		timer := time.NewTimer(pause*9/10 + rand.N(pause/5+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// probed records the result of a check; a nil error is success. said is whether the previous check found that the server drains;
// probed returns the same for this check.
func (b *Balancer) probed(now time.Time, id string, h Health, said bool, err error) (drains bool) {
	if h.Check == CheckHTTP {
		drains = errors.Is(err, errDraining)
		if drains || said {
			b.setAnnouncedDrain(now, id, drains, time.Time{})
		}
		if drains { // the server works, and serves its present clients
			err = nil
		}
	}
	if b.pool.Probe(now, id, err) && err == nil {
		b.queue.next()
	}
	b.wake()
	return drains
}

// drainValidity is how long a drain that a server announces in a response lasts. The drain must expire, because no further request
// may reach the server to end it.
const drainValidity = time.Minute

// setAnnouncedDrain records whether a server drains. A drain ends at until, or, if until is zero, when the server reports its end.
func (b *Balancer) setAnnouncedDrain(now time.Time, id string, draining bool, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.announcedDrains, id)
	if draining && !until.IsZero() {
		b.announcedDrains[id] = until
	}
	if b.pool.DrainReported(now, id, draining) {
		b.wake()
	}
	if !draining {
		b.queue.next()
	}
}

// expireAnnouncedDrains ends the drains that servers have announced and not repeated. The responses to the next clients then show
// the server's present state.
func (b *Balancer) expireAnnouncedDrains(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, until := range b.announcedDrains {
		if now.Before(until) {
			continue
		}
		delete(b.announcedDrains, id)
		if b.pool.DrainReported(now, id, false) {
			b.queue.next()
		}
	}
}

// probe checks a server once.
func probe(ctx context.Context, n *server, h Health) error {
	timeout := h.Timeout
	setDefault(&timeout, 2*time.Second)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch h.Check {
	case CheckTCP:
		nc, err := n.dialer.Connect(ctx, &Request{})
		if err != nil {
			return err
		}
		return nc.Close()
	case CheckHTTP:
		return probeHTTP(ctx, n, h.Path)
	default:
		return probeWebSocket(ctx, n.dialer, h.Path)
	}
}

func probeHTTP(ctx context.Context, n *server, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.dialer.host+path, nil)
	if err != nil {
		return err
	}
	resp, err := n.checks.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable, announcesDrain(resp.Header):
		return errDraining
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("the server answers with status %d", resp.StatusCode)
	}
	return nil
}

func probeWebSocket(ctx context.Context, d *Dialer, path string) error {
	c, err := websocket.Dial(ctx, "ws://"+d.host+path, &websocket.DialOptions{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.Connect(ctx, &Request{}) },
	})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	go func() { // ends with the connection; other messages of the server must not delay the pong
		for {
			if _, err := c.Read(ctx); err != nil {
				return
			}
		}
	}()
	if _, err := c.Ping(ctx); err != nil {
		return err
	}
	return c.Close(websocket.CodeNormal, "")
}
