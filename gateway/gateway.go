package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/observe"
)

// Options are the options of a server in addition to its configuration.
type Options struct {
	// Config is the configuration. It is required, because the default configuration serves an echo to everyone. It must not be
	// changed afterwards.
	Config *config.Config

	// Log is the log of the server; nil means that nothing is logged. The caller must apply the configuration of the log.
	Log *slog.Logger

	// Reload, if not nil, is called for POST /reload of the admin listener. It reads the configuration again, calls [Server.Reload]
	// if it has changed, and returns the result. It must return when its context ends.
	Reload func(context.Context) Reloaded

	// Stdout and Stderr are used for the audit log if the configuration directs it there. If nil, that output is discarded.
	Stdout, Stderr io.Writer
}

// Server serves a set of addresses. Its parts have separate tasks and contracts: the entrance accepts connections, a site is one
// configuration prepared for serving, the admission decides which clients are admitted, the registry lists the open connections,
// and the recorder records events. The Server itself starts, reloads and stops them.
type Server struct {
	rec      *recorder
	live     auth.Live
	conns    *registry.Registry // uses live
	adm      *admission
	entrance *entrance
	build    *builder
	admin    *adminListener // nil if none is configured
	store    store
	hub      sharedHub
	dev      devSecret

	site  atomic.Pointer[site]
	ready atomic.Bool

	alive context.Context // the context ends when Close is called
	kill  context.CancelFunc

	mu       sync.Mutex // held by Open, by a reload and during shutdown; guards the fields below and the entrance
	running  bool       // Serve was called
	finished bool
}

var errNoConfig = errors.New("gateway: Options.Config is required; config.Default serves an echo to everyone")

// Open binds the addresses and loads the certificates. Connections wait until [Server.Serve] is called. An error that concerns an
// address or a file is a [*ListenError] or a [*certs.Error]; other errors name the setting.
func Open(ctx context.Context, opts Options) (*Server, error) { return openWith(ctx, opts, nil) }

// openWith is Open with the given targets; nil means the built-in ones.
func openWith(ctx context.Context, opts Options, targets map[string]newTarget) (*Server, error) {
	cfg := opts.Config
	if cfg == nil {
		return nil, errNoConfig
	}
	s := newServer(cfg, opts)
	if targets == nil {
		targets = s.targets()
	}
	err := s.open(ctx, s.dev.fill(cfg, s.rec), opts, targets)
	if err != nil {
		s.Close()
		s.finish()
		return nil, err
	}
	return s, nil
}

// newServer returns a server without addresses and without a site.
func newServer(cfg *config.Config, opts Options) *Server {
	s := &Server{}
	s.conns = registry.New(&s.live)
	s.alive, s.kill = context.WithCancel(context.Background())
	s.rec = newRecorder(opts.Log, observe.Live{
		Pending: func() float64 { return float64(s.entrance.server.Handshakes()) }, AuthCalls: s.authCalls, Certificates: s.certificateEnds,
		Endpoints: s.traffic, Channels: s.hub.counts, Upstreams: s.upstreams, Admissions: s.admissions,
	})
	s.live.Expiring, s.live.Revoked = warn, s.rec.revoked
	s.adm = &admission{rec: s.rec, conns: s.conns, site: s.site.Load, upkeeps: newUpkeeps()}
	s.entrance = newEntrance(s.rec, s.adm, cfg.HTTP)
	return s
}

// builder returns the builder for the sites of a server. The store must be open.
func (s *Server) builder(targets map[string]newTarget) *builder {
	return &builder{rec: s.rec, adm: s.adm, store: s.store.Store, targets: targets, redirect: http.HandlerFunc(s.entrance.redirect)}
}

func (s *Server) open(ctx context.Context, cfg *config.Config, opts Options, targets map[string]newTarget) (err error) {
	if s.rec.audit, err = openAudit(cfg.Audit, opts.Stdout, opts.Stderr, s.rec.auditFailed); err != nil {
		return err
	}
	if err = s.store.open(cfg.Store, s.rec.log); err != nil {
		return err
	}
	s.live.Store = s.store.Store
	s.build = s.builder(targets)
	site, err := s.build.newSite(cfg, nil)
	if err != nil {
		return err
	}
	s.site.Store(site)
	s.rec.refused.Keep(cfg.Handshakes.Keep)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err = s.entrance.bind(ctx, site); err != nil {
		return err
	}
	s.admin, err = s.openAdmin(ctx, cfg.Admin, opts.Reload)
	return err
}

