package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/door"
	"github.com/handfast/handfast/gateway/internal/refusals"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/observe"
)

// Options say what a server is, besides its configuration.
type Options struct {
	// Config is what it does; nil: config.Default. It must not be changed afterwards.
	Config *config.Config

	// Log gets what happens; nil: nothing is logged. What the configuration says about the log is for the caller.
	Log *slog.Logger

	// Stdout and Stderr are where the audit log goes when the configuration says so; nil: nowhere.
	Stdout, Stderr io.Writer
}

const (
	// The bounds on a request for a page. They end with the opening handshake: a WebSocket has its own.
	pageTimeout = 30 * time.Second
	idleTimeout = 60 * time.Second
	pageGrace   = time.Second // what a stop gives requests for pages, which take milliseconds
)

// Server is a set of bound addresses and what answers on them.
type Server struct {
	log       *slog.Logger
	audit     *audit
	auditTold atomic.Int64 // when it was told last that lines of it are lost, in Unix nanoseconds
	metrics   *observe.Metrics
	outside   *observe.Endpoint // what is refused before it has come to an endpoint
	live      auth.Live
	conns     *registry.Registry // on live
	refused   *refusals.Log
	flood     flood // of refusals in the log
	waiting   *door.Waiting
	peers     door.Peers
	rate      limit.Rate // of handshakes, by address
	arrivals  limit.Rate // of connections, by address
	http      *http.Server
	admin     *adminListener // nil: there is none
	store     store
	ready     atomic.Bool
	serving   sync.WaitGroup // one goroutine for each door
	failed    chan error

	site       atomic.Pointer[site]
	securePort atomic.Pointer[string] // where pages without TLS are redirected to; "": nowhere

	alive context.Context //nolint:containedctx // ends when Close is called, whoever serves
	kill  context.CancelFunc

	mu       sync.Mutex // guards what follows; held by Open, a reload, and the end
	bound    []*bound
	running  bool // Serve was called: new doors are served at once
	finished bool
}

// Open binds the addresses and gets the certificates. A connection that comes in waits for [Server.Serve]. The errors are
// [*ListenError] and [*certs.Error] where an address or a file is to blame, and otherwise name the setting.
func Open(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{log: opts.Log, refused: &refusals.Log{}, outside: observe.NewEndpoint(""),
		failed: make(chan error, 1)}
	s.live.Expiring, s.live.Revoked = warn, s.recordRevoked
	s.conns = registry.New(&s.live)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	cfg := opts.Config
	if cfg == nil {
		cfg = config.Default()
	}
	s.flood.log = s.log
	s.alive, s.kill = context.WithCancel(context.Background())
	s.waiting = door.NewWaiting(func() int { return s.site.Load().cfg.Limits.PendingHandshakes }, s.isProxy, s.cut)
	s.metrics = observe.NewMetrics(observe.Live{
		Pending: func() float64 { return float64(s.waiting.Len()) }, AuthCalls: s.authCalls, Certificates: s.certificateEnds,
		Endpoints: s.traffic,
	})
	err := s.open(ctx, cfg, opts)
	if err != nil {
		s.Close()
		s.finish()
		return nil, err
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, cfg *config.Config, opts Options) (err error) {
	if s.audit, err = openAudit(cfg.Audit, opts.Stdout, opts.Stderr, s.auditFailed); err != nil {
		return err
	}
	if err = s.store.open(cfg.Store, s.log); err != nil {
		return err
	}
	s.live.Store = s.store.Store
	s.http = s.newHTTP(cfg.HTTP)
	site, err := s.newSite(cfg, nil)
	if err != nil {
		return err
	}
	s.site.Store(site)
	s.refused.Keep(cfg.Handshakes.Keep)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err = s.bind(ctx, site); err != nil {
		return err
	}
	s.admin, err = s.openAdmin(ctx, cfg.Admin)
	return err
}

// newHTTP makes the server of all requests.
func (s *Server) newHTTP(cfg config.HTTP) *http.Server {
	h := &http.Server{
		Handler:           http.HandlerFunc(s.front),
		ReadHeaderTimeout: time.Duration(cfg.HeadTimeout),
		ReadTimeout:       pageTimeout,
		WriteTimeout:      pageTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    int(cfg.MaxHead),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelInfo),
		Protocols:         new(http.Protocols),
		ConnContext:       s.connContext,
		ConnState:         s.peers.ConnState,
	}
	h.Protocols.SetHTTP1(true)
	return h
}

// URLs returns an http or https URL, without a path, for every address that was bound, in the order of the configuration.
// Those that only redirect to another one are left out.
func (s *Server) URLs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var urls []string
	for _, b := range s.bound {
		if !b.cfg.RedirectHTTPS {
			urls = append(urls, b.url)
		}
	}
	return urls
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
	Name      string // in rules, logs and metrics
	Path      string // which may have parts such as {room}
	Anonymous bool   // clients without a credential come in
}

// Endpoints returns what the current configuration serves, in its order.
func (s *Server) Endpoints() []Endpoint {
	var list []Endpoint
	for _, e := range s.site.Load().endpoints {
		list = append(list, Endpoint{Name: e.cfg.Name, Path: e.cfg.Path, Anonymous: e.auth.anonymous})
	}
	return list
}

// Console reports whether there is a page at /.
func (s *Server) Console() bool { return s.site.Load().cfg.Console }

// Dev returns the development certificate in use, and nil when there is none.
func (s *Server) Dev() *certs.Dev { return s.site.Load().dev }

// Serve answers until ctx ends, and then drains; it returns when no connection is left. It is called once. A drain that
// was cut short, by its time or by [Server.Close], is no error.
func (s *Server) Serve(ctx context.Context) error {
	var background sync.WaitGroup
	running, stop := context.WithCancel(context.Background())
	background.Go(func() { s.live.Run(running) })
	s.start()
	var err error
	select {
	case <-ctx.Done():
	case <-s.alive.Done():
	case err = <-s.failed:
	}
	s.stop()
	stop()
	background.Wait()
	s.finish()
	return err
}

// start serves on every door, and lets ACME begin.
func (s *Server) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
	for _, b := range s.bound {
		s.serveDoors(b)
	}
	site := s.site.Load()
	site.startCerts()
	if s.admin != nil {
		s.admin.serve()
	}
	s.ready.Store(true)
}

// serveDoors answers on the doors of one address. mu is held.
func (s *Server) serveDoors(b *bound) {
	for _, d := range b.doors {
		s.serving.Go(func() {
			err := s.http.Serve(d)
			if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case s.failed <- fmt.Errorf("accept connections on %s: %w", d.Addr(), err):
			default: // another one has failed before
			}
		})
	}
}

// Close cuts every connection, without a close frame. Serve, when it runs, returns then. More calls do nothing.
func (s *Server) Close() {
	s.kill()
	s.ready.Store(false)
	if s.http != nil {
		s.http.Close()
	}
	s.conns.Abort()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bound {
		b.close()
	}
	if !s.running && !s.finished {
		s.finishLocked()
	}
}
