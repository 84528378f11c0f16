package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/internal/watch"
)

// Provider serves TLS with certificates from files, a CA with ACME and the development CA, and admits the configured clients. The
// content may change at any time: every new handshake uses the current content, and open connections are not affected. A file that
// is damaged, incomplete or missing changes nothing; it is reported, and read again when it changes.
//
// The directories on the path of each file are watched, so that every way of replacing a file is noticed: overwriting, renaming, or
// pointing a symbolic link to another directory, as Kubernetes does with secrets. The methods are safe for concurrent use.
type Provider struct {
	opts  Options
	acme  *acmeSource // nil if ACME is not configured
	state atomic.Pointer[state]

	loading sync.Mutex // guards parts and the order of events; held while state is stored
	parts   []*part

	alive   context.Context // the context ends when Close is called
	stop    context.CancelFunc
	running sync.WaitGroup
}

// state is the loaded content that a handshake needs. It is immutable: a change stores another state.
type state struct {
	names   nameIndex
	clients *x509.CertPool
	secrets [][]byte // the secrets in the ticket file; nil if there is no file
}

// Open loads everything that the options name, and starts to watch it. Every error is an [*Error]. ACME starts with
// [Provider.Start]. Close stops everything.
func Open(opts Options) (*Provider, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	p := &Provider{opts: opts, parts: newParts(&opts)}
	p.alive, p.stop = context.WithCancel(context.Background())
	files, unwatched := p.watchFiles() // the files are watched before they are read, so that no change is missed
	for _, part := range p.parts {
		if part.load(opts.now()); part.err != nil {
			p.stop()
			files.Close()
			return nil, part.err
		}
	}
	p.state.Store(newState(p.parts))
	if opts.ACME != nil {
		var err error
		if p.acme, err = openACME(p.alive, *opts.ACME, p.notify); err != nil {
			p.stop()
			files.Close()
			return nil, err
		}
	}
	if unwatched != nil {
		p.notify(Event{Kind: EventFailed, What: SubjectWatch, Path: "files", Err: unwatched})
	}
	p.running.Go(func() {
		defer files.Close()
		files.Run(p.alive, opts.Poll, func() { _ = p.reload() }) // an error is passed to OnEvent
	})
	return p, nil
}

// watchFiles starts to watch the files of all parts. A non-nil error means that the files can only be polled.
func (p *Provider) watchFiles() (*watch.Files, error) {
	var paths []string
	for _, part := range p.parts {
		paths = append(paths, part.paths...)
	}
	if p.opts.unwatched {
		return watch.Unwatched(paths...), nil
	}
	files, err := watch.New(paths...)
	if err != nil {
		err = &Error{"files", fmt.Errorf("cannot be watched: %w", err),
			"raise fs.inotify.max_user_instances; until then changes are detected later"}
	}
	return files, err
}

// Start starts to obtain certificates with ACME. Call it when the listeners accept connections, because the CA connects to them to
// validate the hosts. Without ACME, and in later calls, it does nothing.
func (p *Provider) Start() {
	if p.acme != nil {
		p.acme.start(&p.running)
	}
}

// TLSConfig returns the configuration for a server with the given application protocols (ALPN, RFC 7301), such as "http/1.1"; without any
// it does not negotiate one. Protocols that net/http adds to NextProtos later have no effect, so protocols must be complete. After Close
// the configuration still works with the last loaded certificates. The configuration must not be modified; modify a clone instead.
func (p *Provider) TLSConfig(protocols ...string) *tls.Config {
	base := ServerConfig(p.certificate)
	base.MinVersion = p.opts.MinVersion
	base.NextProtos = protocols
	base.Time = p.opts.now
	base.ClientAuth = map[ClientAuth]tls.ClientAuthType{
		ClientAuthOptional: tls.VerifyClientCertIfGiven, ClientAuthRequired: tls.RequireAndVerifyClientCert,
	}[p.opts.ClientAuth]

	type prepared struct {
		state  *state
		period int64
		config *tls.Config
	}
	var last atomic.Pointer[prepared]
	prepare := func() *tls.Config {
		s, now := p.state.Load(), p.opts.now()
		if have := last.Load(); have != nil && have.state == s && (s.secrets == nil || have.period == ticketPeriod(now)) {
			return have.config
		}
		config := base.Clone()
		config.ClientCAs = s.clients
		if s.secrets != nil {
			config.SetSessionTicketKeys(ticketKeys(s.secrets, now))
		}
		last.Store(&prepared{s, ticketPeriod(now), config})
		return config
	}

	outer := prepare().Clone()
	// Without a ticket file, crypto/tls makes ticket keys for the outer configuration, and uses them for the callback's configuration, too.
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if p.acme != nil && isChallenge(hello) {
			return p.acme.challenges, nil
		}
		return prepare(), nil
	}
	if p.acme != nil {
		outer.NextProtos = append(append([]string(nil), protocols...), challengeProtocol)
	}
	return outer
}

