package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
)

// stop drains the server: it reports that it is not ready, waits, and then closes the WebSockets one after the other, while new handshakes
// are rejected with a time to retry. Close interrupts the drain.
func (s *Server) stop() {
	cfg := s.site.Load().cfg.Drain
	s.ready.Store(false)
	s.rec.metrics.Draining.Set(1)
	s.rec.log.Info(observe.EventStopping, observe.KeyCount, s.conns.Len())
	delay := time.Duration(cfg.Delay)
	if s.yieldPorts() {
		s.wait(max(delay, minAcceptTime))
		s.waitForAccepted()
	} else {
		s.wait(delay)
	}
	closed, cut := s.drain(cfg)
	// The addresses stay bound until here, because a rejected client learns when to retry, but a client whose connection is reset does not.
	s.closePages()
	s.Close()
	s.rec.flushFloods()
	s.rec.log.Info(observe.EventStopped, "closed", closed, "cut", cut)
}

// yieldPorts stops accepting on ports where another process can accept instead, and reports whether there is such a port.
func (s *Server) yieldPorts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entrance.yield()
}

// If another process has the ports, too, this process waits for the handshakes that it has already accepted. The other process would have
// admitted them.
const (
	minAcceptTime = time.Second // a minimum, because Handshakes does not count a handshake that is being admitted
	maxAcceptTime = 5 * time.Second
)

// waitForAccepted waits for the handshakes that were already accepted.
func (s *Server) waitForAccepted() {
	s.entrance.server.HTTP.SetKeepAlivesEnabled(false) // so that no connection stays open for another request
	for end := time.Now().Add(maxAcceptTime - minAcceptTime); s.entrance.server.Handshakes() > 0 && time.Now().Before(end) && s.alive.Err() == nil; {
		s.wait(10 * time.Millisecond)
	}
}

// drain closes the WebSockets, and returns how many ended in time and how many were cut at the timeout.
func (s *Server) drain(cfg config.Drain) (closed, cut int) {
	ctx, cancel := context.WithTimeout(s.alive, time.Duration(cfg.Timeout))
	defer cancel()
	// Handshakes that still wait for a service, for example for authentication, end with their connection.
	defer context.AfterFunc(ctx, func() { s.entrance.server.Close() })() //nolint:errcheck // Close always returns nil
	s.entrance.server.HTTP.SetKeepAlivesEnabled(false)
	return s.conns.Drain(ctx, registry.Drain{
		Spread: time.Duration(cfg.Spread), Code: websocket.Code(cfg.Code), Refuse: stopping(time.Duration(cfg.RetryAfter)),
	})
}

// wait waits for d, or until Close is called.
func (s *Server) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.alive.Done():
	}
}

// closePages waits for HTTP requests to end.
func (s *Server) closePages() {
	ctx, cancel := context.WithTimeout(s.alive, pageGrace)
	defer cancel()
	_ = s.entrance.server.Shutdown(ctx) // connections that remain are cut
}

// stopping returns the response to handshakes during a drain.
func stopping(retryAfter time.Duration) *websocket.Reject {
	return &websocket.Reject{
		Status: http.StatusServiceUnavailable,
		Header: http.Header{"Retry-After": {limit.RetryAfter(retryAfter)}},
		Reason: "The server is stopping.",
	}
}

// finish releases the resources of the server. It waits until all goroutines have ended.
func (s *Server) finish() {
	s.mu.Lock()
	s.finishLocked()
	s.mu.Unlock()
}

func (s *Server) finishLocked() {
	if s.finished {
		return
	}
	s.finished = true
	s.entrance.wait()
	if s.admin != nil {
		s.admin.close()
	}
	if site := s.site.Load(); site != nil {
		site.close(nil)
	}
	s.hub.close(s.rec)
	s.rec.flushFloods()
	s.store.close()
	s.rec.audit.close()
}
