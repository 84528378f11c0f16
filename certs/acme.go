package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"
)

const (
	challengeProtocol  = acme.ALPNProto   // acme-tls/1 (RFC 8737)
	acmeMaxConcurrent  = 4                // maximum number of certificates requested concurrently
	acmeRequestTimeout = 30 * time.Second // timeout for one response of the CA
	acmeHandshakeWait  = 10 * time.Second // how long a handshake waits for the first certificate of its host
	acmeCheckInterval  = 10 * time.Minute // interval at which the cache is checked for certificates from other nodes
	// Let's Encrypt allows five failed validations per hour, and each attempt validates two challenges.
	acmeRetry    = 5 * time.Minute // the pause after a failure; each further failure doubles it
	acmeRetryMax = time.Hour
	acmeMinRetry = 61 * time.Second // for this long after a failure, autocert returns the same error without a request
)

// acmeSource keeps a certificate for each of its hosts. Package autocert obtains and renews the certificates. Unlike autocert alone,
// acmeSource requests certificates before clients connect, limits the delay of a handshake, and reports the reasons for failures.
type acmeSource struct {
	opts       ACME
	hosts      []*acmeHost
	byName     map[string]*acmeHost
	manager    *autocert.Manager
	client     *http.Client
	transport  *acmeTransport
	challenges *tls.Config // the configuration for the CA's TLS-ALPN-01 handshakes
	notify     func(Event)
	slots      chan struct{}
	alive      context.Context // the context ends when the Provider is closed
	startOnce  sync.Once
}

// acmeHost is one host and its certificate.
type acmeHost struct {
	name  string
	ready chan struct{} // closed when the first attempt has ended, successfully or not
	retry chan struct{} // receives a token to try again soon

	mu         sync.Mutex
	cert       *tls.Certificate // nil means there is no certificate yet
	err        error            // why the last attempt failed; nil if it succeeded
	reportedAt time.Time        // time of the last report about an overdue renewal
}

// openACME checks the options and prepares everything except for the first request.
func openACME(alive context.Context, o ACME, notify func(Event)) (*acmeSource, error) {
	a := &acmeSource{opts: o, notify: notify, alive: alive, slots: make(chan struct{}, acmeMaxConcurrent), byName: map[string]*acmeHost{}}
	if err := a.addHosts(); err != nil {
		return nil, err
	}
	if a.opts.Directory == "" {
		a.opts.Directory = LetsEncrypt
	}
	binding, err := a.opts.check()
	if err != nil {
		return nil, err
	}
	if err := checkCache(o.Cache); err != nil {
		return nil, err
	}
	// Not http.DefaultTransport, which a program may have modified.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 10,
		IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if o.RootFile != "" {
		b, err := readFile(o.RootFile)
		if err != nil {
			return nil, err
		}
		if transport.TLSClientConfig.RootCAs, err = parseAuthorities([]string{o.RootFile}, [][]byte{b}); err != nil {
			return nil, err
		}
	}
	a.transport = &acmeTransport{next: transport, alive: alive, refused: map[string]string{}, kinds: map[string]string{}}
	a.client = &http.Client{Transport: a.transport, Timeout: acmeRequestTimeout}
	a.manager = &autocert.Manager{
		Prompt:                 autocert.AcceptTOS, // check has verified that the terms of service are accepted
		Cache:                  acmeCache{autocert.DirCache(o.Cache), a},
		HostPolicy:             a.allow,
		Email:                  o.Email,
		ExternalAccountBinding: binding,
		Client:                 &acme.Client{DirectoryURL: a.opts.Directory, HTTPClient: a.client, UserAgent: "handfast"},
	}
	a.challenges = ServerConfig(a.manager.GetCertificate)
	a.challenges.NextProtos = []string{challengeProtocol}
	a.challenges.SessionTicketsDisabled = true
	return a, nil
}

// addHosts adds the hosts, in the form in which clients send them.
func (a *acmeSource) addHosts() error {
	if len(a.opts.Hosts) == 0 {
		return &Error{"ACME", errors.New("no hosts are configured"), "list the hosts that need certificates"}
	}
	for _, host := range a.opts.Hosts {
		name, err := idna.Lookup.ToASCII(plainHost(host))
		e := &Error{Path: "ACME host " + host, Hint: "name each host separately, such as www.example.com"}
		switch {
		case strings.HasPrefix(host, "*."):
			e.Err = errors.New("a wildcard requires a DNS challenge, which is not supported")
		case net.ParseIP(strings.Trim(host, "[]")) != nil:
			e.Err = errors.New("is an address, not a name")
		case err != nil:
			e.Err = errors.New("is not the name of a host")
		case !strings.Contains(name, "."):
			e.Err, e.Hint = errors.New("is not a name that a CA can look up: it has no dot"), "for localhost, use the development CA"
		case a.byName[name] != nil:
			e.Err, e.Hint = errors.New("is named twice"), "name it once"
		}
		if e.Err != nil {
			return e
		}
		h := &acmeHost{name: name, ready: make(chan struct{}), retry: make(chan struct{}, 1)}
		a.hosts = append(a.hosts, h)
		a.byName[name] = h
	}
	return nil
}

