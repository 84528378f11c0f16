package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/nextstep"
	"github.com/handfast/handfast/internal/redisurl"
)

// Check returns the problems that [Open] and [Server.Reload] would find in a configuration that is otherwise valid. It creates all
// parts of a server, except for those that need an address, another server or the state directory, and discards them.
func Check(cfg *config.Config) []*config.Problem {
	problems := checkTLS(cfg)
	found := func(path string, err error) {
		if err != nil {
			problems = append(problems, problemsIn(cfg, path, err)...)
		}
	}
	if r := cfg.Store.Redis; r != nil {
		_, err := redisurl.Parse(r.URL.Reveal())
		found("store.redis.url", err)
	}
	for i := range cfg.Webhooks {
		_, err := webhookOptions(cfg, i)
		found(fmt.Sprintf("webhooks[%d]", i), err)
	}
	s, filled := serverForCheck(cfg)
	defer func() {
		s.Close()
		s.finish()
	}()
	methods := &methods{cfg: filled, store: s.store.Store, fault: func(error) {}, byKey: map[string]*method{}}
	for path, m := range filled.Methods() {
		_, err := methods.get(path, m)
		found(path, err)
	}
	methods.close(nil)
	if len(problems) > 0 {
		return problems
	}
	found("", s.prepare(filled))
	return problems
}

// serverForCheck returns a server for a configuration that is only checked, with the configuration for its site. The server uses
// nothing that outlives it or depends on another server: no addresses, no webhooks, and only an in-memory store and engine.
func serverForCheck(cfg *config.Config) (*Server, *config.Config) {
	dry := *cfg
	dry.Listen, dry.Webhooks, dry.Store = nil, nil, config.Store{}
	dry.Hub.Engine = config.Engine{Kind: "memory", Settings: &config.MemoryEngine{}}
	s := newServer(&dry, Options{})
	s.dev.once.Do(func() { s.dev.text = config.NewSecret("use another secret: the application dev has its own") })
	s.store.Store = auth.NewMemoryStore(auth.MemoryStoreOptions{})
	return s, s.dev.fill(&dry, s.rec)
}

// prepare creates the site of a server that [serverForCheck] has returned.
func (s *Server) prepare(filled *config.Config) error {
	targets := s.targets()
	targets["balance"] = checkedBalance
	site, err := s.builder(targets).newSite(filled, nil)
	if err == nil {
		s.site.Store(site) // Close closes the site as well
	}
	return err
}

// checkedBalance checks the settings of a balancer and returns a target that connects to no server.
func checkedBalance(cfg *config.Config, i int) (Target, error) {
	set := cfg.Endpoints[i].Target.Settings.(*config.Balance)
	if _, err := (&balanceTarget{}).settings(cfg, i); err != nil {
		return nil, err
	}
	_, err := servers(set)
	return unreachableTarget{}, err
}

// unreachableTarget is the target of a balancer during a check.
type unreachableTarget struct{}

func (unreachableTarget) Open(context.Context, *Request) (*Opened, error) { return nil, errStopping }
func (unreachableTarget) Close() error                                    { return nil }

// problemsIn returns the problems in an error, or the error as a problem with a path.
func problemsIn(cfg *config.Config, path string, err error) []*config.Problem {
	if all, ok := errors.AsType[*config.Error](err); ok {
		return all.Problems
	}
	if one, ok := errors.AsType[*config.Problem](err); ok {
		return []*config.Problem{one}
	}
	p := cfg.Problem(path, err.Error(), "")
	p.Hint = nextstep.Of(err)
	return []*config.Problem{p}
}

// checkTLS reads the files of the listeners' TLS settings.
func checkTLS(cfg *config.Config) (problems []*config.Problem) {
	scratch := ""
	defer func() {
		if scratch != "" {
			_ = os.RemoveAll(scratch)
		}
	}()
	for i, l := range cfg.Listen {
		if l.TLS.Mode == config.TLSOff {
			continue
		}
		path := fmt.Sprintf("listen[%d].tls", i)
		opts, err := certOptions(l.TLS)
		if err == nil && l.TLS.Mode != config.TLSFiles && scratch == "" {
			scratch, err = os.MkdirTemp("", "handfast-check-*")
		}
		switch {
		case err != nil:
		case l.TLS.Mode == config.TLSACME:
			opts.ACME = acmeOptions(l.TLS.ACME, scratch)
		case l.TLS.Mode == config.TLSDev:
			opts.Dev, err = certs.OpenDev(fmt.Sprintf("%s/dev%d", scratch, i), "", l.TLS.Dev.Hosts...)
		}
		if err == nil {
			var provider *certs.Provider
			if provider, err = certs.Open(opts); err == nil {
				provider.Close()
				continue
			}
		}
		if fault, ok := errors.AsType[*certs.Error](err); ok {
			path = placeOf(fault.Path, l.TLS, path)
		}
		problems = append(problems, problemsIn(cfg, path, err)...)
	}
	return problems
}

// placeOf returns the key of the TLS setting at path that names a file, or path itself if there is none.
func placeOf(file string, t config.TLS, path string) string {
	where := map[string]string{string(t.TicketFile): ".ticket_file", string(t.ACME.CARoot): ".acme.ca_root"}
	for j, f := range t.ClientCAs {
		where[string(f)] = fmt.Sprintf(".client_cas[%d]", j)
	}
	for j, h := range t.Dev.Hosts {
		where[h] = fmt.Sprintf(".dev.hosts[%d]", j)
	}
	for j, f := range t.Files {
		where[string(f.Key)] = fmt.Sprintf(".files[%d].key", j)
		where[string(f.Cert)] = fmt.Sprintf(".files[%d].cert", j)
	}
	return path + where[file]
}
