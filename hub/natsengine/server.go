package natsengine

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Embedded says how a NATS server in this process works.
type Embedded struct {
	// Dir is where it stores what it keeps. Only one process at a time may use it.
	Dir string

	// ClusterListen is the address that other servers connect to. "" means 127.0.0.1:6222 if there is Join, and otherwise that the
	// server is on its own. Beyond loopback, Secret and TLS are required.
	ClusterListen string

	// Join has addresses of other servers of the cluster. The others learn of each other.
	Join []string

	// Secret is shared by the servers of a cluster. "" means none.
	Secret string

	// TLS is used between the servers, in both directions: it needs a certificate, ClientCAs and RootCAs. nil means no TLS.
	TLS *tls.Config

	// SyncAlways has every write be on disk before it is acknowledged. Otherwise that happens every two minutes.
	SyncAlways bool

	// Warn is called with warnings and errors of the server, from any goroutine. nil means that they are dropped.
	Warn func(text string)
}

// Server is a NATS server in this process. Start makes one.
type Server struct {
	server   *server.Server
	password string // of clients; "" means none
	unlock   func()
}

const (
	defaultCluster = "127.0.0.1:6222"
	startWait      = 10 * time.Second
	maxPayload     = 8 << 20
	maxPending     = 256 << 20  // of one connection; one that has more is cut
	routeUser      = "handfast" // of routes and of clients in the process
)

// ErrInUse is the error of [Start] when another process uses the directory.
var ErrInUse = errors.New("another process uses the directory")

// Start starts a server. It returns when engines can connect. In a cluster, nothing can be published before two servers are there.
func Start(e Embedded) (*Server, error) {
	opts, err := e.options()
	if err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(e.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("natsengine: %s: %w", e.Dir, err)
	}
	if opts.ServerName, err = serverName(e.Dir); err != nil {
		unlock()
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		unlock()
		return nil, fmt.Errorf("natsengine: %w", err)
	}
	l := &logger{warn: e.Warn}
	s.SetLoggerV2(l, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startWait) || !s.JetStreamEnabled() {
		why := l.last()
		(&Server{s, "", unlock}).Shutdown()
		return nil, fmt.Errorf("natsengine: the NATS server does not start: %s", why)
	}
	return &Server{s, opts.Password, unlock}, nil
}

// Shutdown ends the server, and waits until it has ended.
func (s *Server) Shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	s.unlock()
}

// ClusterAddr returns the address that other servers connect to; nil if the server is on its own.
func (s *Server) ClusterAddr() net.Addr {
	if a := s.server.ClusterAddr(); a != nil {
		return a
	}
	return nil
}

// WaitReady waits until the server can store: in a cluster, until there is a leader.
func (s *Server) WaitReady(ctx context.Context) error {
	for s.server.JetStreamIsClustered() && !s.server.JetStreamIsCurrent() {
		if !sleep(ctx, tick) {
			return fmt.Errorf("natsengine: the cluster has no leader: %d other servers are connected: %w", s.server.NumRoutes(), ctx.Err())
		}
	}
	return nil
}

func (e *Embedded) options() (*server.Options, error) {
	if e.Dir == "" {
		return nil, errors.New("natsengine: a directory is required")
	}
	if err := os.MkdirAll(e.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("natsengine: %w", err)
	}
	o := &server.Options{
		DontListen: true, JetStream: true, StoreDir: e.Dir, NoSigs: true,
		MaxPayload: maxPayload, MaxPending: maxPending, SyncAlways: e.SyncAlways,
		JetStreamMaxStore:     1 << 60, // the disk is the limit
		ReconnectErrorReports: 3600,    // log that a node is away once, and not at every attempt
	}
	listen := e.ClusterListen
	if listen == "" && len(e.Join) > 0 {
		listen = defaultCluster
	}
	if listen == "" {
		return o, nil
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("natsengine: the address of the cluster: %w", err)
	}
	for _, a := range append([]string{listen}, e.Join...) {
		if err := e.guarded(a); err != nil {
			return nil, err
		}
	}
	elections.Do(shortenElections)
	o.Cluster = server.ClusterOpts{
		Name: "handfast", Host: host, TLSConfig: e.TLS, TLSTimeout: 5, ConnectRetries: 1 << 30,
		// A server that has stopped, or is cut off, keeps its connections open: what it was sent would be lost for long.
		PingInterval: time.Second, MaxPingsOut: 3,
	}
	if o.Cluster.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("natsengine: the address of the cluster: %w", err)
	}
	if o.Cluster.Port == 0 {
		if o.Cluster.Port, err = anyPort(host); err != nil {
			return nil, fmt.Errorf("natsengine: the address of the cluster: %w", err)
		}
	}
	// The server only joins others when it listens for clients, too: on loopback, with a password that this process alone has.
	o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
	o.Username, o.Password, o.Cluster.NoAdvertise = routeUser, rand.Text(), true
	user := (*url.Userinfo)(nil)
	if e.Secret != "" {
		o.Cluster.Username, o.Cluster.Password = routeUser, e.Secret
		user = url.UserPassword(routeUser, e.Secret)
	}
	join := e.Join
	if len(join) == 0 { // the first one: JetStream begins a cluster only with a route, be it to itself
		join = []string{net.JoinHostPort(o.Cluster.Host, strconv.Itoa(o.Cluster.Port))}
	}
	for _, a := range join {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: a, User: user})
	}
	return o, nil
}

// anyPort returns a port that is free. It must be known before the server listens.
func anyPort(host string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// guarded returns an error if an address is beyond loopback, and there is no secret or no TLS.
func (e *Embedded) guarded(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("natsengine: an address of the cluster: %w", err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	switch {
	case e.Secret == "":
		return fmt.Errorf("natsengine: the address %s of the cluster is not of this machine: a secret that all nodes share is required", addr)
	case e.TLS == nil:
		return fmt.Errorf("natsengine: the address %s of the cluster is not of this machine: TLS between the nodes is required", addr)
	}
	return nil
}

// serverName returns the name of the server that uses a directory: others know it by that, and what it has stored belongs to it.
func serverName(dir string) (string, error) {
	path := filepath.Join(dir, "name")
	b, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("natsengine: %w", err)
	}
	name := "handfast-" + rand.Text()
	if err := os.WriteFile(path+".new", []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("natsengine: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("natsengine: %w", err)
	}
	return name, nil
}
