package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/handfast/handfast/internal/redact"
)

// FetchOptions configures how keys are fetched. The zero value means safe defaults. Functions copy their FetchOptions.
type FetchOptions struct {
	// MinInterval is the minimum time between two fetches, no matter how many tokens name unknown keys. It is also the longest time
	// until a token with a new key is accepted. After a failure the first retries are sooner. 0 means a minute.
	MinInterval time.Duration

	// MaxAge is the age at which the keys are fetched again, in the background, while tokens are still verified with the present
	// keys. 0 means 10 minutes.
	MaxAge time.Duration

	// MaxStale is how long the last keys are used if they cannot be fetched again. 0 means 24 hours.
	MaxStale time.Duration

	// Timeout limits a fetch, and so how long a handshake waits for one. 0 means 5 seconds.
	Timeout time.Duration

	// AllowHTTP allows http:// URLs of hosts other than localhost. An attacker on the path can then replace the issuer's keys, and
	// impersonate any client.
	AllowHTTP bool

	// Transport sends the requests, for example with a private CA, a proxy or a client certificate. nil means a transport that uses
	// the proxy variables of the environment and the system's root certificates, and keeps no connection open.
	Transport http.RoundTripper

	// OnError, if not nil, is called for every failed fetch. OnError is called from a separate goroutine, and must not call Close,
	// which waits for OnError to return.
	OnError func(error)
}

const (
	defaultMinInterval = time.Minute
	defaultMaxAge      = 10 * time.Minute
	defaultMaxStale    = 24 * time.Hour
	defaultTimeout     = 5 * time.Second
	firstRetry         = time.Second // doubles with each failure, up to MinInterval
)

// RemoteKeys are keys that an issuer publishes. They are fetched for the first token, again when they reach MaxAge, and when a
// token names an unknown key, but not more often than every MinInterval and never concurrently. While they cannot be fetched, the
// last fetched keys are used; if there are none, tokens cannot be verified, and the reply is 503.
type RemoteKeys struct {
	name   string
	issuer string // "" if not known
	load   func(context.Context) (keySet, error)
	o      FetchOptions
	now    func() time.Time
	ctx    context.Context // ends all fetches
	cancel context.CancelFunc
	runs   sync.WaitGroup

	mu     sync.Mutex
	keys   keySet
	loaded time.Time // when the keys were fetched; zero means never
	next   time.Time // earliest time of the next fetch
	fails  int       // consecutive failures
	err    error     // the error of the last fetch; nil if it succeeded
	flight chan struct{}
}

// JWKS returns the keys of a JWK set (RFC 7517 §5) at a URL such as https://id.example.com/keys. Only keys for verification that
// are strong enough are used. The keys are fetched for the first token. JWKS returns an error if the URL is not allowed. The caller
// must call Close.
func JWKS(url string, o FetchOptions) (*RemoteKeys, error) {
	o.setDefaults()
	if err := o.checkURL(url); err != nil {
		return nil, fmt.Errorf("auth: the URL of the keys: %w", err)
	}
	c := o.client()
	return newRemoteKeys("the keys at "+redact.Setting(url), o, func(ctx context.Context) (keySet, error) {
		return fetchKeys(ctx, c, url)
	}), nil
}

func fetchKeys(ctx context.Context, c *http.Client, url string) (keySet, error) {
	data, err := fetch(ctx, c, url)
	if err != nil {
		return nil, err
	}
	return parseJWKs(data, issuerKeys)
}

