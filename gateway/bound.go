package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/clientaddr"
	"github.com/handfast/handfast/gateway/internal/door"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/observe"
)

// bound is an address of the configuration that is listened on. Its doors stay the same for as long as the address is
// configured; what they do with a connection follows the configuration.
type bound struct {
	cfg   config.Listen
	url   string // without a path
	doors []*door.Door
}

// bind makes the addresses those of site: what is listened on stays, what is new is bound, and what is no longer there is
// closed, in the end, when nothing can fail any more. mu is held.
func (s *Server) bind(ctx context.Context, site *site) error {
	old := slices.Clone(s.bound)
	var now, fresh []*bound
	for i := range site.cfg.Listen {
		cfg := site.cfg.Listen[i]
		same := slices.IndexFunc(old, func(b *bound) bool { return b.cfg.Address == cfg.Address })
		if same >= 0 {
			now = append(now, old[same])
			old = slices.Delete(old, same, same+1)
			continue
		}
		listeners, err := listen(ctx, string(cfg.Address))
		if err != nil {
			for _, b := range fresh {
				b.close()
			}
			return listenError(string(cfg.Address), err)
		}
		b := &bound{cfg: cfg}
		for _, l := range listeners {
			b.doors = append(b.doors, door.New(l, s.policy(site, i), s.waiting, &s.peers))
		}
		now, fresh = append(now, b), append(fresh, b)
	}
	for i, b := range now {
		s.configure(b, site, i)
	}
	s.bound = now
	port := portWithTLS(now)
	s.securePort.Store(&port)
	for _, b := range fresh {
		s.log.Info(observe.EventListening, observe.KeyAddress, b.url)
		if s.running {
			s.serveDoors(b)
		}
	}
	for _, b := range old {
		b.close()
		s.log.Info(observe.EventUnlistened, observe.KeyAddress, b.url)
	}
	return nil
}

// configure gives an address the settings of the site's listener i.
func (s *Server) configure(b *bound, site *site, i int) {
	cfg := site.cfg.Listen[i]
	changed := b.url != "" && !reflect.DeepEqual(b.cfg, cfg)
	b.cfg = cfg
	scheme := "https://"
	if cfg.TLS.Mode == config.TLSOff {
		scheme = "http://"
	}
	b.url = scheme + shownAddr(string(cfg.Address), b.doors[0].Addr())
	policy := s.policy(site, i)
	for _, d := range b.doors {
		d.SetPolicy(policy)
		if tcp, ok := d.Addr().(*net.TCPAddr); ok && cfg.TLS.Mode == config.TLSOff && !tcp.IP.IsLoopback() && !cfg.RedirectHTTPS {
			s.log.Warn("no TLS where others can come in: whoever carries the bytes can read and change them",
				observe.KeyAddress, d.Addr())
		}
	}
	if changed {
		s.log.Info(observe.EventListening, observe.KeyAddress, b.url)
	}
}

func (b *bound) close() {
	for _, d := range b.doors {
		_ = d.Close() // it returns nil
	}
}

func (b *bound) wait() {
	for _, d := range b.doors {
		d.Wait()
	}
}

// policy returns how the doors of the site's listener i treat connections.
func (s *Server) policy(site *site, i int) *door.Policy {
	cfg := site.cfg.Listen[i]
	p := &door.Policy{
		Proxies: prefixes(cfg.ProxyProtocol.From),
		Timeout: time.Duration(site.cfg.HTTP.TLSTimeout),
		Owner:   site.listen[i],
		Admit:   s.mayArrive,
		Failed:  s.failedDoor,
	}
	if tls := site.listen[i].certs; tls != nil {
		p.TLS = tls.config
	}
	return p
}

// arrivals is how many connections an address may open for each handshake that it may make. Most clients need one; those
// that read pages and meet a refusal need a few. Beyond it they are cut before TLS: an answer would cost as much as what
// the limit is there to save.
const arrivals = 4

// mayArrive reports whether another connection from addr is taken.
func (s *Server) mayArrive(addr netip.Addr) bool {
	perSecond := s.site.Load().cfg.Limits.HandshakesPerSecond
	if perSecond <= 0 || s.isProxy(addr) {
		return true
	}
	ok, _ := s.arrivals.Allow(limit.Key(addr), time.Now(), arrivals*perSecond, arrivals*burst(perSecond))
	return ok
}

// burst is how many handshakes may come at once where perSecond of them may come on average: those of two seconds, and a
// few in any case, since a page may open several WebSockets.
func burst(perSecond float64) int { return max(5, int(2*perSecond)) }

// isProxy reports whether addr is one of the trusted proxies.
func (s *Server) isProxy(addr netip.Addr) bool {
	return clientaddr.Trusted(s.site.Load().proxies, addr)
}

// cut is told of a connection that was cut to make room for others.
func (s *Server) cut(p *door.Peer) {
	s.metrics.Cut.Inc()
	s.log.Debug(observe.EventCut, observe.KeyAddr, p.Addr.String())
}

// failedDoor is told of a connection that came to nothing before its first request.
func (s *Server) failedDoor(p *door.Peer, stage string, err error) {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) {
		return // clients that go away are not worth telling
	}
	s.recordDoor(p, stage, err)
}

// prefixes returns the plain form of what the configuration has.
func prefixes(list []config.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, p.Prefix)
	}
	return out
}
