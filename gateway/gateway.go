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

// Options are what a server needs in addition to its configuration.
type Options struct {
	// Config is what it does: required, since the defaults serve an echo to everyone. It must not be changed afterwards.
	Config *config.Config

	// Log gets what happens; nil means nothing is logged. What the configuration says about the log is for the caller.
	Log *slog.Logger

	// Reload, if not nil, reads the configuration again for the admin listener's POST /reload, calls [Server.Reload] if it has changed,
	// and reports the result. It must return when its context ends.
	Reload func(context.Context) Reloaded

	// Stdout and Stderr are where the audit log goes when the configuration says so; nil: nowhere.
	Stdout, Stderr io.Writer
}

// Server is a set of bound addresses and what answers on them. Each of its parts has one idea and its own contract: the
// entrance is where connections come in, a site is one configuration made ready to serve, admission decides who may come
// in, the registry knows who is there, the recorder is where all is recorded. The Server itself begins, reloads and ends
// them.
type Server struct {
	rec   *recorder
	live  auth.Live
	conns *registry.Registry // on live
	adm   *admission
	in    *entrance
	build *builder
	admin *adminListener // nil if there is none
	store store
	hub   sharedHub
	dev   devSecret

	site  atomic.Pointer[site]
	ready atomic.Bool

	alive context.Context //nolint:containedctx // ends when Close is called
	kill  context.CancelFunc

	mu       sync.Mutex // held by Open, a reload, and the end; guards what follows and the entrance
	running  bool       // Serve was called
	finished bool
}

var errNoConfig = errors.New("gateway: Options.Config is required; config.Default serves an echo to everyone")

// Open binds the addresses and gets the certificates. A connection that comes in waits for [Server.Serve]. The errors are
// [*ListenError] and [*certs.Error] where an address or a file is to blame, and otherwise name the setting.
func Open(ctx context.Context, opts Options) (*Server, error) { return openWith(ctx, opts, nil) }

// openWith is Open with other targets, unless those are nil.
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

// newServer makes a server that has no addresses and no site.
func newServer(cfg *config.Config, opts Options) *Server {
	s := &Server{}
	s.conns = registry.New(&s.live)
	s.alive, s.kill = context.WithCancel(context.Background())
	s.rec = newRecorder(opts.Log, observe.Live{
		Pending: func() float64 { return float64(s.in.server.Handshakes()) }, AuthCalls: s.authCalls, Certificates: s.certificateEnds,
		Endpoints: s.traffic, Channels: s.hub.counts, Upstreams: s.upstreams, Admissions: s.admissions,
	})
	s.live.Expiring, s.live.Revoked = warn, s.rec.revoked
	s.adm = &admission{rec: s.rec, conns: s.conns, site: s.site.Load, upkeeps: newUpkeeps()}
	s.in = newEntrance(s.rec, s.adm, cfg.HTTP)
	return s
}

// builder returns what makes the sites of a server, whose store is open.
func (s *Server) builder(targets map[string]newTarget) *builder {
	return &builder{rec: s.rec, adm: s.adm, store: s.store.Store, targets: targets, redirect: http.HandlerFunc(s.in.redirect)}
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
	if err = s.in.bind(ctx, site); err != nil {
		return err
	}
	s.admin, err = s.openAdmin(ctx, cfg.Admin, opts.Reload)
	return err
}

// URLs returns an http or https URL, without a path, for every address that was bound, in the order of the configuration.
// Those that only redirect to another one are left out.
func (s *Server) URLs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.urls()
}

// AdminURL returns the URL of the admin listener, "" when there is none.
func (s *Server) AdminURL() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.url
}

// Endpoint is what a server serves under a path.
type Endpoint struct {
	Name      string   // in rules, logs and metrics
	Path      string   // which may have parts such as {room}
	Hosts     []string // the names that it answers to; empty: all
	Anonymous bool     // clients without a credential come in
	Plain     bool     // its clients use plain HTTP, not WebSockets
	Keyed     bool     // a {key} at the end of Path is the key of an application
	Servers   []string // that its clients are carried to; nil if it serves them itself
	Channels  bool     // "handfast publish" and "subscribe" work there without a credential, in every channel
}

// Endpoints returns what the current configuration serves, in its order.
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

// Console reports whether there is a page at /.
func (s *Server) Console() bool { return s.site.Load().cfg.Console }

// Dev returns the development certificate in use, and nil when there is none.
func (s *Server) Dev() *certs.Dev { return s.site.Load().dev }

// Serve answers until ctx ends, and then drains; it returns when no connection is left. It is called once. A drain that
// was cut short, by its time or by [Server.Close], is not an error.
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
	case err = <-s.in.failed:
	}
	s.stop()
	stop()
	background.Wait()
	s.finish()
	return err
}

// start serves on every port, and lets ACME begin.
func (s *Server) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
	s.in.serve()
	site := s.site.Load()
	site.startCerts()
	if s.admin != nil {
		s.admin.serve()
	}
	s.ready.Store(true)
}

// Close cuts every connection, without a close frame. Serve, when it runs, returns then. More calls do nothing.
func (s *Server) Close() {
	s.kill()
	s.ready.Store(false)
	s.in.server.Close() //nolint:errcheck // it returns nil; without the lock: a request may hold up its holder
	s.conns.Abort()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in.close()
	if !s.running && !s.finished {
		s.finishLocked()
	}
}

// readiness returns why no clients are to be sent here: the server is stopping, or the engine of channels does not answer.
func (s *Server) readiness() error {
	if !s.ready.Load() {
		return errStopping
	}
	if h := s.hub.get(); h != nil {
		return h.Ready()
	}
	return nil
}

// authCalls returns how many credentials are being looked at, for the metrics.
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
