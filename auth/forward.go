package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// ForwardOptions configures [NewForward]: the HTTP service that authenticates clients, and the requests to it. Zero and negative
// values mean the defaults in the comments.
type ForwardOptions struct {
	// URL is the address of the service. It is requested with GET, and the service responds with 2xx, 401 or 403.
	URL string

	// Credentials are the fields that identify the client, and are copied from the request; nil means Authorization and Cookie. The
	// service is not called for requests without any of them.
	Credentials []string

	// Cookies are the names of the cookies that are copied; nil means all. If the request has none of them, the service gets no
	// Cookie field.
	Cookies []string

	// Headers are additional fields that are copied.
	Headers []string

	// Always calls the service for requests without credentials as well. It is for services that decide by address or URI.
	Always bool

	// RawQuery sends the service the query of the URI unchanged. Otherwise parameters with secrets, recognized by name or form, are
	// replaced: token, access_token, ticket, key and the like. Secrets lists additional names of such parameters.
	RawQuery bool
	Secrets  []string

	// SubjectHeaders are the fields of the response that may name the client; nil means X-Auth-Request-User, Remote-User,
	// X-Forwarded-User. A JSON response can contain "subject", "claims", "id", "issued" and "expires" (RFC 3339 or seconds since
	// 1970) instead. DefaultSubject is the subject of a client that the service accepts without naming a subject; "" means that
	// such a client gets 503.
	SubjectHeaders []string
	DefaultSubject string

	// Claims maps fields of the response to claims; nil means the groups, email and name that common services send.
	Claims []ForwardClaim

	// Challenge is the WWW-Authenticate value for the credentials that the service accepts, such as "Bearer"; "" means none.
	Challenge string

	// Address returns the client's address, for X-Forwarded-For, and Scheme "http" or "https", for X-Forwarded-Proto. If nil, the
	// values of the connection are used, which behind a proxy are the proxy's.
	Address func(r *http.Request) string
	Scheme  func(r *http.Request) string

	// Lifetime is the lifetime of identities for which the service returns no expiry; 0 means that they do not expire.
	Lifetime time.Duration

	// Recheck and RecheckGrace are the Every and Grace of [Identity.Again], which is nil if Recheck is 0.
	Recheck, RecheckGrace time.Duration

	// TTL is how long a positive response without Cache-Control is cached; 0 means 10 s, a negative value disables caching. MaxTTL
	// is the upper limit for Cache-Control; 0 means one minute. DenyTTL is how long a refusal is cached; 0 means 1 s, a negative
	// value disables caching.
	TTL, MaxTTL, DenyTTL time.Duration

	// Timeout limits one request to the service; 0 means 5 s. InFlight is the maximum number of concurrent requests; 0 means 64.
	// Further requests wait for at most Wait, where 0 means 1 s, and then get 503.
	Timeout  time.Duration
	InFlight int
	Wait     time.Duration

	// Failures is the number of consecutive failures after which no request is sent for Pause, and every client immediately gets
	// 503; 0 means 5 and 5 s. After Pause one request is sent; if it fails, the next pause begins.
	Failures int
	Pause    time.Duration

	// Transport sends the requests; nil means a separate transport that uses no proxy.
	Transport http.RoundTripper
}

// ForwardClaim maps a field of the response to a claim.
type ForwardClaim struct {
	Header string // the name of the field
	Claim  string // the name of the claim
	List   bool   // split the value at commas, into a list
}

// forwardMemory is the maximum number of cached responses.
const forwardMemory = 10_000

// forwardClaims are the fields that oauth2-proxy and Authelia send.
var forwardClaims = []ForwardClaim{
	{Header: "X-Auth-Request-Groups", Claim: "groups", List: true},
	{Header: "X-Auth-Request-Email", Claim: "email"},
	{Header: "X-Auth-Request-Preferred-Username", Claim: "name"},
	{Header: "Remote-Groups", Claim: "groups", List: true},
	{Header: "Remote-Email", Claim: "email"},
	{Header: "Remote-Name", Claim: "name"},
}

// Forward is an [Authenticator] that calls another HTTP service. A browser sends cookies for every page: put [SessionCookie] before
// a Forward that uses them, or do not set AnyOrigin of [websocket.AcceptOptions]. Responses are cached for a short time, identical
// requests are never sent concurrently, and while the service fails every client is rejected with 503. Make it with [NewForward].
type Forward struct {
	o       ForwardOptions
	client  *http.Client
	memo    *memo[forwardResult]
	calls   *limit.Calls // for all endpoints together, to protect the service
	breaker *limit.Breaker
}

