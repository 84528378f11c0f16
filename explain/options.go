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

// Options configure the connection and the additional tests. By default, Explain behaves like a browser that opens a WebSocket to the
// page's own host: with the URL's origin, an offer of compression, the environment's proxy and no credentials. Explain does not modify
// Options.
type Options struct {
	// Origin is the origin of the page in the browser: scheme, host and port. "" means the origin of the URL. NoOrigin means that no
	// Origin is sent, as by programs other than browsers.
	Origin   string
	NoOrigin bool
	// Header contains additional fields of the request. They replace default fields such as User-Agent, but must not contain the fields
	// of the handshake. The value of a field whose name looks like that of a secret is redacted.
	Header http.Header
	// Subprotocols are the offered subprotocols in order of preference.
	Subprotocols []string
	// NoCompression omits the offer of permessage-deflate that every browser makes.
	NoCompression bool
	// Credentials are sent, but never reported.
	Credentials Credentials

	// TLS is the configuration for wss. nil means the system's CAs and at least TLS 1.2. Explain verifies certificate chains itself to
	// report every problem, so it ignores the callbacks VerifyPeerCertificate and VerifyConnection.
	TLS *tls.Config
	// Proxy returns the URL of the HTTP or SOCKS5 proxy for a request, or nil for no proxy. A nil Proxy means http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// Resolver looks up names. Only its fields PreferGo, StrictErrors and Dial are used. nil means net.DefaultResolver.
	Resolver *net.Resolver
	// Dial opens TCP connections. nil means the DialContext of a zero net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Timeout limits everything except Watch and ProbeIdle, which have their own limits. 0 means 15 seconds.
	Timeout time.Duration
	// StepTimeout limits each wait for the peer. 0 means 5 seconds.
	StepTimeout time.Duration

	// Echo is a text message to send. Explain then waits until the server has sent the same message. "" means none.
	Echo string
	// NoOriginProbes disables the additional handshakes with other origins: with that of another site after a successful handshake, and
	// with that of the server, or none, after a rejection.
	NoOriginProbes bool
	// NoProbes disables all additional connections: those that NoOriginProbes disables, and those that investigate a failure.
	NoProbes bool
	// ProbeIdle is how long the connection is kept idle, to find out whether something on the path ends it. 0 disables the probe.
	ProbeIdle time.Duration
	// Watch is how long Explain continues to read frames before the closing handshake. A negative value means until the server closes
	// the connection or the context ends. 0 means not at all.
	Watch time.Duration

	// OnBegin is called when a step begins, OnStep when a step has ended, and OnFrame for each frame sent or received during Watch. All
	// arguments are redacted. The calls are sequential, from the goroutine that called Explain. Each may be nil.
	OnBegin func(stage Stage, title string)
	OnStep  func(Step)
	OnFrame func(Frame)

	rand io.Reader // the source of random bytes; nil means crypto/rand
}

// Credentials are the client's credentials for the handshake. Several may be combined.
type Credentials struct {
	// Bearer is a token for "Authorization: Bearer".
	Bearer string
	// Username and Password are sent as "Authorization: Basic", unless both are "". User information in the URL has the same effect.
	Username, Password string
	// Cookie is the value of the Cookie header: "name=value; name=value".
	Cookie string
	// APIKey is the value of the header APIKeyHeader. If APIKeyHeader is "", the header is X-API-Key.
	APIKey       string
	APIKeyHeader string
	// SubprotocolToken is a token. The subprotocol base64url.bearer.authorization.k8s.io.TOKEN, with the token in base64url, is offered.
	SubprotocolToken string
	// Query contains secret parameters, such as a token or a ticket, that are added to the URL.
	Query url.Values
}
