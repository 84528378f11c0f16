package proxy

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/loop"
)

// DialerOptions configure the connections to an upstream. The zero value has the defaults.
type DialerOptions struct {
	// TLS configures connections to a wss upstream: RootCAs for the upstream's CA, Certificates for a client certificate,
	// ServerName for the upstream's name. ServerName "" means the host of the upstream's URL. nil means the defaults of crypto/tls.
	// TLS is copied.
	TLS *tls.Config

	// ProxyProtocol is the version of the PROXY protocol header to send first, 1 or 2; 0 sends none.
	ProxyProtocol int

	// KeepHost sends the client's Host field. By default the Host field is that of the upstream's URL. The connection goes to the
	// upstream's address in either case.
	KeepHost bool

	// StripPrefix is removed from the front of the path. It must end at the end of a segment; a path without it fails at
	// StageRequest. The path of the upstream's URL is then prepended. "" removes nothing.
	StripPrefix string

	// AddPrefix is added to the front of the path, after the path of the upstream's URL. "" adds nothing.
	AddPrefix string

	// AppendForwarded appends to the client's X-Forwarded-For and Forwarded fields, and keeps its X-Forwarded-Proto and
	// X-Forwarded-Host. It is for clients that are trusted proxies. By default all of them are replaced.
	AppendForwarded bool

	// Remove lists header fields of the client that the upstream must not get, such as those with an identity. Case is ignored, and
	// "_" equals "-". The fields of Header and of Request.Identity are removed in any case.
	Remove []string

	// Header is added to each request. It is not copied.
	Header http.Header

	// Connect, TLSHandshake and Handshake limit the steps of Open: the TCP connection, the TLS handshake, and the time from the
	// request to the complete response. 0 means 5, 5 and 10 seconds.
	Connect, TLSHandshake, Handshake time.Duration

	// KeepAlive is set on the connection if its Enable is set. Otherwise the default of package net applies.
	KeepAlive net.KeepAliveConfig
}

// Dialer opens WebSockets to one upstream, for clients. It may be used from any goroutine.
type Dialer struct {
	o        DialerOptions
	upstream string // the upstream as error messages show it
	network  string
	address  string
	at       netip.AddrPort // the upstream's address, if it is an IP address without TLS
	host     string         // value of the Host field
	prefix   string         // prepended to each path, without a trailing slash
	tls      *tls.Config
	removed  []string // names of the client's fields that are not passed on
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewDialer returns a Dialer for an upstream. The URL is ws://host:port/prefix or wss://host:port/prefix, where http and https are
// synonyms and port and prefix are optional, or host:port, which means ws, or unix:/path/of/socket.
func NewDialer(upstreamURL string, o DialerOptions) (*Dialer, error) {
	d := &Dialer{o: o, network: "tcp", removed: slices.Clone(o.Remove), dial: (&net.Dialer{KeepAliveConfig: o.KeepAlive}).DialContext}
	if path, ok := strings.CutPrefix(upstreamURL, "unix:"); ok {
		d.upstream, d.network, d.address, d.host = upstreamURL, "unix", path, "localhost"
	} else if err := d.parse(upstreamURL); err != nil {
		return nil, err
	}
	if o.ProxyProtocol < 0 || o.ProxyProtocol > 2 {
		return nil, fmt.Errorf("proxy: unknown version %d of the PROXY protocol", o.ProxyProtocol)
	}
	if err := handshake.CheckFields(o.Header); err != nil {
		return nil, fmt.Errorf("proxy: a header field for upstreams: %w", err)
	}
	if o.StripPrefix != "" && (o.StripPrefix[0] != '/' || hasDotSegment(o.StripPrefix)) {
		return nil, errors.New("proxy: the prefix to strip must begin with a slash, and have no segment . or ..")
	}
	if o.AddPrefix != "" {
		u, err := url.ParseRequestURI(o.AddPrefix)
		if err != nil || o.AddPrefix[0] != '/' || u.RawQuery != "" || u.ForceQuery || hasDotSegment(o.AddPrefix) {
			return nil, errors.New("proxy: the prefix to add must be a path that begins with a slash, and have no segment . or ..")
		}
		d.prefix += strings.TrimRight(u.EscapedPath(), "/")
	}
	for name := range o.Header {
		d.removed = append(d.removed, name)
	}
	setDefault(&d.o.Connect, 5*time.Second)
	setDefault(&d.o.TLSHandshake, 5*time.Second)
	setDefault(&d.o.Handshake, 10*time.Second)
	return d, nil
}

// setDefault sets a duration that is 0.
func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

// parse splits the URL. Its errors quote no part of the URL.
func (d *Dialer) parse(raw string) error {
	if !strings.Contains(raw, "://") {
		raw = "ws://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("proxy: an upstream must be a valid URL without user information, query or fragment")
	}
	t, v := handshake.ParseTarget(raw)
	if v != nil {
		return fmt.Errorf("proxy: an upstream: %w", v)
	}
	if hasDotSegment(u.Path) {
		return errors.New("proxy: the path of an upstream has a segment . or ..")
	}
	d.address, d.host, d.prefix = net.JoinHostPort(t.Name, t.Port), t.Host(), strings.TrimRight(u.EscapedPath(), "/")
	d.upstream = "ws://" + d.address
	if !t.Secure {
		d.at, _ = netip.ParseAddrPort(d.address)
		if d.at.Addr().Zone() != "" {
			d.at = netip.AddrPort{}
		}
	}
	if t.Secure {
		d.upstream = "wss://" + d.address
		d.tls = d.o.TLS.Clone()
		if d.tls == nil {
			d.tls = &tls.Config{}
		}
		if d.tls.ServerName == "" {
			d.tls.ServerName, _, _ = strings.Cut(t.Name, "%") // without the zone of an IPv6 address
		}
		d.tls.NextProtos = []string{"http/1.1"}
		if d.tls.ClientSessionCache == nil {
			d.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0) // resuming a session saves the upstream a signature
		}
	}
	return nil
}

