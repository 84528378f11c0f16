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

// The kinds of checks.
const (
	CheckOff       = ""          // none: only what happens to clients counts
	CheckTCP       = "tcp"       // the server accepts a connection, and does the TLS handshake if it has TLS
	CheckHTTP      = "http"      // it answers a GET with 200; with 503 it wants no new clients
	CheckWebSocket = "websocket" // it opens a WebSocket, answers a ping, and the close frame
)

// Health says how servers are checked.
type Health struct {
	Check   string        // one of the kinds
	Path    string        // that the request is for
	Every   time.Duration // between two checks of a server, give or take a tenth; 0 means 5 s
	Timeout time.Duration // of one; 0 means 2 s
}

// errDraining says that a server wants no new clients.
var errDraining = errors.New("it answers with 503")

// watch checks a server until ctx ends.
func (b *Balancer) watch(ctx context.Context, id string, d *Dialer, h Health) {
	every := h.Every
	if every <= 0 {
		every = 5 * time.Second
	}
	for {
		err := probe(ctx, d, h)
		if ctx.Err() != nil {
			return
		}
		b.probed(time.Now(), id, h, err)
		timer := time.NewTimer(every*9/10 + rand.N(every/5+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// probed takes the result of a check, nil for success.
func (b *Balancer) probed(now time.Time, id string, h Health, err error) {
	if h.Check == CheckHTTP {
		draining := errors.Is(err, errDraining)
		b.pool.DrainReported(now, id, draining)
		if draining { // it lives, and serves those that it has
			err = nil
		}
	}
	if b.pool.Probe(now, id, err) && err == nil {
		b.queue.next()
	}
	b.wake()
}

// probe checks a server once.
func probe(ctx context.Context, d *Dialer, h Health) error {
	timeout := h.Timeout
	if timeout <= 0 {
		timeout = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch h.Check {
	case CheckTCP:
		nc, err := d.Connect(ctx, &Request{})
		if err != nil {
			return err
		}
		return nc.Close()
	case CheckHTTP:
		return probeHTTP(ctx, d, h.Path)
	default:
		return probeWebSocket(ctx, d, h.Path)
	}
}

func probeHTTP(ctx context.Context, d *Dialer, path string) error {
	t := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHead,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.Connect(ctx, &Request{}) }}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.host+path, nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable:
		return errDraining
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("it answers with %d", resp.StatusCode)
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
	go func() { // it ends with the connection; what the server says by itself must not hold up the pong
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