// HTTPHandler responds to the CA's challenge requests (HTTP-01, RFC 8555 §8.3), and passes all other requests to next; a nil next responds
// with 404. The handler is for a listener without TLS that the CA reaches at port 80. Call HTTPHandler before Start: otherwise only
// TLS-ALPN-01 is tried, which requires that the CA reaches the TLS listener at port 443.
func (p *Provider) HTTPHandler(next http.Handler) http.Handler {
	if next == nil {
		next = http.NotFoundHandler()
	}
	if p.acme == nil {
		return next
	}
	return p.acme.manager.HTTPHandler(next)
}

// Reload checks all files now, and schedules failed ACME attempts to be repeated soon. It returns the faults of the files; the
// previous content then remains in use. OnEvent receives changes as usual.
func (p *Provider) Reload() error {
	if p.acme != nil {
		p.acme.retryAll()
	}
	return p.reload()
}

// Certificates returns the certificates in use, in the order of the options. The caller owns the slice.
func (p *Provider) Certificates() []Info {
	var all []Info
	p.loading.Lock()
	for _, part := range p.parts {
		if part.subject == SubjectCertificate {
			all = append(all, Info{SourceFiles, part.paths[0], part.leaf, part.err})
		}
	}
	p.loading.Unlock()
	if p.acme != nil {
		all = append(all, p.acme.infos()...)
	}
	if p.opts.Dev != nil {
		all = append(all, Info{SourceDev, LeafFile(p.opts.Dev.dir), p.opts.Dev.Leaf(), nil})
	}
	return all
}

// Close stops watching files and ACME, and waits for both to finish, at most 5 seconds for a response of the CA. Further calls do
// nothing. Servers that use the TLS configuration continue with the last loaded certificates.
//
// For each certificate, a timer of package autocert remains until the process ends, but can access neither the CA nor the cache.
func (p *Provider) Close() {
	p.stop()
	if p.acme != nil {
		p.acme.close()
	}
	done := make(chan struct{})
	go func() {
		p.running.Wait()
		close(done)
	}()
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

const closeWait = 5 * time.Second

// reload loads changed files, and uses their content if it is valid.
func (p *Provider) reload() error {
	p.loading.Lock()
	defer p.loading.Unlock()
	var events []Event
	var faults []error
	changed := false
	for _, part := range p.parts {
		event, news := part.load(p.opts.now())
		if news {
			events = append(events, event)
			changed = changed || event.Kind == EventLoaded
		}
		faults = append(faults, part.err)
	}
	if changed {
		p.state.Store(newState(p.parts))
	}
	for _, event := range events {
		p.notifyLocked(event) // events are reported only after the new state is in use
	}
	return errors.Join(faults...)
}

// notify passes an event to OnEvent, if that is not nil.
func (p *Provider) notify(e Event) {
	p.loading.Lock()
	defer p.loading.Unlock()
	p.notifyLocked(e)
}

func (p *Provider) notifyLocked(e Event) {
	if p.opts.OnEvent != nil {
		p.opts.OnEvent(e)
	}
}

func newState(parts []*part) *state {
	s := &state{}
	for _, part := range parts {
		part.use(s)
	}
	return s
}
