package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
)

// allow returns the Request.Allow of a client with the identity who. It records denied actions.
func (e *endpoint) allow(entry *registry.Entry, identity *atomic.Pointer[auth.Identity]) func(action, channel string) error {
	return func(action, channel string) error {
		_, err := e.rules.Authorize(identity.Load(), auth.Action{Do: action, Endpoint: e.cfg.Name, Channel: channel})
		if d, ok := errors.AsType[*auth.Denied](err); ok {
			e.rec.denied(entry, d)
		}
		return err
	}
}

// become returns the Request.Become of a client with the identity who.
func (e *endpoint) become(entry *registry.Entry, identity *atomic.Pointer[auth.Identity]) func(*auth.Identity) error {
	anonymous := identity.Load().Method == config.Anonymous
	return func(id *auth.Identity) error {
		if _, err := e.rules.Authorize(id, auth.Action{Do: "connect", Endpoint: e.cfg.Name}); err != nil {
			return err
		}
		if anonymous && id.Method != config.Anonymous { // otherwise the credential of the handshake determines when the connection ends
			next := *id
			next.Expires = time.Time{} // the target itself closes the connection when the credential expires
			if err := e.adm.conns.Become(entry, &next, e.bounds); err != nil {
				return err
			}
		}
		identity.Store(id)
		return nil
	}
}

// checkRevoked is the Request.CheckRevoked of a client.
func (e *endpoint) checkRevoked(ctx context.Context, id *auth.Identity) error {
	return auth.CheckRevoked(ctx, e.auth.store, id, "")
}

// renewal returns the Request.Renew of a client with the identity who. It does not keep the client's request.
func (e *endpoint) renewal(
	entry *registry.Entry, client netip.Addr, identity *atomic.Pointer[auth.Identity],
) func(context.Context, string) (*auth.Identity, error) {
	return func(ctx context.Context, token string) (*auth.Identity, error) {
		ctx, cancel := context.WithTimeout(ctx, authTimeout)
		defer cancel()
		r := &http.Request{
			Method: http.MethodGet, URL: &url.URL{Path: e.cfg.Path}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Authorization": {"Bearer " + token}}, RemoteAddr: netip.AddrPortFrom(client, 0).String(),
		}
		r = r.WithContext(context.WithValue(ctx, viaKey{}, &via{client: client, site: e.adm.site()}))
		began := time.Now()
		id, err := e.authenticate(r)
		e.rec.authenticated(id, err, time.Since(began))
		if err != nil {
			return nil, err
		}
		if _, err := e.rules.Authorize(id, auth.Action{Do: "connect", Endpoint: e.cfg.Name}); err != nil {
			return nil, err
		}
		next := auth.Identity{Subject: id.Subject, Method: id.Method, ID: id.ID, Issued: id.Issued}
		if e.cfg.Expiry.Close {
			next.Expires = id.Expires
		}
		if err := entry.Renew(&next); err != nil {
			return nil, err
		}
		identity.Store(id)
		return &next, nil
	}
}
