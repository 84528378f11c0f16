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

// Embedded configures a NATS server in this process.
type Embedded struct {
	// Dir is the directory for the server's data. Only one process at a time may use it.
	Dir string

	// ClusterListen is the address for connections of other servers. "" means 127.0.0.1:6222 if Join is set; otherwise the server
	// is not part of a cluster. An address beyond loopback requires Secret and TLS.
	ClusterListen string

	// Join contains addresses of other servers of the cluster. The server learns the remaining addresses from them.
	Join []string

	// Secret is shared by the servers of a cluster. "" means none.
	Secret string

	// TLS is used between the servers, in both directions: it needs a certificate, ClientCAs and RootCAs. nil means no TLS.
	TLS *tls.Config

	// SyncAlways syncs every write to disk before it is acknowledged. Otherwise the server syncs every two minutes.
	SyncAlways bool

	// Warn is called with warnings and errors of the server, from any goroutine. nil discards them.
	Warn func(text string)
}

// Server is a NATS server in this process. Start makes one.
type Server struct {
	server   *server.Server
	password string // the password of clients; "" means none
	unlock   func()
}

const (
	defaultCluster = "127.0.0.1:6222"
	startWait      = 10 * time.Second
	maxPayload     = 8 << 20
	maxPending     = 256 << 20  // the limit for one connection, which is closed if more data is pending
	routeUser      = "handfast" // the user of routes, and of clients in this process
)

// ErrInUse is the error of [Start] if another process is using the directory.
var ErrInUse = errors.New("another process is using the directory")

// Start starts a server. It returns when engines can connect. In a cluster, nothing can be published until two servers are running.
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
		return nil, fmt.Errorf("natsengine: the NATS server did not start: %s", why)
	}
	return &Server{s, opts.Password, unlock}, nil
}

// Shutdown ends the server, and waits until it has ended.
func (s *Server) Shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	s.unlock()
}

// ClusterAddr returns the address for connections of other servers; nil if the server is not part of a cluster.
func (s *Server) ClusterAddr() net.Addr {
	if a := s.server.ClusterAddr(); a != nil {
		return a
	}
	return nil
}

// WaitReady waits until the server can store messages: in a cluster, until there is a leader.
func (s *Server) WaitReady(ctx context.Context) error {
	for s.server.JetStreamIsClustered() && !s.server.JetStreamIsCurrent() {
		if !sleep(ctx, tick) {
			return fmt.Errorf("natsengine: the cluster has no leader (%d other servers are connected): %w", s.server.NumRoutes(), ctx.Err())
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
		JetStreamMaxStore:     1 << 60, // only the disk limits the size
		ReconnectErrorReports: 3600,    // log once that a node is unreachable, not at every attempt
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
		if err := e.checkExposed(a); err != nil {
			return nil, err
		}
	}
	elections.Do(shortenElections)
	o.Cluster = server.ClusterOpts{
		Name: "handfast", Host: host, TLSConfig: e.TLS, TLSTimeout: 5, ConnectRetries: 1 << 30,
		// A server that has stopped or is unreachable keeps its connections open. Without pings, messages to it would be lost for a long
		// time.
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
	// The server joins others only if it also listens for clients: on loopback, with a password that only this process knows.
	o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
	o.Username, o.Password, o.Cluster.NoAdvertise = routeUser, rand.Text(), true
	user := (*url.Userinfo)(nil)
	if e.Secret != "" {
		o.Cluster.Username, o.Cluster.Password = routeUser, e.Secret
		user = url.UserPassword(routeUser, e.Secret)
	}
	join := e.Join
	if len(join) == 0 { // the first server: JetStream forms a cluster only if there is a route, even if it is a route to itself
		join = []string{net.JoinHostPort(o.Cluster.Host, strconv.Itoa(o.Cluster.Port))}
	}
	for _, a := range join {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: a, User: user})
	}
	return o, nil
}

// anyPort returns a free port. The port must be known before the server listens.
func anyPort(host string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// checkExposed returns an error if an address is beyond loopback without both a secret and TLS.
func (e *Embedded) checkExposed(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("natsengine: an address of the cluster: %w", err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	switch {
	case e.Secret == "":
		return fmt.Errorf("natsengine: the address %s of the cluster is not on this machine: a secret that all nodes share is required", addr)
	case e.TLS == nil:
		return fmt.Errorf("natsengine: the address %s of the cluster is not on this machine: TLS between the nodes is required", addr)
	}
	return nil
}

// serverName returns the name of the server that uses a directory. The server's stored data and its membership in a cluster belong to this
// name.
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
