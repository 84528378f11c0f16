package gateway

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
)

// certSource is the source of the certificates for listeners with the same TLS settings.
type certSource struct {
	cfg      config.TLS
	dev      *certs.Dev // nil means none
	provider *certs.Provider
	config   *tls.Config
}

// openCerts returns the source for cfg: the one in old with the same settings, or a new one.
func (b *builder) openCerts(cfg config.TLS, old []*certSource) (*certSource, error) {
	for _, c := range old {
		if c != nil && reflect.DeepEqual(c.cfg, cfg) {
			return c, nil
		}
	}
	c := &certSource{cfg: cfg}
	opts, err := certOptions(cfg)
	if err != nil {
		return nil, err
	}
	opts.OnEvent = b.rec.certificate
	switch cfg.Mode {
	case config.TLSACME:
		cache, err := acmeCache(cfg.ACME)
		if err != nil {
			return nil, err
		}
		opts.ACME = acmeOptions(cfg.ACME, cache)
	case config.TLSDev:
		if c.dev, err = b.openDev(cfg.Dev); err != nil {
			return nil, err
		}
		opts.Dev = c.dev
	}
	provider, err := certs.Open(opts)
	if err != nil {
		return nil, err
	}
	c.provider, c.config = provider, provider.TLSConfig("http/1.1")
	return c, nil
}

// certOptions converts the configuration of TLS for package certs, except for the files in the state directory.
func certOptions(cfg config.TLS) (certs.Options, error) {
	opts := certs.Options{ClientAuth: certs.ClientAuth(cfg.ClientAuth), TicketFile: string(cfg.TicketFile), RefuseUnknown: cfg.RefuseUnknown}
	if cfg.MinVersion == "1.3" {
		opts.MinVersion = tls.VersionTLS13
	}
	for _, file := range cfg.ClientCAs {
		opts.ClientCAs = append(opts.ClientCAs, string(file))
	}
	switch cfg.Mode {
	case config.TLSFiles:
		for _, f := range cfg.Files {
			opts.Files = append(opts.Files, certs.Pair{Cert: string(f.Cert), Key: string(f.Key)})
		}
	case config.TLSACME, config.TLSDev:
	default:
		return opts, fmt.Errorf("unknown TLS mode %q: want dev, files, acme or off", cfg.Mode)
	}
	return opts, nil
}

// openDev opens the development certificate of this user, and creates it if necessary.
func (b *builder) openDev(cfg config.Dev) (*certs.Dev, error) {
	dir, err := certs.DevDir()
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		b.rec.log.Warn("the machine's name is unknown: the certificate is for localhost only", observe.KeyError, err)
	}
	return certs.OpenDev(dir, host, cfg.Hosts...)
}

// acmeCache returns the directory of the ACME account and its certificates.
func acmeCache(cfg config.ACME) (string, error) {
	if cfg.Cache != "" {
		return string(cfg.Cache), nil
	}
	dev, err := certs.DevDir()
	return filepath.Join(filepath.Dir(dev), "acme"), err
}

// acmeOptions converts the configuration of ACME for package certs.
func acmeOptions(cfg config.ACME, cache string) *certs.ACME {
	acme := &certs.ACME{
		Hosts: cfg.Hosts, Cache: cache, AgreeTerms: cfg.AcceptTerms, Email: cfg.Email, Directory: cfg.Directory,
		RootFile: string(cfg.CARoot),
	}
	if cfg.EABKeyID != "" {
		acme.EAB = &certs.EAB{KeyID: cfg.EABKeyID, Key: cfg.EABKey.Reveal()}
	}
	return acme
}

// certificateEnds returns the expiry time of each certificate in use, for the metrics.
func (s *Server) certificateEnds() map[string]float64 {
	ends := map[string]float64{}
	site := s.site.Load()
	if site == nil {
		return ends
	}
	for _, c := range site.sources() {
		for _, info := range c.provider.Certificates() {
			if info.Cert != nil {
				ends[info.Path] = float64(info.Cert.NotAfter.Unix())
			}
		}
	}
	return ends
}

// challenges returns a handler in which every source responds to its ACME challenges before next sees a request.
func challenges(sources []*certSource, next http.Handler) http.Handler {
	for _, c := range sources {
		next = c.provider.HTTPHandler(next) // without ACME this returns next itself
	}
	return next
}
