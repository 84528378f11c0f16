package gateway

import (
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
)

// forwardOptions converts the configuration of forward auth.
func (m *methods) forwardOptions(cfg *config.Forward) (auth.ForwardOptions, error) {
	o := auth.ForwardOptions{
		URL: cfg.URL, Credentials: cfg.Headers, SubjectHeaders: []string{cfg.UserHeader}, Address: clientAddress,
		Timeout: time.Duration(cfg.Timeout), TTL: time.Duration(cfg.Cache), InFlight: cfg.Concurrency,
		Recheck: time.Duration(cfg.Recheck), RecheckGrace: time.Duration(cfg.RecheckGrace),
	}
	for _, c := range cfg.Claims {
		o.Claims = append(o.Claims, auth.ForwardClaim{Header: c.Header, Claim: c.Claim, List: c.List})
	}
	if cfg.Cache == 0 {
		o.TTL = -1 // no caching; auth uses a default for 0
	}
	if cfg.CA != "" {
		transport, err := transportFor(string(cfg.CA))
		if err != nil {
			return o, err
		}
		o.Transport = transport
	}
	return o, nil
}
