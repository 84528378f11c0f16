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

// DialerOptions say how an upstream is reached. The zero value is the default.
type DialerOptions struct {
	// TLS is used for a wss upstream, and is copied: RootCAs for its CA, Certificates for a client certificate, ServerName for its name.
	// ServerName "" means the host of the upstream's URL. nil means the defaults of crypto/tls.
	TLS *tls.Config

	// ProxyProtocol sends a header of the PROXY protocol first: 1 or 2 is the version, 0 sends none.
	ProxyProtocol int

	// KeepHost sends the client's Host. The address is the upstream's all the same. By default the Host is that of the upstream's URL.
	KeepHost bool

	// StripPrefix is removed from the front of the path, where it ends at the end of a segment: a path without it fails at
	// StageRequest. The path of the upstream's URL is then put in front of it. "" removes nothing.
	StripPrefix string

	// AddPrefix is put in front of the path, after that of the upstream's URL. "" adds nothing.
	AddPrefix string

	// AppendForwarded appends to the fields X-Forwarded-For and Forwarded of the client, and keeps its X-Forwarded-Proto and
	// X-Forwarded-Host. It is for clients that are proxies which are trusted. By default all of them are replaced.
	AppendForwarded bool

	// Remove names header fields of the client that the upstream must not get, such as those that carry an identity.
	// Case does not count, and "_" is as good as "-". Those of Header and of Request.Identity are removed anyway.
	Remove []string

	// Header is added to each request. It is not copied.
	Header http.Header

	// Connect, TLSHandshake and Handshake bound the steps of Open: to the connection, through TLS, and from the request to the whole
	// answer. 0 means 5, 5 and 10 seconds.
	Connect, TLSHandshake, Handshake time.Duration

	// KeepAlive is set on the connection when its Enable is set. Otherwise it is that of package net.
	KeepAlive net.KeepAliveConfig
}

// Dialer opens WebSockets to one upstream, for clients. It may be used from any goroutine.
type Dialer struct {
	o        DialerOptions
	upstream string // for messages
	network  string
	address  string
	at       netip.AddrPort // the same for TCP without TLS, where it has no name to look up; otherwise not valid
	host     string         // value of the Host field
	prefix   string         // in front of each path, without a slash at its end
	tls      *tls.Config
	removed  []string // names of the client's fields that are not passed on
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewDialer returns a Dialer for an upstream: ws://host:port/prefix or wss://host:port/prefix, where http and https mean the same and
// port and prefix may be missing, host:port for ws, or unix:/path/of/socket.
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
		return nil, fmt.Errorf("proxy: a field for upstreams: %w", err)
	}
	if o.StripPrefix != "" && (o.StripPrefix[0] != '/' || dotted(o.StripPrefix)) {
		return nil, errors.New("proxy: the prefix to strip must begin with a slash, and have no segment . or ..")
	}
	if o.AddPrefix != "" {
		u, err := url.ParseRequestURI(o.AddPrefix)
		if err != nil || o.AddPrefix[0] != '/' || u.RawQuery != "" || u.ForceQuery || dotted(o.AddPrefix) {
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

// setDefault sets a duration that is not given.
func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

// parse takes the URL apart. Its errors quote nothing of it.
func (d *Dialer) parse(raw string) error {
	if !strings.Contains(raw, "://") {
		raw = "ws://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("proxy: an upstream is a URL without user information, query and fragment")
	}
	t, v := handshake.ParseTarget(raw)
	if v != nil {
		return fmt.Errorf("proxy: an upstream: %w", v)
	}
	if dotted(u.Path) {
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
			d.tls.ServerName, _, _ = strings.Cut(t.Name, "%") // no zone
		}
		d.tls.NextProtos = []string{"http/1.1"}
		if d.tls.ClientSessionCache == nil {
			d.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0) // a resumed session costs the upstream no signature
		}
	}
	return nil
}

// Upstream returns the upstream as it is named in messages: scheme and address.
func (d *Dialer) Upstream() string { return d.upstream }

// Request is a client's opening handshake, as its upstream is to get it.
type Request struct {
	// Request is the client's. It is not changed, and its context is not used. A connection that is held keeps a copy of it; otherwise
	// nothing of it is kept.
	*http.Request

	// Source is the client, behind all proxies, and Destination the address that it has connected to. They are for the forwarded
	// fields and the PROXY protocol. The zero value means that an address is not known.
	Source, Destination netip.AddrPort

	// Principal is who the client is, for [Settings].Identify, which sets the following fields. nil means no one, or they are set
	// already.
	Principal any

	// User is who the client is, for [Settings].Key; "" for no one.
	User string

	// Identity says who the client is. What the client itself has sent under these names is removed.
	Identity http.Header

	// Sign returns further fields of that kind for one upstream, by [Dialer.Upstream], such as a token that it alone takes. Its error
	// is one of StageRequest. nil if there are none.
	Sign func(upstream string) (http.Header, error)
}

// Link is a WebSocket to an upstream, behind its handshake. The caller owns it.
type Link struct {
	Conn        net.Conn    // without deadlines
	Late        []byte      // what the upstream has sent behind its 101
	Header      http.Header // the fields of the 101 that are for the client, such as cookies
	Subprotocol string      // "" for none
	Extensions  string      // value of Sec-WebSocket-Extensions, "" for none

	dialed *dialing // has the connection in place of Conn; nil where there is a Conn
}

// close closes the connection.
func (k *Link) close() {
	if k.dialed != nil {
		k.dialed.l.CloseNow() //nolint:errcheck // it returns nil
		return
	}
	k.Conn.Close() //nolint:errcheck // nothing is to be saved
}

// conn returns the connection, which is taken off the event loop.
func (k *Link) conn() (net.Conn, error) {
	if k.dialed != nil {
		return k.dialed.detached()
	}
	return k.Conn, nil
}

// Open connects to the upstream and makes the client's handshake with it, with a key of its own: the 101 that the client gets is the
// caller's. Subprotocols and extensions that the client offers are offered as they are.
//
// The error is a [*Refused] when the upstream has answered with a status from 300 on, otherwise a [*Failure]. A Link is returned only behind a
// 101 that keeps all rules of RFC 6455 §4.1.
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

// connect opens the connection, with TLS where that is needed. The header of the PROXY protocol comes before TLS.
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
		if _, err := nc.Write(head); err != nil { // which a new connection has room for
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

// handshake sends the request and reads the answer.
func (d *Dialer) handshake(ctx context.Context, nc net.Conn, r *Request, req *handshake.Request) (*Link, error) {
	if err := nc.SetDeadline(time.Now().Add(d.o.Handshake)); err != nil {
		return nil, d.failure(ctx, StageHandshake, err)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a broken connection fails anyway
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
	rand.Read(nonce[:]) //nolint:errcheck // it never fails
	return handshake.EncodeKey(nonce)
}
