package gateway

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/handfast/handfast/gateway/internal/clientaddr"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/websocket"
)

// admission is the state that all endpoints share for admitting clients: the rates by address, and the registry of open
// connections. It exists as long as the server; the limits are those of the current site. All methods may be called from any
// goroutine.
type admission struct {
	rec      *recorder
	conns    *registry.Registry
	site     func() *site
	rate     limit.Rate // of handshakes, by address
	arrivals limit.Rate // of connections, by address
	upkeeps  *upkeeps
}

// arrivals is the number of connections that an address may open for each handshake that it may make. Most clients need one; those that
// also load pages or whose handshake is rejected need a few. Connections beyond that number are closed before the TLS handshake, because
// sending a response would cost what the limit is meant to save.
const arrivals = 4

// allowsConnection reports whether another connection from addr is accepted.
func (a *admission) allowsConnection(addr netip.Addr) bool {
	perSecond := a.site().cfg.Limits.HandshakesPerSecond
	if perSecond <= 0 || a.isProxy(addr) {
		return true
	}
	ok, _ := a.arrivals.Allow(limit.Key(addr), time.Now(), arrivals*perSecond, arrivals*burst(perSecond))
	return ok
}

// handshakeLimit returns the number of connections that may be in their handshake at the same time, including one from addr. -1 means that
// the connection does not count, because it is from a proxy, which forwards the connections of many clients.
func (a *admission) handshakeLimit(addr net.Addr) int {
	most := a.site().cfg.Limits.PendingHandshakes
	switch {
	case a.isProxy(addrOf(addr).Addr()):
		return -1
	case most <= 0:
		return math.MaxInt
	}
	return most
}

// isProxy reports whether addr is one of the trusted proxies.
func (a *admission) isProxy(addr netip.Addr) bool {
	return clientaddr.Trusted(a.site().proxies, addr)
}

// allow takes a token for a handshake, or for another request that costs as much, from two buckets of an address: the server's, with the
// limits of n, and that of e unless e is nil.
func (a *admission) allow(n *site, client netip.Addr, e *endpoint) *websocket.Reject {
	now, key := time.Now(), limit.Key(client)
	perSecond := n.cfg.Limits.HandshakesPerSecond
	if ok, wait := a.rate.Allow(key, now, perSecond, burst(perSecond)); !ok {
		return tooFast(wait)
	}
	if e != nil {
		if ok, wait := e.rate.Allow(key, now, e.perSecond, burst(e.perSecond)); !ok {
			return tooFast(wait)
		}
	}
	return nil
}

// burst returns the number of handshakes that may arrive together if perSecond is their allowed rate: the number allowed in two
// seconds, and at least a few, since a page may open several WebSockets.
func burst(perSecond float64) int { return max(5, int(2*perSecond)) }

func tooFast(wait time.Duration) *websocket.Reject {
	return &websocket.Reject{
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {limit.RetryAfter(wait)}},
		Reason: "There are too many handshakes from your address.",
	}
}

// hasEndpoint reports whether the configuration still contains an endpoint with that name.
func (a *admission) hasEndpoint(endpoint string) bool {
	for _, e := range a.site().endpoints {
		if e.cfg.Name == endpoint {
			return true
		}
	}
	return false
}