// check validates the rest of the options.
func (o *ACME) check() (*acme.ExternalAccountBinding, error) {
	switch u, err := url.Parse(o.Directory); {
	case err != nil || u.Host == "":
		return nil, &Error{"ACME directory", errors.New("is not a URL"), "write https://host/path, as the CA documents it"}
	case u.Scheme != "https": // RFC 8555 §6.1
		return nil, &Error{"ACME directory", errors.New("is not an https URL"), "write https://host/path, as the CA documents it"}
	}
	if !o.AgreeTerms {
		return nil, &Error{"ACME", errors.New("the terms of service of the CA have not been accepted"),
			"read them at " + o.Directory + " (its termsOfService), then say that you agree"}
	}
	if o.Cache == "" {
		return nil, &Error{"ACME", errors.New("no cache directory is named"),
			"name a directory that outlives the process: CAs limit the certificates that they issue in a week"}
	}
	if o.Email != "" && (strings.Count(o.Email, "@") != 1 || strings.ContainsAny(o.Email, " ,:<>")) {
		return nil, &Error{"ACME email", errors.New("is not an email address"), "write name@example.com, or leave it out"}
	}
	if o.EAB == nil {
		return nil, nil
	}
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(o.EAB.Key, "="))
	if err != nil || len(key) == 0 || o.EAB.KeyID == "" {
		return nil, &Error{"ACME external account", errors.New("needs a key ID, and a key in base64url"),
			"copy both unchanged from the CA's account page"}
	}
	return &acme.ExternalAccountBinding{KID: o.EAB.KeyID, Key: key}, nil
}

// checkCache creates the directory if necessary, and checks that only its owner can read it and that it is writable. It does not change the
// mode of an existing directory, which may contain other files.
func checkCache(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &Error{dir, cause(err), "name a directory that can be created, for the keys of certificates"}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return &Error{dir, cause(err), "check who owns it"}
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return &Error{dir, fmt.Errorf("other users have access to it: its mode is %#o", info.Mode().Perm()),
			"run chmod 700 on it, or name another directory: it holds the keys of certificates"}
	}
	f, err := os.CreateTemp(dir, ".handfast-*")
	if err != nil {
		return &Error{dir, cause(err), "make that directory writable by the user that runs this"}
	}
	f.Close()
	os.Remove(f.Name())
	return nil
}

// allow is autocert's HostPolicy. In calls from autocert's HTTP handler, host includes the port.
func (a *acmeSource) allow(_ context.Context, host string) error {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if !a.has(plainHost(host)) {
		return hostError(host, "is not one of the ACME hosts")
	}
	return nil
}

func (a *acmeSource) has(host string) bool { return a.byName[host] != nil }

// isChallenge reports whether the CA requests the certificate of a TLS-ALPN-01 challenge (RFC 8737 §3).
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == challengeProtocol
}

// certificate returns the certificate of a host. During the first attempt to obtain a certificate, it waits for a limited time.
func (a *acmeSource) certificate(ctx context.Context, host string) (*tls.Certificate, error) {
	h := a.byName[host]
	ctx, cancel := context.WithTimeout(ctx, acmeHandshakeWait)
	defer cancel()
	select {
	case <-h.ready:
	case <-ctx.Done():
	case <-a.alive.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.cert != nil:
		return h.cert, nil
	case h.err != nil:
		return nil, fmt.Errorf("no certificate yet: %w", h.err)
	}
	return nil, hostError(host, "no certificate yet: it has been requested from the CA")
}

func (a *acmeSource) infos() []Info {
	var all []Info
	for _, h := range a.hosts {
		info := Info{Source: SourceACME, Path: h.name}
		h.mu.Lock()
		if info.Err = h.err; h.cert != nil {
			info.Cert = h.cert.Leaf
		}
		h.mu.Unlock()
		all = append(all, info)
	}
	return all
}

// use starts using a certificate, and reports a certificate that differs from the previous one.
func (a *acmeSource) use(h *acmeHost, cert *tls.Certificate) {
	h.mu.Lock()
	old := h.cert
	h.markReady()
	h.err, h.cert = nil, cert
	h.mu.Unlock()
	event := Event{Kind: EventLoaded, What: SubjectCertificate, Path: h.name, New: cert.Leaf}
	if old != nil {
		if event.Old = old.Leaf; old.Leaf.Equal(cert.Leaf) {
			return
		}
	}
	a.notify(event)
}

// markReady releases the handshakes that wait for the first attempt. The caller holds mu.
func (h *acmeHost) markReady() {
	if h.cert == nil && h.err == nil {
		close(h.ready)
	}
}

// fail records and reports the reason why there is no newer certificate.
func (a *acmeSource) fail(h *acmeHost, err error) {
	h.mu.Lock()
	h.markReady()
	h.err = err
	event := Event{Kind: EventFailed, What: SubjectCertificate, Path: h.name, Err: err}
	if h.cert != nil {
		event.Old = h.cert.Leaf
	}
	h.mu.Unlock()
	a.notify(event)
}

// leafOf ensures that the Leaf of a certificate is set. autocert sets Leaf, but does not promise this.
func leafOf(cert *tls.Certificate) (*tls.Certificate, error) {
	if cert.Leaf != nil {
		return cert, nil
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, err
	}
	if _, ok := cert.PrivateKey.(*ecdsa.PrivateKey); !ok {
		return nil, errors.New("the private key is not an ECDSA key")
	}
	return &tls.Certificate{Certificate: cert.Certificate, PrivateKey: cert.PrivateKey, Leaf: leaf}, nil
}
