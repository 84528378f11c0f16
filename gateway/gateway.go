package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/handfast/handfast/certs"
)

// TLSMode says where the server's certificate comes from.
type TLSMode string

// The modes.
const (
	TLSDev   TLSMode = "dev"   // a development CA of this user, made on first use; the default
	TLSFiles TLSMode = "files" // from two files
	TLSOff   TLSMode = "off"   // no TLS: whoever carries the bytes can read and change them
)

// Options say what a server does. The zero value is a server for development on https://localhost:8443.
type Options struct {
	// Listen are the addresses, host:port each. An empty host means every address of the machine, localhost means both
	// loopback addresses, port 0 picks a free port. nil means localhost:8443.
	Listen []string

	TLS      TLSMode // "" means TLSDev
	CertFile string  // for TLSFiles: the certificate and its chain, in PEM
	KeyFile  string  // for TLSFiles: its private key, in PEM

	// Origins whose pages may open WebSockets besides the server's own: "https://example.com".
	Origins []string

	// MaxConns bounds the WebSockets that are open at once; more are answered with 503. 0 means 10,000.
	MaxConns int

	// DrainTimeout bounds how long a stop waits for the connections to close. 0 means 10 seconds.
	DrainTimeout time.Duration

	// Log gets what happens; nil: nothing is logged.
	Log *slog.Logger
}

// DefaultListen is where a server listens when nothing else is said.
const DefaultListen = "localhost:8443"

const (
	defaultMaxConns     = 10_000
	defaultDrainTimeout = 10 * time.Second

	// The bounds on a request. They end with the opening handshake: a WebSocket has its own.
	maxHeader     = 32 << 10
	headerTimeout = 10 * time.Second
	pageTimeout   = 30 * time.Second
	idleTimeout   = 60 * time.Second
	pageGrace     = time.Second // what a stop gives requests for pages, which take milliseconds
)

// Server is a set of bound addresses and what answers on them.
type Server struct {
	opts      Options
	log       *slog.Logger
	listeners []net.Listener
	urls      []string
	dev       *certs.Dev
	tls       *tls.Config
	http      *http.Server
	conns     *registry
	alive     context.Context //nolint:containedctx // ends when Close is called, whoever serves
	kill      context.CancelFunc
}

// Open binds the addresses and gets the certificate. A connection that comes in waits for [Server.Serve]. The errors are
// [*ListenError] and [*certs.Error] where an address or a file is to blame.
func Open(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{opts: opts, log: opts.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.opts.MaxConns == 0 {
		s.opts.MaxConns = defaultMaxConns
	}
	if s.opts.DrainTimeout == 0 {
		s.opts.DrainTimeout = defaultDrainTimeout
	}
	if len(s.opts.Listen) == 0 {
		s.opts.Listen = []string{DefaultListen}
	}
	if err := s.setUpTLS(); err != nil {
		return nil, err
	}
	if err := s.bind(ctx); err != nil {
		return nil, err
	}
	s.conns = newRegistry(s.opts.MaxConns)
	s.alive, s.kill = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s.routes(),
		TLSConfig:         s.tls,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       pageTimeout,
		WriteTimeout:      pageTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelInfo),
		Protocols:         new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	return s, nil
}

// setUpTLS gets the certificate that the options ask for.
func (s *Server) setUpTLS() error {
	switch s.opts.TLS {
	case TLSOff:
		return nil
	case TLSFiles:
		pair, err := certs.LoadFiles(s.opts.CertFile, s.opts.KeyFile)
		if err != nil {
			return err
		}
		s.tls = certs.ServerConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil })
		return nil
	case TLSDev, "":
		dir, err := certs.DevDir()
		if err != nil {
			return err
		}
		host, err := os.Hostname()
		if err != nil {
			s.log.Warn("the machine's name is unknown: the certificate is for localhost only", "error", err)
		}
		if s.dev, err = certs.OpenDev(dir, host); err != nil {
			return err
		}
		s.tls = certs.ServerConfig(s.dev.GetCertificate)
		return nil
	}
	return fmt.Errorf("unknown TLS mode %q: it is dev, files or off", s.opts.TLS)
}

// URLs returns an http or https URL, without a path, for every address that was bound.
func (s *Server) URLs() []string { return s.urls }

// Dev returns the development certificate in use, and nil when TLS is off or its certificate comes from files.
func (s *Server) Dev() *certs.Dev { return s.dev }

// Serve answers until ctx ends, and then drains; it returns when no connection is left. It is called once. A drain that
// was cut short, by its time or by [Server.Close], is no error.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, len(s.listeners))
	var serving sync.WaitGroup
	for _, l := range s.listeners {
		serving.Go(func() {
			var err error
			if s.tls == nil {
				err = s.http.Serve(l)
			} else {
				err = s.http.ServeTLS(l, "", "")
			}
			if !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("accept connections on %s: %w", l.Addr(), err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case <-s.alive.Done():
	case err = <-failed:
	}
	s.stop()
	serving.Wait()
	return err
}

// Close cuts every connection, without a close frame. Serve, when it runs, returns then. More calls do nothing.
func (s *Server) Close() {
	s.kill()
	s.http.Close()
	for _, l := range s.listeners {
		l.Close() // those that Serve has not taken over yet
	}
}

// stop drains: pages and WebSockets at the same time, each within its bound.
func (s *Server) stop() {
	defer s.Close()
	ctx, cancel := context.WithTimeout(s.alive, s.opts.DrainTimeout)
	defer cancel()
	s.log.Info("stopping", "connections", s.conns.size())
	var pages sync.WaitGroup
	pages.Go(func() {
		grace, cancel := context.WithTimeout(ctx, pageGrace)
		defer cancel()
		if s.http.Shutdown(grace) != nil {
			s.http.Close()
		}
	})
	closed, cut := s.conns.drain(ctx)
	pages.Wait()
	s.log.Info("stopped", "closed", closed, "cut", cut)
}
