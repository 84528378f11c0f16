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
	"github.com/handfast/handfast/gateway/internal/door"
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
// closed, in the end, when nothing can fail any more.
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
		s.rec.log.Info(observe.EventListening, observe.KeyAddress, b.url)
		if s.running {
			s.serveDoors(b)
		}
	}
	for _, b := range old {
		b.close()
		s.rec.log.Info(observe.EventUnlistened, observe.KeyAddress, b.url)
	}
	return nil
}

// configure gives an address the settings of the site's listener i.
func (s *entrance) configure(b *bound, site *site, i int) {
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
			s.rec.log.Warn("no TLS where others can come in: whoever carries the bytes can read and change them",
				observe.KeyAddress, d.Addr())
		}
	}
	if changed {
		s.rec.log.Info(observe.EventListening, observe.KeyAddress, b.url)
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
func (s *entrance) policy(site *site, i int) *door.Policy {
	cfg := site.cfg.Listen[i]
	p := &door.Policy{
		Proxies: prefixes(cfg.ProxyProtocol.From),
		Timeout: time.Duration(site.cfg.HTTP.TLSTimeout),
		Owner:   site.listen[i],
		Admit:   s.adm.mayArrive,
		Failed:  s.failedDoor,
	}
	if tls := site.listen[i].certs; tls != nil {
		p.TLS = tls.config
	}
	return p
}

// failedDoor reports a connection that came to nothing before its first request.
func (s *entrance) failedDoor(p *door.Peer, stage string, err error) {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) {
		return // clients that go away are not worth telling
	}
	s.rec.door(p, stage, err)
}

// prefixes returns the plain form of what the configuration has.
func prefixes(list []config.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, p.Prefix)
	}
	return out
}
