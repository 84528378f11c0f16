package gateway

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/natsengine"
	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/internal/statedir"
	"github.com/handfast/handfast/observe"
)

// natsSecretFile is the file in the state directory that contains the cluster secret for the nodes of one user on one machine.
const natsSecretFile = "nats-cluster.secret"

// natsEngine is an engine with a server in the process.
type natsEngine struct {
	*natsengine.Engine
	server *natsengine.Server
}

// Close shuts the server down.
func (e *natsEngine) Close() error {
	e.server.Shutdown()
	return nil
}

// natsOptions converts the configuration for the engine, without the server in the process. A channel keeps at most history
// messages.
func natsOptions(cfg *config.NATSEngine, history int) (natsengine.Options, error) {
	o := natsengine.Options{
		URL: cfg.URL.Reveal(), Credentials: string(cfg.Credentials), Prefix: cfg.Prefix, Replicas: cfg.Replicas,
		MaxBytes: int64(cfg.MaxBytes), MaxHistory: history,
	}
	if o.URL == "" || cfg.CA == "" {
		return o, nil
	}
	pool, err := authorities(string(cfg.CA))
	o.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return o, err
}

// newNATS creates the engine nats.
func newNATS(cfg *config.NATSEngine, history int, log *slog.Logger, warn func(string)) (hub.Engine, error) {
	o, err := natsOptions(cfg, history)
	if err != nil {
		return nil, err
	}
	if o.URL != "" {
		return natsengine.New(o)
	}
	e, err := embedded(cfg, warn)
	if err != nil {
		return nil, err
	}
	if o.Server, err = natsengine.Start(e); err != nil {
		return nil, err
	}
	if a := o.Server.ClusterAddr(); a != nil {
		log.Info(observe.EventCluster, observe.KeyAddress, a.String(), observe.KeyFile, e.Dir)
	}
	engine, err := natsengine.New(o)
	if err != nil {
		o.Server.Shutdown()
		return nil, err
	}
	return &natsEngine{engine, o.Server}, nil
}

// embedded converts the configuration for a server in the process.
func embedded(cfg *config.NATSEngine, warn func(string)) (e natsengine.Embedded, err error) {
	c := &cfg.Cluster
	e = natsengine.Embedded{
		Dir: string(cfg.Dir), ClusterListen: string(c.Listen), Secret: c.Secret.Reveal(), SyncAlways: cfg.SyncAlways,
	}
	for _, a := range c.Join {
		e.Join = append(e.Join, string(a))
	}
	if e.Dir == "" {
		if e.Dir, err = natsDir(e.ClusterListen); err != nil {
			return e, err
		}
	}
	// The configuration allows a cluster without a secret only on loopback; the generated secret keeps other users of the machine out.
	if e.Secret == "" && e.ClusterListen != "" {
		if e.Secret, err = statedir.Secret(natsSecretFile); err != nil {
			return e, err
		}
	}
	if c.Cert != "" {
		if e.TLS, err = clusterTLS(c); err != nil {
			return e, err
		}
	}
	e.Warn = func(text string) {
		if e.Secret != "" {
			text = strings.ReplaceAll(text, e.Secret, redact.Mark)
		}
		warn(text)
	}
	return e, nil
}

// natsDir returns the default directory of a server: one for each cluster address, so that several nodes can run on one machine.
func natsDir(listen string) (string, error) {
	state, err := statedir.Dir()
	if err != nil {
		return "", err
	}
	name := "alone"
	if listen != "" {
		name = strings.Map(func(c rune) rune {
			if strings.ContainsRune(`:[]%/\`, c) {
				return '_'
			}
			return c
		}, listen)
	}
	return filepath.Join(state, "nats", name), nil
}

// clusterTLS returns the TLS configuration between nodes, with certificates on both sides.
func clusterTLS(c *config.NATSCluster) (*tls.Config, error) {
	cert, err := nodeCertificate(c)
	if err != nil {
		return nil, err
	}
	pool, err := authorities(string(c.CA))
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{*cert}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS12,
	}, nil
}

// nodeCertificate loads the certificate of a node and its key.
func nodeCertificate(c *config.NATSCluster) (*tls.Certificate, error) {
	return certs.LoadFiles(string(c.Cert), string(cmp.Or(c.Key, c.Cert)))
}

// authorities loads the certificate authorities in a PEM file.
func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}

// maxKept returns the maximum number of messages that any channel keeps, which limits the stream of all channels.
func maxKept(cfg *config.Config) int {
	most := 100_000 // a reload may add a channel with this limit
	for _, n := range cfg.Hub.Namespaces {
		most = max(most, n.History)
	}
	for i := range cfg.Endpoints {
		if s, ok := cfg.Endpoints[i].Target.Settings.(*config.Streams); ok {
			most = max(most, s.History)
		}
	}
	return most
}
