package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/console"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/websocket"
)

// adminListener is the listener for the operators of the server.
type adminListener struct {
	url     string
	ports   []net.Listener
	server  *websocket.Server
	serving sync.WaitGroup
}

const (
	adminHeadTimeout = 5 * time.Second
	adminTimeout     = time.Minute // long enough for a CPU profile, which takes 30 s
	adminMaxHead     = 16 << 10
	adminMaxConns    = 256 // the maximum number of connections; beyond it, one connection of the busiest address is closed
)

// openAdmin binds the admin listener; it returns nil if none is configured.
func (s *Server) openAdmin(ctx context.Context, cfg config.Admin, reload func(context.Context) Reloaded) (*adminListener, error) {
	if cfg.Address.Off() {
		return nil, nil
	}
	addr := string(cfg.Address)
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr
	}
	listeners, err := listen(ctx, addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	a := &adminListener{url: "http://" + displayAddr(addr, listeners[0].Addr()), ports: listeners}
	for _, l := range listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); cfg.Token.Empty() && (!ok || !tcp.IP.IsLoopback()) {
			for _, l := range listeners {
				l.Close()
			}
			return nil, &ListenError{Addr: addr, Err: errors.New("other machines can reach the admin listener at this address, and no token is set"),
				Hint: "use a loopback address such as 127.0.0.1:9090, or set admin.token"}
		}
	}
	op := &operator{rec: s.rec, conns: s.conns, store: s.store.Store, ready: s.readiness, hub: &s.hub, started: time.Now(),
		site: s.site.Load, reload: reload}
	a.server = &websocket.Server{
		HTTP: &http.Server{
			Handler: op.handler(cfg), ReadHeaderTimeout: adminHeadTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
			IdleTimeout: idleTimeout, MaxHeaderBytes: adminMaxHead, ErrorLog: slog.NewLogLogger(s.rec.log.Handler(), slog.LevelInfo),
		},
		// All connections count, not only those that wait: a client that can reach the listener must not use up all descriptors.
		MaxHandshakes: func(net.Addr) int { return adminMaxConns },
		CountPages:    true,
	}
	return a, nil
}

// serve serves requests until close is called.
func (a *adminListener) serve() {
	for _, l := range a.ports {
		a.serving.Go(func() { _ = a.server.Serve(l) }) // Serve returns after close; if Serve fails, the rest of the server continues
	}
}

// close closes the listener and its connections immediately.
func (a *adminListener) close() {
	a.server.Close() //nolint:errcheck // Close always returns nil
	for _, l := range a.ports {
		_ = l.Close() // in case serve was never called
	}
	a.serving.Wait()
}

// operator handles the requests of operators. All methods may be called from any goroutine.
type operator struct {
	rec   *recorder
	conns *registry.Registry
	store auth.Store
	ready func() error // the reason why the server does not accept clients; nil if it does
	hub   *sharedHub

	reload func(context.Context) Reloaded // nil if the program cannot reload

	started time.Time
	site    func() *site // the configuration in use
}

// config returns the configuration in use.
func (s *operator) config() *config.Config { return s.site().cfg }

// handler returns the handler of the admin listener. /livez and /readyz need no token, so that health checks work without one; they
// reveal nothing else.
func (s *operator) handler(cfg config.Admin) http.Handler {
	open := http.NewServeMux()
	open.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	open.HandleFunc("GET /readyz", s.readyz)
	page := console.RegisterAdmin(open)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, adminIndex) })
	mux.Handle("GET /metrics", s.rec.metrics.Handler())
	mux.HandleFunc("GET /connections", s.listConnections)
	mux.HandleFunc("DELETE /connections", s.closeConnections)
	mux.HandleFunc("DELETE /connections/{id}", s.closeConnections)
	mux.HandleFunc("POST /connections/close", s.closeConnections)
	mux.HandleFunc("POST /revocations", s.revokeByOperator)
	mux.HandleFunc("GET /handshakes", s.listHandshakes)
	mux.HandleFunc("GET /info", s.showInfo)
	mux.HandleFunc("POST /reload", s.reloadConfig)
	mux.HandleFunc("GET /balance", s.listServers)
	mux.HandleFunc("POST /balance/servers", s.addServer)
	mux.HandleFunc("DELETE /balance/servers", s.removeServer)
	mux.HandleFunc("POST /balance/drain", s.drainServer)
	mux.HandleFunc("DELETE /balance/drain", s.undrainServer)
	mux.HandleFunc("GET /channels", s.listChannels)
	mux.HandleFunc("GET /channels/{app}", s.listChannels)
	mux.HandleFunc("GET /channels/{app}/{channel...}", s.showChannel)
	if cfg.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	guarded := guardAdmin(cfg.Token.Reveal(), mux)
	open.Handle("/", guarded)
	open.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "text/html") { // a browser gets the page, which makes the guarded requests itself
			page.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
	return open
}

