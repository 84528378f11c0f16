package natsengine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
)

// Options configures an engine. Server or URL is required.
type Options struct {
	// Server is a server in this process. Engines of several hubs may share it.
	Server *Server

	// URL contains the addresses of NATS servers, separated by commas: nats://host:4222 or tls://host:4222. They may include a user
	// and a password, or a token. A trailing comma is allowed.
	URL string

	// Credentials is the path of a NATS credentials file, which contains a user's JWT and seed. "" means none.
	Credentials string

	// TLS is used to verify servers at tls:// addresses. nil means that the system's root certificates are used.
	TLS *tls.Config

	// Prefix is the prefix of the names of streams and subjects: engines with different prefixes share nothing. "" means
	// "handfast".
	Prefix string

	// Replicas is the number of replicas of the streams. 0 means three if there are at least three servers, otherwise one.
	Replicas int

	// MaxHistory is the maximum number of publications that are kept for one channel; it must cover the history of every namespace.
	// 0 means 10,000. A value below that of existing streams has no effect.
	MaxHistory int

	// MaxBytes is the maximum size of all publications together; beyond it the oldest publications are removed. 0 means no limit.
	MaxBytes int64
}

var prefixes = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// check fills in the defaults, and returns an error if o is not valid.
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
		return fmt.Errorf("natsengine: the prefix %q has characters other than letters, digits, - and _", o.Prefix)
	case o.Replicas < 0 || o.Replicas > 5:
		return fmt.Errorf("natsengine: %d replicas: NATS supports one to five", o.Replicas)
	case o.MaxHistory < 0 || o.MaxBytes < 0:
		return errors.New("natsengine: MaxHistory and MaxBytes must not be negative")
	}
	return nil
}

// connection returns the options of the NATS connection.
func (o *Options) connection(e *Engine) []nats.Option {
	opts := []nats.Option{
		nats.Name("handfast " + e.id),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(func(int) time.Duration { return reconnectPause }),
		nats.ReconnectBufSize(-1), // while disconnected, sending fails instead of being delayed
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second),
		nats.FlusherTimeout(writeWait), nats.ReconnectOnFlusherError(),
		nats.IgnoreAuthErrorAbort(),
		nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			e.disconnected()
			if err != nil {
				e.link.setReason(err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { signal(e.reconnected) }),
		nats.ErrorHandler(e.asyncError),
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
	writeWait      = 3 * time.Second // the timeout of a write to a server that does not read; until then all calls wait, and no ping is sent
)

// signal wakes the receiver of c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
