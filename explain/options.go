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

// Options configure the connection and the tests. nil and the zero value are the behaviour of a browser: the Origin of the URL
// itself, an offer of compression, the proxy of the environment, no credentials. Explain does not modify it.
type Options struct {
	// Origin is the origin of the page in the browser, scheme and host. "" means one with the URL's own host; with NoOrigin no
	// Origin is sent, like by a program that is not a browser.
	Origin   string
	NoOrigin bool
	// Header are additional fields of the request. They replace fields that the request has anyway, such as User-Agent; the fields
	// of the handshake itself cannot be replaced. A value is redacted if its name looks like that of a secret.
	Header http.Header
	// Subprotocols are offered in this order of preference.
	Subprotocols []string
	// NoCompression omits the offer of permessage-deflate that every browser makes.
	NoCompression bool
	// Credentials are sent, but never reported.
	Credentials Credentials

	// TLS is for wss. nil means the system's CAs and at least TLS 1.2. Explain verifies chains itself, so that it can report every
	// problem of an untrusted one: it uses RootCAs, ServerName, Certificates, MinVersion, MaxVersion and InsecureSkipVerify, but no
	// callbacks.
	TLS *tls.Config
	// Proxy returns the proxy for a request. nil means http.ProxyFromEnvironment; a function that returns nil means none. A proxy
	// uses HTTP or SOCKS5.
	Proxy func(*http.Request) (*url.URL, error)
	// Resolver looks up names. nil means net.DefaultResolver.
	Resolver *net.Resolver
	// Dial opens TCP connections. nil means that of net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Timeout limits everything except Watch and ProbeIdle, which have their own limits. 0 means 15 seconds.
	Timeout time.Duration
	// StepTimeout limits each wait for the peer. 0 means 5 seconds.
	StepTimeout time.Duration

	// Echo is a text message to send; after it, Explain waits for the server's next message. "" means none.
	Echo string
	// NoOriginProbes disables the additional handshakes with other origins: one from a foreign site after a successful handshake,
	// and some without or with the own origin after a 403.
	NoOriginProbes bool
	// NoProbes disables these, and every other connection that is only opened to find out the reason for a failure.
	NoProbes bool
	// ProbeIdle keeps the connection silent for at most this long, to find out whether something on the path ends it. 0 means not
	// at all.
	ProbeIdle time.Duration
	// Watch continues to read frames for this long, before the closing handshake. Negative means until the server closes or the
	// context ends; 0 means not at all.
	Watch time.Duration

	// OnBegin is called when a step begins, OnStep when it has ended, and OnFrame for each frame sent or received during Watch. All
	// arguments are redacted. The calls are sequential, from the goroutine that called Explain.
	OnBegin func(stage Stage, title string)
	OnStep  func(Step)
	OnFrame func(Frame)

	rand io.Reader // for keys; nil means crypto/rand
}

// Credentials are the client's credentials for the handshake. Several of them may be combined.
type Credentials struct {
	// Bearer is a token for "Authorization: Bearer".
	Bearer string
	// Username and Password are for "Authorization: Basic". Both "" means none. User information in the URL has the same effect.
	Username, Password string
	// Cookie is the Cookie header: "name=value; name=value".
	Cookie string
	// APIKey is the value of the field named by APIKeyHeader, X-API-Key if that is "".
	APIKey       string
	APIKeyHeader string
	// SubprotocolToken is offered as the subprotocol base64url.bearer.authorization.k8s.io.TOKEN.
	SubprotocolToken string
	// Query are secret parameters for the URL: a token, a ticket.
	Query url.Values
}
