package explain

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Options says how to connect and what to try. nil and the zero value are a browser's behaviour: the Origin of the URL
// itself, an offer of compression, the proxy of the environment, no credentials. Explain only reads it.
type Options struct {
	// Origin is the page that the browser shows, scheme and host. "" is one of the URL's own host; with NoOrigin no
	// Origin is sent, as a program does that is no browser.
	Origin   string
	NoOrigin bool
	// Header are further fields of the request. One that the request has anyway, such as User-Agent, replaces it; the
	// fields of the handshake itself cannot be replaced. A value is redacted where its name looks like that of a secret.
	Header http.Header
	// Subprotocols are offered, the preferred one first.
	Subprotocols []string
	// NoCompression leaves out the offer of permessage-deflate that every browser makes.
	NoCompression bool
	// Credentials are sent along and never reported.
	Credentials Credentials

	// TLS is for wss. nil is the system's authorities and TLS 1.2 at least. Explain verifies chains itself, so that it can
	// tell all about one that is not trusted: RootCAs, ServerName, Certificates, MinVersion, MaxVersion and
	// InsecureSkipVerify count, callbacks do not.
	TLS *tls.Config
	// Proxy finds the proxy for a request. nil is http.ProxyFromEnvironment; a function that returns nil is none. A proxy
	// speaks HTTP or SOCKS5.
	Proxy func(*http.Request) (*url.URL, error)
	// Resolver looks names up. nil is net.DefaultResolver.
	Resolver *net.Resolver
	// Dial opens TCP connections. nil is net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Timeout bounds all but Watch and ProbeIdle, which have bounds of their own. 0 is 15 seconds.
	Timeout time.Duration
	// StepTimeout bounds each wait for the other side. 0 is 5 seconds.
	StepTimeout time.Duration

	// Echo is a text message to send; the server's next message is awaited. "" is none.
	Echo string
	// NoOriginProbes leaves out the further handshakes with other origins: one from a foreign site after a handshake that
	// succeeded, and some without or with the own origin after a 403.
	NoOriginProbes bool
	// NoProbes leaves these out too, and every other connection that is opened only to find out why something failed.
	NoProbes bool
	// ProbeIdle holds the connection in silence for at most this long, to see whether something on the path ends it. 0 is
	// not to.
	ProbeIdle time.Duration
	// Watch goes on reading frames for this long, before the closing handshake. Negative is until the server closes or the
	// context ends; 0 is not to.
	Watch time.Duration

	// OnBegin is called when a step begins, OnStep when it is over, and OnFrame for each frame of Watch that was sent or
	// received. All of it is redacted. They are called one at a time, from the goroutine that called Explain.
	OnBegin func(stage Stage, title string)
	OnStep  func(Step)
	OnFrame func(Frame)

	rand io.Reader // of keys; nil is crypto/rand
}

// Credentials are what a client may have to show at the handshake. Each pattern may be used beside the others.
type Credentials struct {
	// Bearer is a token for "Authorization: Bearer".
	Bearer string
	// Username and Password are for "Authorization: Basic". Both "" is none. User information in the URL means the same.
	Username, Password string
	// Cookie is the Cookie header: "name=value; name=value".
	Cookie string
	// APIKey goes into the field that APIKeyHeader names, X-API-Key when that is "".
	APIKey       string
	APIKeyHeader string
	// SubprotocolToken is offered as the subprotocol base64url.bearer.authorization.k8s.io.TOKEN.
	SubprotocolToken string
	// Query are parameters for the URL that are secret: a token, a ticket.
	Query url.Values
}