// Upstream returns the scheme and the address of the upstream, as messages show them.
func (d *Dialer) Upstream() string { return d.upstream }

// Request is a client's opening handshake for an upstream.
type Request struct {
	// Request is the client's request. It is not changed, and its context is not used. A held connection keeps a copy of it;
	// otherwise nothing of it is kept.
	*http.Request

	// Source is the address of the client, behind all proxies, and Destination the address that it connected to. They are used in
	// the forwarded fields and the PROXY protocol. The zero value means that an address is not known.
	Source, Destination netip.AddrPort

	// Principal identifies the client for [Settings].Identify, which sets the following fields. nil means there is no identity, or
	// the fields are set already.
	Principal any

	// User identifies the client for [Settings].Key; "" means there is no user.
	User string

	// Identity are the fields that identify the client to the upstream. Fields with these names in the client's request are
	// removed.
	Identity http.Header

	// Sign returns additional identity fields for one upstream, named as by [Dialer.Upstream], such as a token for that upstream only.
	// An error of Sign fails the request at StageRequest. nil means there are none.
	Sign func(upstream string) (http.Header, error)
}

// Link is a WebSocket to an upstream, after the handshake. The caller owns it.
type Link struct {
	Conn        net.Conn    // without deadlines
	Late        []byte      // the bytes that the upstream has sent after its 101 response
	Header      http.Header // the fields of the 101 for the client, such as cookies
	Subprotocol string      // "" if there is none
	Extensions  string      // value of Sec-WebSocket-Extensions, or "" if there are none

	dialed *dialing // holds the connection if Conn is nil
}

// close closes the connection.
func (k *Link) close() {
	if k.dialed != nil {
		k.dialed.l.CloseNow() //nolint:errcheck // CloseNow always returns nil
		return
	}
	k.Conn.Close() //nolint:errcheck // the connection is discarded, so an error of Close does not matter
}

// conn takes the connection off the event loop and returns it.
func (k *Link) conn() (net.Conn, error) {
	if k.dialed != nil {
		return k.dialed.detach()
	}
	return k.Conn, nil
}

// Open connects to the upstream and performs the client's handshake there, with a new key. The caller sends the client a 101 for
// the client's own key. The upstream gets the subprotocols and extensions that the client offers, unchanged.
//
// The error is a [*Refused] if the upstream has responded with a status of 300 or more, otherwise a [*Failure]. A Link is only
// returned for a 101 that follows all rules of RFC 6455 §4.1.
func (d *Dialer) Open(ctx context.Context, r *Request) (*Link, error) {
	req, err := d.request(r)
	if err != nil {
		return nil, &Failure{Upstream: d.upstream, Stage: StageRequest, Err: err}
	}
	nc, err := d.connect(ctx, r)
	if err != nil {
		return nil, err
	}
	link, err := d.handshake(ctx, nc, r, req)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return link, nil
}

// connect opens the connection, with TLS if the upstream uses it. The PROXY protocol header is sent before TLS.
func (d *Dialer) connect(ctx context.Context, r *Request) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, d.o.Connect)
	defer cancel()
	nc, err := d.dial(limited, d.network, d.address)
	if err != nil {
		return nil, d.failure(ctx, StageConnect, err)
	}
	if d.tls == nil {
		return nc, nil
	}
	limited, cancel = context.WithTimeout(ctx, d.o.TLSHandshake)
	defer cancel()
	if head := d.proxyHeader(nil, r); len(head) > 0 {
		if _, err := nc.Write(head); err != nil { // the send buffer of a new connection has room for it
			nc.Close()
			return nil, d.failure(ctx, StageTLS, err)
		}
	}
	tc := tls.Client(&loop.Under{Conn: nc}, d.tls)
	if err := tc.HandshakeContext(limited); err != nil {
		nc.Close()
		return nil, d.failure(ctx, StageTLS, err)
	}
	return tc, nil
}

// handshake sends the request and reads the response.
func (d *Dialer) handshake(ctx context.Context, nc net.Conn, r *Request, req *handshake.Request) (*Link, error) {
	if err := nc.SetDeadline(time.Now().Add(d.o.Handshake)); err != nil {
		return nil, d.failure(ctx, StageHandshake, err)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // if the connection is broken, its next read or write fails anyway
	defer stop()
	var head []byte
	if d.tls == nil {
		head = d.proxyHeader(head, r)
	}
	if _, err := nc.Write(req.AppendHead(head)); err != nil {
		return nil, d.failure(ctx, StageHandshake, err)
	}
	link, err := d.answer(ctx, nc, req)
	if err != nil {
		return nil, err
	}
	if !stop() {
		return nil, d.failure(ctx, StageHandshake, context.Cause(ctx))
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return nil, d.failure(ctx, StageHandshake, err)
	}
	link.Conn = nc
	return link, nil
}

// newKey returns a Sec-WebSocket-Key (RFC 6455 §4.1).
func newKey() string {
	var nonce [16]byte
	rand.Read(nonce[:]) //nolint:errcheck // crypto/rand.Read never fails
	return handshake.EncodeKey(nonce)
}