// URLs returns an http or https URL, without a path, for every address, in the order of the configuration. Addresses that only
// redirect to another one are left out.
func (s *Server) URLs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entrance.urls()
}

// AdminURL returns the URL of the admin listener, "" if there is none.
func (s *Server) AdminURL() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.url
}

// Endpoint describes an endpoint of a server.
type Endpoint struct {
	Name      string   // used in rules, logs and metrics
	Path      string   // may have wildcards such as {room}
	Hosts     []string // the host names of the endpoint; empty means all
	Anonymous bool     // clients without credentials are admitted
	Plain     bool     // its clients use plain HTTP, not WebSockets
	Keyed     bool     // a {key} at the end of Path is the key of an application
	Servers   []string // the servers of a balancer; nil if the endpoint serves its clients itself
	Channels  bool     // "handfast publish" and "handfast subscribe" can use every channel there without a credential
}

// Endpoints returns the endpoints of the current configuration, in its order.
func (s *Server) Endpoints() []Endpoint {
	var list []Endpoint
	for _, e := range s.site.Load().endpoints {
		plain := e.cfg.Target.Kind == "streams"
		open := e.cfg.Target.Kind == "channels" && e.auth.anonymous && reflect.DeepEqual(e.cfg.Rules, []config.Rule{{Do: "allow"}})
		var servers []string
		if t, ok := e.target.Target.(*balanceTarget); ok {
			for _, s := range t.Status().Servers {
				servers = append(servers, s.ID)
			}
		}
		list = append(list, Endpoint{
			Name: e.cfg.Name, Path: e.cfg.Path, Hosts: e.cfg.Hosts, Anonymous: e.auth.anonymous, Plain: plain, Keyed: e.cfg.Target.Kind == "pusher", Channels: open, Servers: servers,
		})
	}
	return list
}

// Console reports whether the console is served at /.
func (s *Server) Console() bool { return s.site.Load().cfg.Console }

// Dev returns the development certificate in use, or nil if there is none.
func (s *Server) Dev() *certs.Dev { return s.site.Load().dev }

// Serve serves connections until ctx is done, and then drains; it returns when no connection is left. It must be called once. A
// drain that was interrupted by its timeout or by [Server.Close] is not an error.
func (s *Server) Serve(ctx context.Context) error {
	var background sync.WaitGroup
	running, stop := context.WithCancel(context.Background())
	background.Go(func() { s.live.Run(running) })
	background.Go(func() { s.adm.upkeeps.run(running) })
	s.start()
	var err error
	select {
	case <-ctx.Done():
	case <-s.alive.Done():
	case err = <-s.entrance.failed:
	}
	s.stop()
	stop()
	background.Wait()
	s.finish()
	return err
}

// start serves every port, and starts ACME.
func (s *Server) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
	s.entrance.serve()
	site := s.site.Load()
	site.startCerts()
	if s.admin != nil {
		s.admin.serve()
	}
	s.ready.Store(true)
}

// Close cuts every connection, without a close frame; Serve then returns. Further calls do nothing.
func (s *Server) Close() {
	s.kill()
	s.ready.Store(false)
	s.entrance.server.Close() //nolint:errcheck // Close always returns nil; s.mu is not locked yet, because a request may keep its holder waiting
	s.conns.Abort()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entrance.close()
	if !s.running && !s.finished {
		s.finishLocked()
	}
}

// readiness returns the reason why the server should not get clients: it is stopping, or the engine of the channels has failed. nil
// means that it is ready.
func (s *Server) readiness() error {
	if !s.ready.Load() {
		return errStopping
	}
	if h := s.hub.get(); h != nil {
		return h.Ready()
	}
	return nil
}

// authCalls returns the number of credentials that are being checked, for the metrics.
func (s *Server) authCalls() float64 {
	n := 0
	if site := s.site.Load(); site != nil {
		for _, e := range site.endpoints {
			for _, c := range e.auth.calls {
				n += c.Running()
			}
		}
	}
	return float64(n)
}
