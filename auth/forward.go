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

// ForwardOptions says which HTTP service is asked who a client is, and how. Times and numbers that are zero or less stand
// for what their comments say.
type ForwardOptions struct {
	// URL is asked with GET: the service answers 2xx, 401 or 403.
	URL string

	// Credentials are the fields that are copied from a request and that say who its client is; nil: Authorization and
	// Cookie. The service is not asked about requests that have none of them.
	Credentials []string

	// Cookies are the names of the cookies that are copied; nil means all. A request without one of them has no Cookie field
	// for the service.
	Cookies []string

	// Headers are further fields that are copied.
	Headers []string

	// Always asks about requests without credentials, too: for services that look at the address or the URI.
	Always bool

	// RawQuery sends the service the query of the URI unchanged. Otherwise parameters that are secrets by name or form are
	// replaced: token, access_token, ticket, key and the like. Secrets are further names of such parameters.
	RawQuery bool
	Secrets  []string

	// SubjectHeaders are the fields of the answer that may name the client; nil: X-Auth-Request-User, Remote-User,
	// X-Forwarded-User. An answer in JSON can have "subject", "claims", "id", "issued" and "expires" (RFC 3339 or seconds
	// since 1970) instead. DefaultSubject is the subject when the service says yes and no more; "" means the answer is 503.
	SubjectHeaders []string
	DefaultSubject string

	// Claims says which fields of the answer become which claims; nil means the groups, email and name that common services
	// send.
	Claims []ForwardClaim

	// Challenge is the WWW-Authenticate that asks for what the service wants, such as "Bearer"; "" means none.
	Challenge string

	// Address returns the client's address, for X-Forwarded-For, and Scheme "http" or "https", for X-Forwarded-Proto; nil:
	// those of the connection, which behind a proxy are those of the proxy.
	Address func(r *http.Request) string
	Scheme  func(r *http.Request) string

	// Lifetime ends identities for which the service returns no expiry; 0 means that they do not expire.
	Lifetime time.Duration

	// Recheck and RecheckGrace are the Every and Grace of [Identity.Again], which is nil if Recheck is 0.
	Recheck, RecheckGrace time.Duration

	// TTL is how long a yes is remembered when the answer has no Cache-Control; 0 means 10 s; less: not at all. MaxTTL bounds
	// what the answer says; 0 means one minute. DenyTTL is how long a no is; 0 means 1 s; less: not at all.
	TTL, MaxTTL, DenyTTL time.Duration

	// Timeout bounds one question; 0 means 5 s. InFlight is how many are asked at once; 0 means 64. The others wait, at most Wait;
	// 0 means 1 s. Then the answer is 503.
	Timeout  time.Duration
	InFlight int
	Wait     time.Duration

	// Failures is how many questions in a row may fail before none is asked for Pause, and everybody gets 503 at once;
	// 0 means 5 and 5 s. Then one question is asked, and what becomes of it decides.
	Failures int
	Pause    time.Duration

	// Transport asks; nil means one of its own, which uses no proxy.
	Transport http.RoundTripper
}

// ForwardClaim says that a field of the answer becomes a claim.
type ForwardClaim struct {
	Header string // the field
	Claim  string // the name of the claim
	List   bool   // the values between commas, as a list
}

// forwardMemory is how many answers are remembered.
const forwardMemory = 10_000

// forwardClaims are what oauth2-proxy and Authelia send.
var forwardClaims = []ForwardClaim{
	{Header: "X-Auth-Request-Groups", Claim: "groups", List: true},
	{Header: "X-Auth-Request-Email", Claim: "email"},
	{Header: "X-Auth-Request-Preferred-Username", Claim: "name"},
	{Header: "Remote-Groups", Claim: "groups", List: true},
	{Header: "Remote-Email", Claim: "email"},
	{Header: "Remote-Name", Claim: "name"},
}

// Forward is an [Authenticator] that asks another HTTP service. A browser sends cookies for every page: put [SessionCookie]
// before a Forward that looks at them, or keep [websocket.AcceptOptions].AnyOrigin off. Answers are remembered for a short time, the same question
// is never asked twice at once, and while the service fails everybody is rejected with 503. Make it with [NewForward].
type Forward struct {
	o       ForwardOptions
	client  *http.Client
	memo    *memo[forwardAnswer]
	calls   *limit.Calls // of all endpoints together, for the service's sake
	breaker *limit.Breaker
}

// forwardAnswer is what the service has said: an identity, or a refusal.
type forwardAnswer struct {
	id      *Identity
	refusal *Error
}

// NewForward returns an Authenticator that asks the service of o.URL. Close it when it is not used any more.
func NewForward(o ForwardOptions) (*Forward, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("auth: forward: the URL must be http or https, with a host and without a password") // unquoted: there may be one
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
	o.TTL, o.DenyTTL = zeroIs(o.TTL, 10*time.Second), zeroIs(o.DenyTTL, time.Second)
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
		memo:    newMemo[forwardAnswer](forwardMemory),
		calls:   limit.NewCalls(o.InFlight, -1, o.Wait),
		breaker: limit.NewBreaker(o.Failures, o.Pause),
	}, nil
}

// zeroIs returns d, or what stands for zero; less than zero is zero.
func zeroIs(d, instead time.Duration) time.Duration {
	if d == 0 {
		return instead
	}
	return max(d, 0)
}

// connectionScheme returns the scheme of a request by its connection.
func connectionScheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// Close closes the connections to the service.
func (f *Forward) Close() error {
	f.client.CloseIdleConnections()
	return nil
}

// Challenge implements [Authenticator].
func (f *Forward) Challenge() string { return f.o.Challenge }

// Authenticate implements [Authenticator]. The Identity is issued when the service has said yes, unless it says otherwise.
func (f *Forward) Authenticate(r *http.Request) (*Identity, error) {
	question, ok := f.question(r)
	if !ok && !f.o.Always {
		return nil, ErrNoCredentials
	}
	return f.answer(r.Context(), question)
}

// answer returns the service's answer to a question. The identity retains the question for [Identity.Again].
func (f *Forward) answer(ctx context.Context, question http.Header) (*Identity, error) {
	// Everything that is sent to the service belongs to the question: its answer may depend on any of it.
	answer, err := f.memo.ask(ctx, f.memo.digest(headerParts(question)...), func() (forwardAnswer, time.Duration, error) {
		// Others wait for this answer: it does not end with the request that happened to be first.
		a, ttl, err := f.ask(context.WithoutCancel(ctx), question)
		if a.id != nil && f.o.Recheck > 0 {
			a.id.Again = &Again{Every: f.o.Recheck, Grace: f.o.RecheckGrace, Ask: func(ctx context.Context) (*Identity, error) {
				return f.answer(ctx, question)
			}}
		}
		return a, ttl, err
	})
	switch refusal, ok := errors.AsType[*Error](err); {
	case ok:
		return nil, refusal
	case err != nil:
		return nil, Unavailable(time.Second, err) // what another request asked broke off, or the client left
	case answer.refusal != nil:
		return nil, answer.refusal
	}
	if id := answer.id; id.Expires.IsZero() || time.Now().Before(id.Expires) {
		return id, nil
	}
	return nil, Unauthorized(errForwardExpired, f.o.Challenge)
}

// headerParts returns the fields in an order that depends on nothing else.
func headerParts(h http.Header) []string {
	var parts []string
	for name, values := range h {
		parts = append(parts, name+": "+strings.Join(values, "\n"))
	}
	slices.Sort(parts)
	return parts
}
