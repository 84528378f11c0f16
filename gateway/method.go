package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
)

// newMethod creates a method from the configuration at path.
func (m *methods) newMethod(path string, cfg *config.Method) (*method, error) {
	var a auth.Authenticator
	var sources []auth.Source
	var err error
	switch {
	case cfg.JWT != nil:
		if sources, err = tokenSources(cfg.JWT.From); err == nil {
			a, err = m.newJWT(cfg.JWT, sources)
		}
	case cfg.APIKey != nil:
		a, err = m.newAPIKeys(cfg.APIKey)
	case cfg.Basic != nil:
		a, err = auth.NewBasic(auth.BasicOptions{
			File: string(cfg.Basic.File), Realm: cfg.Basic.Realm, Remember: time.Duration(cfg.Basic.Remember),
			Address: clientAddress, OnError: m.fault,
		})
	case cfg.Cookie != nil:
		a, err = m.newCookie(cfg.Cookie)
	case cfg.Certificate != nil:
		a, err = newCertificates(cfg.Certificate)
	case cfg.Forward != nil:
		a, err = m.newForward(cfg.Forward)
	case cfg.Ticket != nil:
		return m.newTickets(path, cfg)
	default:
		err = errors.New("no method is named")
	}
	if err != nil {
		return nil, err
	}
	return &method{cfg: cfg, auth: a, mayContain: credentialMatcher(cfg, sources)}, nil
}

// clientAddress is the client's address behind all proxies, for methods that count failures by address or bind a credential to it.
func clientAddress(r *http.Request) string { return viaOf(r).client.String() }

// newJWT creates the method for tokens. sources are the places of a token in a request.
func (m *methods) newJWT(cfg *config.JWT, sources []auth.Source) (auth.Authenticator, error) {
	keys, err := m.newKeys(cfg)
	if err != nil {
		return nil, err
	}
	skew := time.Duration(cfg.Skew)
	if skew == 0 {
		skew = -1 // auth uses a default for 0
	}
	return auth.NewJWT(auth.JWTOptions{
		Keys: keys, Sources: sources, Algorithms: cfg.Algorithms, Issuer: cfg.Issuer, Audience: cfg.Audience,
		AnyAudience: cfg.AnyAudience, AllowNoExpiry: cfg.AllowNoExpiry, Skew: skew, SubjectClaim: cfg.SubjectClaim,
	})
}

// newKeys returns the keys for verifying tokens.
func (m *methods) newKeys(cfg *config.JWT) (auth.KeySource, error) {
	switch {
	case !cfg.Secret.Empty():
		return auth.Secret([]byte(cfg.Secret.Reveal()))
	case cfg.PublicKey != "":
		return auth.Keys([]byte(cfg.PublicKey))
	case cfg.PublicKeyFile != "":
		f, err := auth.KeyFile(string(cfg.PublicKeyFile))
		if err != nil {
			return nil, err
		}
		f.OnError = m.fault
		return f, nil
	}
	fetch := auth.FetchOptions{AllowHTTP: cfg.AllowHTTP, OnError: m.fault}
	if cfg.CA != "" {
		transport, err := transportFor(string(cfg.CA))
		if err != nil {
			return nil, err
		}
		fetch.Transport = transport
	}
	switch {
	case cfg.JWKSURL != "":
		return auth.JWKS(cfg.JWKSURL, fetch)
	case cfg.OIDCIssuer != "":
		return auth.OIDC(cfg.OIDCIssuer, fetch)
	}
	return nil, errors.New("no key to verify tokens is configured")
}

// transportFor returns a transport that trusts only the certificate authorities in a PEM file.
func transportFor(file string) (*http.Transport, error) {
	pool, err := authorities(file)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second,
	}, nil
}

// plainPrefix marks a token among the subprotocols, unless the configuration has another prefix.
const plainPrefix = "handfast.token."

// tokenSources converts places of the configuration.
func tokenSources(list []config.TokenSource) ([]auth.Source, error) {
	var sources []auth.Source
	for _, from := range list {
		source, err := tokenSource(from)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source)
	}
	return sources, nil
}

// tokenSource converts a place of the configuration.
func tokenSource(from config.TokenSource) (auth.Source, error) {
	switch from.Kind {
	case "bearer":
		return auth.Bearer(), nil
	case "subprotocol":
		if from.Name == "" {
			return auth.Subprotocol(plainPrefix), nil
		}
		return auth.Subprotocol(from.Name), nil
	case "kubernetes":
		return auth.KubernetesSubprotocol(), nil
	case "header":
		return auth.Header(from.Name), nil
	case "query":
		return auth.Query(from.Name), nil
	}
	return auth.Source{}, fmt.Errorf("a token cannot be in %q", from.Kind)
}

// newAPIKeys creates the method for API keys.
func (m *methods) newAPIKeys(cfg *config.APIKey) (auth.Authenticator, error) {
	o := auth.APIKeyOptions{Header: cfg.Header, Bearer: cfg.Bearer, Query: cfg.Query, File: string(cfg.File), OnError: m.fault}
	for _, k := range cfg.Keys {
		o.Keys = append(o.Keys, auth.APIKey{
			ID: k.ID, Hash: k.Hash, Subject: k.User, Claims: k.Claims, Issued: k.Issued.Time, Expires: k.Expires.Time,
		})
	}
	return auth.NewAPIKeys(o)
}

// newCookie creates the method for session cookies.
func (m *methods) newCookie(cfg *config.Cookie) (auth.Authenticator, error) {
	origins := config.Origins{List: cfg.Origins}.Strings()
	if cfg.JWT != nil {
		source, err := auth.Cookie(cfg.Name, origins...)
		if err != nil {
			return nil, err
		}
		return m.newJWT(cfg.JWT, []auth.Source{source})
	}
	if cfg.Forward == nil {
		return nil, errors.New("no check of the cookie's value is configured")
	}
	forward := *cfg.Forward
	forward.Headers = []string{"Cookie"}
	o, err := m.forwardOptions(&forward)
	if err != nil {
		return nil, err
	}
	o.Cookies = []string{cfg.Name}
	next, err := auth.NewForward(o)
	if err != nil {
		return nil, err
	}
	return auth.SessionCookie(cfg.Name, origins, next)
}

// newForward creates the method that asks another service.
func (m *methods) newForward(cfg *config.Forward) (auth.Authenticator, error) {
	o, err := m.forwardOptions(cfg)
	if err != nil {
		return nil, err
	}
	return auth.NewForward(o)
}

// newCertificates creates the method for client certificates.
func newCertificates(cfg *config.Certificate) (auth.Authenticator, error) {
	o := auth.CertificateOptions{Subjects: cfg.Map}
	for _, name := range cfg.Subject {
		o.Names = append(o.Names, auth.CertificateName(name))
	}
	return auth.NewCertificates(o)
}

// newTickets creates the method for tickets. The page that issues them is mounted later.
func (m *methods) newTickets(path string, cfg *config.Method) (*method, error) {
	t := cfg.Ticket
	if t.Origins.Any {
		return nil, m.cfg.Problem(path+".ticket.origins", "pages of any origin could get tickets for their visitors",
			"a list of origins")
	}
	tickets, err := auth.NewTickets(auth.TicketOptions{
		Store: m.store, Name: t.Path, TTL: time.Duration(t.TTL), Query: t.Query, BindAddress: t.BindAddress, Address: clientAddress,
	})
	if err != nil {
		return nil, err
	}
	return &method{cfg: cfg, tickets: tickets, mayContain: credentialMatcher(cfg, nil)}, nil
}
