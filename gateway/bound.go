package gateway

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
)

// bound is a configured address that the server listens on. Its ports stay open as long as the address is configured; new connections are
// treated as the current configuration specifies.
type bound struct {
	cfg   config.Listen
	url   string // without a path
	ports []*port
}

// port is a listening socket, with the policy for connections that it accepts from now on.
type port struct {
	net.Listener
	policy atomic.Pointer[listener]
}

// bind binds the addresses of site: addresses that are already bound stay, new ones are bound, and removed ones are closed at the
// end, when nothing can fail any more.
func (s *entrance) bind(ctx context.Context, site *site) error {
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
			b.ports = append(b.ports, &port{Listener: l})
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
		s.rec.log.Info(observe.EventListening, observe.KeyAddress, b.url)
		if s.running {
			s.servePorts(b)
		}
	}
	for _, b := range old {
		b.close()
		s.rec.log.Info(observe.EventUnlistened, observe.KeyAddress, b.url)
	}
	return nil
}

// configure applies the settings of the site's listener i to an address.
func (s *entrance) configure(b *bound, site *site, i int) {
	cfg := site.cfg.Listen[i]
	changed := b.url != "" && !reflect.DeepEqual(b.cfg, cfg)
	b.cfg = cfg
	scheme := "https://"
	if cfg.TLS.Mode == config.TLSOff {
		scheme = "http://"
	}
	b.url = scheme + displayAddr(string(cfg.Address), b.ports[0].Addr())
	for _, p := range b.ports {
		p.policy.Store(site.listen[i])
		if tcp, ok := p.Addr().(*net.TCPAddr); ok && cfg.TLS.Mode == config.TLSOff && !tcp.IP.IsLoopback() && !cfg.RedirectHTTPS {
			s.rec.log.Warn("no TLS on an address that other machines can reach: the network can read and change the traffic",
				observe.KeyAddress, p.Addr())
		}
	}
	if changed {
		s.rec.log.Info(observe.EventListening, observe.KeyAddress, b.url)
	}
}

// yield closes the ports whose sockets were passed to the process, so that only the other process with these sockets accepts clients. It
// reports whether there was such a port.
func (s *entrance) yield() (yielded bool) {
	for _, b := range s.bound {
		for _, p := range b.ports {
			if inherited().has(p.Listener) {
				_ = p.Close() // the server may have closed it already
				yielded = true
			}
		}
	}
	return yielded
}

func (b *bound) close() {
	for _, p := range b.ports {
		_ = p.Close() // the server may have closed it already
	}
}

// prefixes converts prefixes of the configuration.
func prefixes(list []config.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, p.Prefix)
	}
	return out
}
