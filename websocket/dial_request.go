package websocket

import (
	"errors"
	"net/http"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// userAgent is the default User-Agent. RFC 9110 §10.1.5: "A user agent SHOULD send a User-Agent header field in each request".
const userAgent = "handfast"

// newDialer checks the options that affect the request.
func newDialer(opts *DialOptions, t *handshake.Target) (*dialer, *HandshakeError) {
	if err := handshake.CheckSubprotocols(opts.Subprotocols); err != nil {
		return nil, &HandshakeError{
			Stage: handshake.StageRequest, Section: "RFC 6455 §4.1", Err: err, Hint: handshake.HintClientSubprotocols,
		}
	}
	extensions, fail := offerCompression(opts.Conn.Compression)
	if fail != nil {
		return nil, fail
	}
	d := &dialer{opts: opts, extensions: extensions, header: make(http.Header, len(opts.Header)+2)}
	for name, values := range opts.Header {
		d.header[http.CanonicalHeaderKey(name)] = append(d.header[http.CanonicalHeaderKey(name)], values...)
	}
	if hosts := d.header["Host"]; len(hosts) > 0 {
		if len(hosts) > 1 || !handshake.ValidHost(hosts[0]) {
			return nil, badHeader(errors.New("the Host header is not a single host, with or without a port"))
		}
		d.host = hosts[0]
	}
	delete(d.header, "Host")
	if err := handshake.CheckFields(d.header); err != nil {
		return nil, badHeader(err)
	}
	if _, ok := d.header["User-Agent"]; !ok {
		d.header["User-Agent"] = []string{userAgent}
	}
	d.authorize(t)
	return d, nil
}

func badHeader(err error) *HandshakeError {
	return &HandshakeError{
		Stage: handshake.StageRequest, Err: err,
		Hint: handshake.HintClientHeader,
	}
}

// authorize adds the user information of t's URL as an Authorization header (RFC 7617), unless the caller set that header.
func (d *dialer) authorize(t *handshake.Target) {
	if t.Auth != "" && len(d.header["Authorization"]) == 0 {
		d.header["Authorization"] = []string{t.Auth}
	}
}

// follow prepares d for a redirect. Only fields that cannot contain a secret are sent to another origin. Omitted fields stay
// omitted on a redirect back to the first origin, since the other origin may have chosen the target.
func (d *dialer) follow(from, to *handshake.Target) {
	if !to.SameOrigin(from) {
		kept := make(http.Header, 4)
		for _, name := range [...]string{"Accept", "Accept-Language", "Origin", "User-Agent"} {
			if values, ok := d.header[name]; ok {
				kept[name] = values
			}
		}
		d.dropped = d.dropped || len(kept) < len(d.header)
		d.header, d.host = kept, ""
	}
	d.authorize(to)
}

// request builds the handshake request for t.
func (d *dialer) request(t *handshake.Target) *handshake.Request {
	r := &handshake.Request{
		Target: t.URI, Host: t.Host(), Key: newKey(), Subprotocols: d.opts.Subprotocols, Header: d.header,
		Extensions: d.extensions,
	}
	if d.host != "" {
		r.Host = d.host
	}
	if d.opts.Jar == nil {
		return r
	}
	cookies := d.header["Cookie"]
	for _, c := range d.opts.Jar.Cookies(t.URL) {
		cookies = append(cookies[:len(cookies):len(cookies)], c.Name+"="+c.Value)
	}
	if len(cookies) > 0 {
		r.Header = d.header.Clone()
		r.Header["Cookie"] = []string{strings.Join(cookies, "; ")} // RFC 6265 §5.4: a single header field
	}
	return r
}