func newRemoteKeys(name string, o FetchOptions, load func(context.Context) (keySet, error)) *RemoteKeys {
	k := &RemoteKeys{name: name, load: load, o: o, now: time.Now}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

func (o *FetchOptions) setDefaults() {
	o.MinInterval = orDefault(o.MinInterval, defaultMinInterval)
	o.MaxAge = orDefault(o.MaxAge, defaultMaxAge)
	o.MaxStale = orDefault(o.MaxStale, defaultMaxStale)
	o.Timeout = orDefault(o.Timeout, defaultTimeout)
}

// Load fetches the keys if none have been fetched yet. It is for a server that must know at startup whether the issuer is
// reachable. Load waits for a fetch in progress, and does not start a fetch soon after a failed one. The error is nil, or an
// [*Error] with status 503.
func (k *RemoteKeys) Load(ctx context.Context) error {
	if _, err := k.find(ctx, ""); err != nil && !errors.Is(err, errUnknownKey) {
		return err
	}
	return nil
}

// Issuer returns the issuer of the keys, if they are from [OIDC], otherwise "".
func (k *RemoteKeys) Issuer() string { return k.issuer }

// Close ends a fetch in progress, and waits until it has ended. After that no keys are fetched, and the present keys remain in use.
func (k *RemoteKeys) Close() error {
	k.mu.Lock()
	k.cancel() // with the lock held, so that no fetch starts afterwards
	k.mu.Unlock()
	k.runs.Wait()
	return nil
}

// find implements [KeySource].
func (k *RemoteKeys) find(ctx context.Context, kid string) ([]*key, error) {
	for waited := false; ; waited = true {
		found, wait, err := k.lookup(kid, waited)
		if wait == nil {
			return found, err
		}
		select {
		case <-wait: // the fetch ends within Timeout
		case <-ctx.Done():
			return nil, Unavailable(firstRetry, fmt.Errorf("%s: %w", k.name, context.Cause(ctx)))
		}
	}
}

// lookup returns the keys for kid, or the reason why there are none. If a fetch may help, lookup returns a channel to wait for instead.
// If waited is true, lookup uses the present keys.
func (k *RemoteKeys) lookup(kid string, waited bool) (found []*key, wait <-chan struct{}, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	age := now.Sub(k.loaded)
	usable := !k.loaded.IsZero() && age < k.o.MaxStale
	if usable {
		found = k.keys.match(kid)
	}
	known := len(found) > 0
	if known && age < k.o.MaxAge {
		return found, nil, nil
	}
	if !waited && k.fetch(now) {
		// Slightly old keys may still be used. Much older keys may have been withdrawn, so the caller has to wait for the fetch.
		if !known || age >= 2*k.o.MaxAge && k.fails == 0 {
			return nil, k.flight, nil
		}
	}
	switch {
	case known:
		return found, nil, nil
	case usable && k.fails == 0:
		return nil, nil, errUnknownKey
	case k.err == nil:
		return nil, nil, Unavailable(k.next.Sub(now), fmt.Errorf("%s: closed", k.name))
	}
	// The key may be among those that could not be fetched.
	return nil, nil, Unavailable(k.next.Sub(now), fmt.Errorf("%s: %w", k.name, k.err))
}

// fetch starts a fetch, unless one is in progress or it is too soon. It reports whether a fetch is then in progress.
func (k *RemoteKeys) fetch(now time.Time) bool {
	if k.flight != nil {
		return true
	}
	if now.Before(k.next) || k.ctx.Err() != nil {
		return false
	}
	k.next = now.Add(k.o.MinInterval)
	k.flight = make(chan struct{})
	k.runs.Go(k.run)
	return true
}

// run fetches the keys. It ends within Timeout, or with Close.
func (k *RemoteKeys) run() {
	ctx, cancel := context.WithTimeout(k.ctx, k.o.Timeout)
	defer cancel()
	keys, err := k.load(ctx)
	k.mu.Lock()
	now := k.now()
	k.err = err
	if err == nil {
		k.keys, k.loaded, k.fails = keys, now, 0
	} else {
		k.fails++
		k.next = now.Add(min(k.o.MinInterval, firstRetry<<min(k.fails-1, 10)))
	}
	close(k.flight)
	k.flight = nil
	closed := k.ctx.Err() != nil
	k.mu.Unlock()
	if err != nil && !closed && k.o.OnError != nil {
		k.o.OnError(fmt.Errorf("auth: %s: %w", k.name, err))
	}
}
