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

// Provider serves TLS from files, a CA that speaks ACME and the development CA, and admits the clients that it is configured
// to. What it serves from may change at any time: every new handshake uses what is there then, and nothing happens to
// connections that are open. A file that is broken, half written or gone changes nothing; it is reported, and looked at
// again when it changes.
//
// Files are watched through the directories that lead to them, so that it does not matter how one is replaced: written
// over, renamed over, or by turning a symbolic link to another directory, as Kubernetes does with secrets. All methods
// may be called concurrently by any number of goroutines.
type Provider struct {
	opts  Options
	acme  *acmeSource // nil means no ACME
	state atomic.Pointer[state]

	loading sync.Mutex // guards what follows and the order of events; state is stored with it held
	parts   []*part

	alive   context.Context //nolint:containedctx // ends when Close is called
	stop    context.CancelFunc
	running sync.WaitGroup
}

// state is all that a handshake needs of what was loaded. It never changes: a new one takes its place.
type state struct {
	names   nameIndex
	clients *x509.CertPool
	secrets [][]byte // from the ticket file; nil if there is none
}

// Open loads everything that the options name, and begins to watch it. Every fault is an [*Error]. ACME begins with
// [Provider.Start]. Close ends it all.
func Open(opts Options) (*Provider, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	p := &Provider{opts: opts, parts: newParts(&opts)}
	p.alive, p.stop = context.WithCancel(context.Background())
	ways, unwatched := p.ways() // before they are read, so that no change falls in between
	for _, part := range p.parts {
		if part.look(opts.now()); part.err != nil {
			p.stop()
			ways.Close()
			return nil, part.err
		}
	}
	p.state.Store(newState(p.parts))
	if opts.ACME != nil {
		var err error
		if p.acme, err = openACME(p.alive, *opts.ACME, p.tell); err != nil {
			p.stop()
			ways.Close()
			return nil, err
		}
	}
	if unwatched != nil {
		p.tell(Event{Kind: EventFailed, What: SubjectWatch, Path: "files", Err: unwatched})
	}
	p.running.Go(func() {
		defer ways.Close()
		ways.Run(p.alive, opts.Poll, func() { _ = p.look() }) // OnEvent gets the error
	})
	return p, nil
}

// ways begins to watch the files of all parts. The error is that they are only looked at now and then.
func (p *Provider) ways() (*watch.Files, error) {
	var paths []string
	for _, part := range p.parts {
		paths = append(paths, part.paths...)
	}
	if p.opts.unwatched {
		return watch.Unwatched(paths...), nil
	}
	ways, err := watch.New(paths...)
	if err != nil {
		err = &Error{"files", fmt.Errorf("cannot be watched: %w", err),
			"raise fs.inotify.max_user_instances; until then changes are noticed later"}
	}
	return ways, err
}

// Start begins to get certificates by ACME; call it when the listeners accept connections, since the CA makes some to
// see whose host it is. Without ACME, and when called again, it does nothing.
func (p *Provider) Start() {
	if p.acme != nil {
		p.acme.start(&p.running)
	}
}

// TLSConfig returns the settings for a server that speaks the given application protocols (ALPN, RFC 7301), such as
// "http/1.1"; with none it negotiates none. What net/http adds to NextProtos by itself has no effect: name all of them.
// After Close the configuration keeps working with the last loaded certificates. It must not be modified; modify a clone
// instead.
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
	// Where there is no ticket file, crypto/tls makes keys for the outer configuration, and its callback's inherits them.
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

// HTTPHandler answers the CA's questions (HTTP-01, RFC 8555 §8.3) and hands everything else to next; nil means 404. It
// belongs on a listener without TLS which the CA reaches at port 80. Mount it before Start: without it only TLS-ALPN-01
// is tried, which the TLS listener answers by itself when the CA reaches it at port 443.
func (p *Provider) HTTPHandler(next http.Handler) http.Handler {
	if next == nil {
		next = http.NotFoundHandler()
	}
	if p.acme == nil {
		return next
	}
	return p.acme.manager.HTTPHandler(next)
}

// Reload looks at all files now, and makes a failed attempt to get a certificate by ACME be repeated soon. It returns
// what is wrong with the files; what was in use stays in use then. OnEvent gets changes as ever.
func (p *Provider) Reload() error {
	if p.acme != nil {
		p.acme.again()
	}
	return p.look()
}

// Certificates returns what is in use, in the order of the options. The slice is the caller's.
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

// Close ends the watch and the work for ACME, and waits for it, at most 5 seconds for an answer of the CA. Further calls
// do nothing. Servers that use the TLS configuration go on with what was loaded last.
//
// A timer of package autocert for each certificate stays until the process ends; it reaches neither the CA nor the cache.
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

// look reads what has changed, and puts it in use if it is good.
func (p *Provider) look() error {
	p.loading.Lock()
	defer p.loading.Unlock()
	var events []Event
	var faults []error
	changed := false
	for _, part := range p.parts {
		event, news := part.look(p.opts.now())
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
		p.tellLocked(event) // after it is true
	}
	return errors.Join(faults...)
}

// tell passes an event to the callback, if there is one.
func (p *Provider) tell(e Event) {
	p.loading.Lock()
	defer p.loading.Unlock()
	p.tellLocked(e)
}

func (p *Provider) tellLocked(e Event) {
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