// forwardResult is the response of the service: an identity, or a refusal.
type forwardResult struct {
	id      *Identity
	refusal *Error
}

// NewForward returns an Authenticator that calls the service at o.URL. Close it when it is no longer used.
func NewForward(o ForwardOptions) (*Forward, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("auth: forward: the URL must be http or https, with a host and without a password") // the URL is not quoted, because it may contain a password
	}
	if o.Credentials == nil {
		o.Credentials = []string{"Authorization", "Cookie"}
	}
	for _, h := range slices.Concat(o.Credentials, o.Headers) {
		if !forwardable(h) {
			return nil, fmt.Errorf("auth: forward: the field %q cannot be copied: the server sets it", h)
		}
	}
	if o.SubjectHeaders == nil {
		o.SubjectHeaders = []string{"X-Auth-Request-User", "Remote-User", "X-Forwarded-User"}
	}
	if o.Claims == nil {
		o.Claims = forwardClaims
	}
	if o.Address == nil {
		o.Address = remoteHost
	}
	if o.Scheme == nil {
		o.Scheme = connectionScheme
	}
	o.TTL, o.DenyTTL = nonNegative(o.TTL, 10*time.Second), nonNegative(o.DenyTTL, time.Second)
	o.MaxTTL = orDefault(o.MaxTTL, time.Minute)
	o.Timeout = orDefault(o.Timeout, 5*time.Second)
	o.InFlight = orDefault(o.InFlight, 64)
	o.Wait = orDefault(o.Wait, time.Second)
	o.Failures = orDefault(o.Failures, 5)
	o.Pause = orDefault(o.Pause, 5*time.Second)
	if o.Transport == nil {
		o.Transport = &http.Transport{
			MaxConnsPerHost: o.InFlight, MaxIdleConnsPerHost: o.InFlight, IdleConnTimeout: 30 * time.Second,
			TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout, MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2: true,
		}
	}
	return &Forward{
		o: o,
		client: &http.Client{Transport: o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		memo:    newMemo[forwardResult](forwardMemory),
		calls:   limit.NewCalls(o.InFlight, -1, o.Wait),
		breaker: limit.NewBreaker(o.Failures, o.Pause),
	}, nil
}

// nonNegative returns d, or def if d is zero, or zero if d is negative.
func nonNegative(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

// connectionScheme returns "https" if the connection of a request uses TLS, otherwise "http".
func connectionScheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// Close closes the idle connections to the service.
func (f *Forward) Close() error {
	f.client.CloseIdleConnections()
	return nil
}

// Challenge implements [Authenticator].
func (f *Forward) Challenge() string { return f.o.Challenge }

// Authenticate implements [Authenticator]. The Identity is issued at the time of the service's response, unless the response
// contains another time.
func (f *Forward) Authenticate(r *http.Request) (*Identity, error) {
	request, ok := f.requestHeader(r)
	if !ok && !f.o.Always {
		return nil, ErrNoCredentials
	}
	return f.authenticate(r.Context(), request)
}

// authenticate returns the service's response to a request. The identity keeps the request for [Identity.Again].
func (f *Forward) authenticate(ctx context.Context, request http.Header) (*Identity, error) {
	// All data that is sent to the service is part of the request, because its response may depend on any of it.
	answer, err := f.memo.do(ctx, f.memo.digest(headerParts(request)...), func() (forwardResult, time.Duration, error) {
		// The call is not canceled with the request that started it, because other requests may wait for the response.
		a, ttl, err := f.call(context.WithoutCancel(ctx), request)
		if a.id != nil && f.o.Recheck > 0 {
			a.id.Again = &Again{Every: f.o.Recheck, Grace: f.o.RecheckGrace, Ask: func(ctx context.Context) (*Identity, error) {
				return f.authenticate(ctx, request)
			}}
		}
		return a, ttl, err
	})
	switch refusal, ok := errors.AsType[*Error](err); {
	case ok:
		return nil, refusal
	case err != nil:
		return nil, Unavailable(time.Second, err) // the request that called the service failed, or this client disconnected
	case answer.refusal != nil:
		return nil, answer.refusal
	}
	if id := answer.id; id.Expires.IsZero() || time.Now().Before(id.Expires) {
		return id, nil
	}
	return nil, Unauthorized(errForwardExpired, f.o.Challenge)
}

// headerParts returns the fields in a deterministic order.
func headerParts(h http.Header) []string {
	var parts []string
	for name, values := range h {
		parts = append(parts, name+": "+strings.Join(values, "\n"))
	}
	slices.Sort(parts)
	return parts
}
