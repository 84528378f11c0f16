package natsengine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
)

// Options says how an engine works. One of Server and URL is required.
type Options struct {
	// Server is a server in this process. Engines of several hubs may share it.
	Server *Server

	// URL has the addresses of NATS servers, separated by commas: nats://host:4222 or tls://host:4222. A user and a password, or a
	// token, may be in it. It may end with a comma.
	URL string

	// Credentials is the path of a file with a user's JWT and seed, as NATS writes them. "" means none.
	Credentials string

	// TLS is how servers at tls:// are verified. nil means by the system's authorities.
	TLS *tls.Config

	// Prefix begins the names of streams and subjects: engines with different ones share nothing. "" means "handfast".
	Prefix string

	// Replicas is how many copies of the streams there are. 0 means three if there are as many servers, otherwise one.
	Replicas int

	// MaxHistory is how many publications of one channel are kept at most; more than any namespace asks for. 0 means 10,000. Once
	// there are streams, a smaller value does not count.
	MaxHistory int

	// MaxBytes is how large all publications together become before the oldest are removed. 0 means without a limit.
	MaxBytes int64
}

var prefixes = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// check fills in defaults, and returns what is wrong with o.
func (o *Options) check() error {
	if o.Prefix == "" {
		o.Prefix = "handfast"
	}
	if o.MaxHistory == 0 {
		o.MaxHistory = 10_000
	}
	switch {
	case (o.Server == nil) == (o.URL == ""):
		return errors.New("natsengine: one of Server and URL is required")
	case !prefixes.MatchString(o.Prefix):
		return fmt.Errorf("natsengine: the prefix %q has other characters than letters, digits, - and _", o.Prefix)
	case o.Replicas < 0 || o.Replicas > 5:
		return fmt.Errorf("natsengine: %d copies: NATS has one to five", o.Replicas)
	case o.MaxHistory < 0 || o.MaxBytes < 0:
		return errors.New("natsengine: a limit is negative")
	}
	return nil
}

// connection returns how to connect.
func (o *Options) connection(e *Engine) []nats.Option {
	opts := []nats.Option{
		nats.Name("handfast " + e.id),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(func(int) time.Duration { return reconnectPause }),
		nats.ReconnectBufSize(-1), // what cannot be sent is an error, and not sent later
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second),
		nats.FlusherTimeout(writeWait), nats.ReconnectOnFlusherError(),
		nats.IgnoreAuthErrorAbort(),
		nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			e.lost()
			if err != nil {
				e.because(err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { signal(e.back) }),
		nats.ErrorHandler(e.trouble),
	}
	if o.Server != nil {
		opts = append(opts, nats.InProcessServer(o.Server.server))
		if o.Server.password != "" {
			opts = append(opts, nats.UserInfo(routeUser, o.Server.password))
		}
	}
	if o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(o.Credentials))
	}
	if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	return opts
}

const (
	reconnectPause = 100 * time.Millisecond
	writeWait      = 3 * time.Second // for a server that takes nothing: meanwhile all calls wait, whatever their contexts, and no ping is sent
)

// signal has the reader of c do something soon.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
