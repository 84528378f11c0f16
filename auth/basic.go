package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/limit"
)

// BasicOptions configure [NewBasic]. Zero and negative values mean the defaults in the comments.
type BasicOptions struct {
	// File is a password file: each line has a user and a hash, separated by a colon, as written by htpasswd -B; the hash is a
	// bcrypt hash or an argon2id string. bcrypt reads only 72 bytes: a longer password never matches. A JSON object with the user's
	// claims may follow after a space. The file is read again when it has changed.
	File string

	// Realm is the name that a browser shows; "" means handfast.
	Realm string

	// Remember is how long a correct password is recognized by a keyed hash in memory, instead of being verified again, which takes
	// tens of milliseconds of CPU time; 0 means one minute. A change of the file discards all of these hashes.
	Remember time.Duration

	// Concurrent is the maximum number of passwords that are verified concurrently; 0 means half of the CPUs, at least one. Each
	// verification uses one CPU, and with argon2id the memory that the hash specifies. Further requests wait for at most Wait,
	// where 0 means 2 s, and then get 503.
	Concurrent int
	Wait       time.Duration

	// Failures is the number of wrong passwords that one address may send for one user within FailureWindow; 0 means 10 within one
	// minute. After that the reply is 429 until the window has ended. For all users together the limit is ten times as high.
	Failures      int
	FailureWindow time.Duration

	// Address returns the client's address, for counting failures; nil means the host of r.RemoteAddr, which is the proxy's address
	// behind a proxy.
	Address func(r *http.Request) string

	// OnError, if not nil, is called if File has changed and cannot be used; the passwords are then unchanged.
	OnError func(error)
}

// Basic is an [Authenticator] for HTTP basic authentication (RFC 7617). A browser that has stored a password adds it to the
// requests of any page: do not set AnyOrigin of [websocket.AcceptOptions]. Make it with [NewBasic].
type Basic struct {
	o        BasicOptions
	realm    string
	file     *storeFile[*basicUsers]
	memo     *memo[struct{}]
	calls    *limit.Calls // limits concurrent hash computations, which take a lot of CPU time
	failures *basicFailures
}

const (
	basicMaxUser       = 256  // bytes
	basicMaxPassword   = 1024 // bytes
	basicMaxRemembered = 10_000
	basicMaxAddresses  = 20_000
)

var (
	errBasicForm      = errors.New("the Basic credentials are not well-formed")
	errBasicWrong     = errors.New("unknown user or wrong password")
	errBasicThrottled = errors.New("too many wrong passwords")
)

// NewBasic returns an Authenticator for the users of a password file. Errors in the file contain its name and the line.
func NewBasic(o BasicOptions) (*Basic, error) {
	if o.Realm == "" {
		o.Realm = "handfast"
	}
	if strings.ContainsFunc(o.Realm, func(c rune) bool { return c < ' ' || c > '~' }) {
		return nil, errors.New("auth: Basic: the realm must be printable ASCII")
	}
	o.Remember = orDefault(o.Remember, time.Minute)
	o.Concurrent = orDefault(o.Concurrent, max(1, runtime.GOMAXPROCS(0)/2))
	o.Wait = orDefault(o.Wait, 2*time.Second)
	o.Failures = orDefault(o.Failures, 10)
	o.FailureWindow = orDefault(o.FailureWindow, time.Minute)
	if o.Address == nil {
		o.Address = remoteHost
	}
	file, err := openStoreFile(o.File, parseBasicUsers, o.OnError)
	if err != nil {
		return nil, fmt.Errorf("auth: Basic: %w", err)
	}
	return &Basic{
		o:        o,
		realm:    strconv.Quote(o.Realm), // a quoted-string: backslashes and quotes are escaped (RFC 9110 §5.6.4)
		file:     file,
		memo:     newMemo[struct{}](basicMaxRemembered),
		calls:    limit.NewCalls(o.Concurrent, -1, o.Wait),
		failures: newBasicFailures(o.FailureWindow, o.Failures, basicMaxAddresses),
	}, nil
}

// remoteHost returns the remote address of the connection, without the port.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Reload reads the password file now. If there is an error, the passwords are unchanged.
func (b *Basic) Reload() error { return b.file.reload() }

// Challenge implements [Authenticator]. The charset is UTF-8 (RFC 7617 §2.1).
func (b *Basic) Challenge() string { return "Basic realm=" + b.realm + `, charset="UTF-8"` }

// Authenticate implements [Authenticator]. The Identity's Issued is the current time, because the client has just sent a valid
// password.
func (b *Basic) Authenticate(r *http.Request) (*Identity, error) {
	user, password, err := b.find(r)
	if err != nil {
		return nil, err
	}
	// The limit is checked first, and also for a remembered password: otherwise an address that guesses passwords could still
	// recognize a correct guess after reaching the limit.
	address := b.o.Address(r)
	if wait := b.failures.blocked(user, address); wait > 0 {
		return nil, TooMany(wait, errBasicThrottled)
	}
	users := b.file.load()
	key := b.memo.digest(strconv.FormatUint(users.generation, 10), user, password)
	_, err = b.memo.do(r.Context(), key, func() (struct{}, time.Duration, error) {
		return struct{}{}, b.o.Remember, b.check(users, user, password, address)
	})
	if err != nil {
		if refusal, ok := errors.AsType[*Error](err); ok {
			return nil, refusal
		}
		return nil, Unavailable(time.Second, err) // the request that computed the result failed, or this client disconnected
	}
	return &Identity{Subject: user, Method: "basic", Claims: users.claims(user), Issued: time.Now()}, nil
}

// check verifies a password. It counts the attempt as failed before it knows the result, so that concurrent attempts do not exceed
// the limit.
func (b *Basic) check(users *basicUsers, user, password, address string) error {
	if wait := b.failures.begin(user, address); wait > 0 {
		return TooMany(wait, errBasicThrottled)
	}
	if err := b.calls.Begin(context.Background()); err != nil { // not r's context: requests with the same password may wait, too
		b.failures.undo(user, address)
		return Unavailable(b.o.Wait, err)
	}
	defer b.calls.End()
	if !users.verify(user, password) {
		return Unauthorized(errBasicWrong, b.Challenge())
	}
	b.failures.undo(user, address)
	return nil
}

// find returns the credentials in r.
func (b *Basic) find(r *http.Request) (user, password string, err error) {
	var basic int
	fields := r.Header.Values("Authorization")
	for _, v := range fields {
		if scheme, _, _ := strings.Cut(strings.TrimSpace(v), " "); strings.EqualFold(scheme, "Basic") {
			basic++
		}
	}
	if basic == 0 {
		return "", "", ErrNoCredentials
	}
	user, password, ok := r.BasicAuth()
	switch {
	case !ok, len(fields) > 1:
		err = Unauthorized(errBasicForm, b.Challenge())
	case user == "", len(user) > basicMaxUser, len(password) > basicMaxPassword, !validBasicText(user), !validBasicText(password):
		err = Unauthorized(errBasicForm, b.Challenge())
	}
	return user, password, err
}

// validBasicText reports whether s is UTF-8 without control characters (RFC 7617 §2).
func validBasicText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}
