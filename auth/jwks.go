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

// FetchOptions says how keys are fetched. The zero value is the safe default. It is copied.
type FetchOptions struct {
	// MinInterval is the least time between two fetches, however many tokens name keys that are not known; so it is also how
	// long a new key may take to be known here. After a failure the first retries come sooner. 0 means a minute.
	MinInterval time.Duration

	// MaxAge is how old the keys may become before they are fetched again. That happens in the background, while tokens go
	// on being verified. 0 means 10 minutes.
	MaxAge time.Duration

	// MaxStale is for how long the last keys are used when they cannot be fetched again. 0 means 24 hours.
	MaxStale time.Duration

	// Timeout bounds a fetch, and so how long a handshake waits for one. 0 means 5 seconds.
	Timeout time.Duration

	// AllowHTTP allows http:// to hosts other than this one. An attacker on the path can then put its own keys in place of
	// the issuer's, and be any client.
	AllowHTTP bool

	// Transport carries the requests: for a CA of one's own, a proxy, a client certificate. nil means one that follows the
	// proxy variables of the environment, trusts the roots of the system and keeps no connection open.
	Transport http.RoundTripper

	// OnError, if it is not nil, is called for every fetch that has failed. It is called from another goroutine, and must not
	// call Close, which waits for it.
	OnError func(error)
}

const (
	defaultMinInterval = time.Minute
	defaultMaxAge      = 10 * time.Minute
	defaultMaxStale    = 24 * time.Hour
	defaultTimeout     = 5 * time.Second
	firstRetry         = time.Second // doubles with every failure, up to MinInterval
)

// RemoteKeys are keys that an issuer publishes. They are fetched when the first token asks for them, again when they have
// aged, and when a token names a key that is not among them, though not more often than every MinInterval; one fetch at a
// time, and never one per token. While they cannot be fetched the last ones stay in use; without any, tokens cannot be judged,
// and are answered with 503.
type RemoteKeys struct {
	name   string
	issuer string // "": not known
	load   func(context.Context) (keySet, error)
	o      FetchOptions
	now    func() time.Time
	ctx    context.Context // of all fetches
	cancel context.CancelFunc
	runs   sync.WaitGroup

	mu     sync.Mutex
	keys   keySet
	loaded time.Time // when keys came; zero means never
	next   time.Time // no fetch before
	fails  int       // in a row
	err    error     // of the last fetch
	flight chan struct{}
}

// JWKS returns the keys at a URL that a JWK set is served at (RFC 7517 §5), https://id.example.com/keys. Of the set those keys
// count that are there to verify, and that are strong enough. The URL is not asked before the first token comes. The error
// is about the URL. Call Close in the end.
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

// fetchKeys fetches a JWK set.
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
	o.MinInterval = positive(o.MinInterval, defaultMinInterval)
	o.MaxAge = positive(o.MaxAge, defaultMaxAge)
	o.MaxStale = positive(o.MaxStale, defaultMaxStale)
	o.Timeout = positive(o.Timeout, defaultTimeout)
}

// positive returns d, or else what stands for zero.
func positive(d, zero time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return zero
}

// Load fetches the keys if none are there yet: for a server that wants to know at its start whether the issuer can be
// reached. It waits for a fetch that is under way, and starts none while one has just failed. The error is nil, or an
// [*Error] with status 503.
func (k *RemoteKeys) Load(ctx context.Context) error {
	if _, err := k.find(ctx, ""); err != nil && !errors.Is(err, errUnknownKey) {
		return err
	}
	return nil
}

// Issuer returns the issuer whose keys these are, if they come from [OIDC], and else "".
func (k *RemoteKeys) Issuer() string { return k.issuer }

// Close ends a fetch that is under way, and waits for its end. Keys are not fetched any more; those that are there stay.
func (k *RemoteKeys) Close() error {
	k.mu.Lock()
	k.cancel() // with the lock held: no fetch starts from here on
	k.mu.Unlock()
	k.runs.Wait()
	return nil
}

// find implements [KeySource].
func (k *RemoteKeys) find(ctx context.Context, kid string) ([]*key, error) {
	for waited := false; ; waited = true {
		found, wait, err := k.look(kid, waited)
		if wait == nil {
			return found, err
		}
		select {
		case <-wait: // within Timeout
		case <-ctx.Done():
			return nil, Unavailable(firstRetry, fmt.Errorf("%s: %w", k.name, context.Cause(ctx)))
		}
	}
}

// look returns the keys for kid, or why there are none; or else what to wait for, if a fetch may help. Who has waited
// already takes what there is.
func (k *RemoteKeys) look(kid string, waited bool) (found []*key, wait <-chan struct{}, err error) {
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
		// Keys that are a little old do for this token. When nothing has come for long they may have been withdrawn: ask.
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
	// The key may be one that could not be fetched.
	return nil, nil, Unavailable(k.next.Sub(now), fmt.Errorf("%s: %w", k.name, k.err))
}

// fetch starts a fetch, unless one is under way or it is too soon. It reports whether one is under way.
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

// run fetches the keys, and ends within Timeout, or with Close.
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