const adminIndex = `handfast admin

GET    /                    this text; for browsers, a page with servers, channels, members and connections
GET    /livez               whether the process is running
GET    /readyz              whether it accepts connections
GET    /metrics             for Prometheus
GET    /connections         connections: ?user= &addr= &endpoint= &limit=
DELETE /connections         close connections: ?user= &addr= &endpoint= or ?all=true; &code= &reason=
DELETE /connections/{id}    close one connection
POST   /connections/close   the same as DELETE, for forms
POST   /revocations         revoke a user or a credential on all nodes: user= credential=
GET    /handshakes          the last rejected handshakes and the reasons: ?format=text
GET    /info                the version and the figures of this node
POST   /reload              read the configuration again, and report what changed, or why it is not used
GET    /balance             servers of the balancers of all endpoints: ?endpoint=
POST   /balance/servers     add a server: server= weight= capacity= endpoint=
DELETE /balance/servers     remove a server that was added: ?server= &endpoint=
POST   /balance/drain       drain a server: server= pace= endpoint=
DELETE /balance/drain       end a drain: ?server= &endpoint=
GET    /channels            channels of the first application with subscribers: ?prefix= &after= &limit=
GET    /channels/{app}      the same for another application
GET    /channels/{app}/{channel}   a channel: its position, history and members: ?cursor= &limit=
GET    /debug/pprof/        profiles, if admin.pprof is true
`

// guardAdmin passes authorized requests on to next. If a token is configured, every request needs it. Without a token, every client that
// can reach the loopback address is authorized, including browsers on this machine, which send requests for any page. In that case requests
// for another host name (DNS rebinding) and requests from another origin are rejected.
func guardAdmin(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	fromHere := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wantsWebSocket(r) { // upgraded connections would not count towards the limit
			plain(w, http.StatusBadRequest, "the admin listener does not serve WebSockets\n")
			return
		}
		if token == "" {
			if !loopbackHost(hostOf(r)) {
				plain(w, http.StatusMisdirectedRequest, "the admin listener answers only requests for localhost and loopback addresses\n")
				return
			}
			if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
				plain(w, http.StatusForbidden, "pages of other origins are not allowed\n")
				return
			}
			fromHere.ServeHTTP(w, r)
			return
		}
		scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(shown))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="handfast admin"`)
			plain(w, http.StatusUnauthorized, "a token is required\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackHost reports whether a host without a port is a name or an address of this machine only.
func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// readyz reports whether new connections are accepted. It needs no token, so it omits the engine's error, which may name servers; /info
// includes that error.
func (s *operator) readyz(w http.ResponseWriter, _ *http.Request) {
	switch err := s.ready(); {
	case err == nil:
		plain(w, http.StatusOK, "ok\n")
	case errors.Is(err, errStopping):
		plain(w, http.StatusServiceUnavailable, "stopping\n")
	default:
		plain(w, http.StatusServiceUnavailable, "the engine of the channels does not answer; see /info for the reason\n")
	}
}

func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // this fails if the client has disconnected
}

func badRequest(w http.ResponseWriter, format string, args ...any) {
	plain(w, http.StatusBadRequest, fmt.Sprintf(format, args...)+"\n")
}
