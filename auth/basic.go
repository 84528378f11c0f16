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

// BasicOptions says which passwords are accepted. Times and numbers that are zero or less stand for what their comments say.
type BasicOptions struct {
	// File is a password file: a user and a hash, with a colon between them, on each line, as htpasswd -B writes it; the
	// hash is one of bcrypt or an argon2id string. bcrypt looks at 72 bytes: with it no longer password
	// holds. A JSON object may follow after a space: the user's claims. It is read again when it has changed.
	File string

	// Realm is what a browser shows; "": handfast.
	Realm string

	// Remember is how long a password that was right is known by a keyed hash in memory, instead of being checked again,
	// which takes a CPU tens of milliseconds; 0 means one minute. A change of the file forgets them all.
	Remember time.Duration

	// Concurrent is how many passwords are checked at once; 0 means half of the CPUs, at least one. Each takes a CPU, and with
	// argon2id the memory that the hash says. The others wait, at most Wait; 0 means 2 s. Then the answer is 503.
	Concurrent int
	Wait       time.Duration

	// Failures is how many wrong passwords one address may send for one user within FailureWindow before the answer is
	// 429 until it is over; 0 means 10 within one minute. For all users together it may send ten times as many.
	Failures      int
	FailureWindow time.Duration

	// Address returns the client's address, for counting failures; nil means the host of r.RemoteAddr, which behind a proxy is
	// that of the proxy.
	Address func(r *http.Request) string

	// OnError is called, if it is not nil, when File has changed and cannot be used; the passwords stay as they were.
	OnError func(error)
}

// Basic is an [Authenticator] for the scheme of RFC 7617. A browser that knows a password adds it by itself, whichever page
// connects: keep [websocket.AcceptOptions].AnyOrigin off. Make it with [NewBasic].
type Basic struct {
	o        BasicOptions
	realm    string
	file     *storeFile[*basicUsers]
	memo     *memo[struct{}]
	calls    *limit.Calls // hashes under way, for the processor's sake
	failures *basicFailures
}

const (
	basicMaxUser     = 256  // bytes
	basicMaxPassword = 1024 // bytes
	basicRemembered  = 10_000
	basicAddresses   = 20_000
)

var (
	errBasicForm  = errors.New("the Basic credentials are not well-formed")
	errBasicWrong = errors.New("unknown user or wrong password")
	errBasicOften = errors.New("too many wrong passwords")
)

// NewBasic returns an Authenticator that accepts the users of a password file. Problems of the file come with its name and
// the line.
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
		memo:     newMemo[struct{}](basicRemembered),
		calls:    limit.NewCalls(o.Concurrent, -1, o.Wait),
		failures: newBasicFailures(o.FailureWindow, o.Failures, basicAddresses),
	}, nil
}

// remoteHost returns the address that the connection comes from, without its port.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Reload reads the password file now. On an error the passwords stay as they were.
func (b *Basic) Reload() error { return b.file.reload() }

// Challenge implements [Authenticator]: passwords are UTF-8 (RFC 7617 §2.1).
func (b *Basic) Challenge() string { return "Basic realm=" + b.realm + `, charset="UTF-8"` }

// Authenticate implements [Authenticator]. The Identity is issued now: the password was shown now, and holds now.
func (b *Basic) Authenticate(r *http.Request) (*Identity, error) {
	user, password, err := b.find(r)
	if err != nil {
		return nil, err
	}
	// First of all, also for a password that is remembered: else an address that has been guessing could tell a right
	// guess from a wrong one, by being admitted, as fast as it likes.
	address := b.o.Address(r)
	if wait := b.failures.blocked(user, address); wait > 0 {
		return nil, TooMany(wait, errBasicOften)
	}
	users := b.file.load()
	question := b.memo.digest(strconv.FormatUint(users.generation, 10), user, password)
	_, err = b.memo.ask(r.Context(), question, func() (struct{}, time.Duration, error) {
		return struct{}{}, b.o.Remember, b.check(users, user, password, address)
	})
	if err != nil {
		if refusal, ok := errors.AsType[*Error](err); ok {
			return nil, refusal
		}
		return nil, Unavailable(time.Second, err) // what another request was checking broke off, or the client left
	}
	return &Identity{Subject: user, Method: "basic", Claims: users.claims(user), Issued: time.Now()}, nil
}

// check holds a password against its hash. It counts the attempt as failed before it knows, so that many concurrently do not
// get more tries than one after the other.
func (b *Basic) check(users *basicUsers, user, password, address string) error {
	if wait := b.failures.begin(user, address); wait > 0 {
		return TooMany(wait, errBasicOften)
	}
	if err := b.calls.Begin(context.Background()); err != nil { // others with the same password wait for the answer
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

// find returns the credentials that r carries.
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
