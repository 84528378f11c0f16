package centrifugo

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
)

// connect authenticates the client, and subscribes the client to the channels of the token. Messages of these subscriptions are sent after
// the reply.
func (s *session) connect(ctx context.Context, c *protocol.ConnectRequest) (*protocol.ConnectResult, error) {
	t, expires, err := s.authenticate(ctx, c.Token)
	if err != nil {
		return nil, err
	}
	user, info := s.client.User, s.client.Info
	if t != nil {
		user = t.User
		if t.Info != nil {
			info = t.Info
		}
	}
	joined, err := s.server.Hub.Join(hub.Client{
		App: s.server.App, ID: s.id, User: user, Data: info, Out: &s.out, Codec: s.format, Allow: s.allow, Command: s.handleCommand,
	})
	if err != nil {
		return nil, endShutdown
	}
	s.hub, s.token = joined, t
	r := &protocol.ConnectResult{
		Client: s.id, Version: s.server.Version, Ping: uint32(pingInterval / time.Second), Pong: true, Session: s.secret,
	}
	if s.secret != "" {
		r.Node = s.id
	}
	if !expires.IsZero() {
		r.Expires, r.Ttl = true, secondsUntil(expires)
		if t != nil {
			s.clock.expire(expires)
		}
	}
	s.out.hold()
	if t != nil {
		r.Subs = map[string]*protocol.SubscribeResult{}
		for _, channel := range t.channels() {
			sub, err := s.subscribe(ctx, &request{
				channel: channel, serverOwned: t.Subs[channel], since: since(c.Subs[channel]), granted: true,
			})
			if err != nil {
				return nil, closeErrorOf(err)
			}
			r.Subs[channel] = sub
		}
	}
	s.clock.connected()
	return r, nil
}

// closeErrorOf returns the error that closes a connection whose first subscriptions have failed. The close code determines whether
// the client reconnects.
func closeErrorOf(err error) error {
	switch failureOf(err) {
	case errInternal:
		return endServerError
	case errLimit:
		return endChannels
	}
	return endBadRequest
}

// channels returns the channels to which the token subscribes the connection.
func (t *Token) channels() []string {
	all := slices.Clone(t.Channels)
	for channel := range t.Subs {
		all = append(all, channel)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// authenticate returns the token that identifies the client, and the expiry of the credential. The token is nil if the handshake has
// identified the client.
func (s *session) authenticate(ctx context.Context, text string) (*Token, time.Time, error) {
	if text == "" {
		if s.client.User == "" && !s.client.Anonymous {
			return nil, time.Time{}, endToken
		}
		if e := s.client.Expires; !e.IsZero() && !time.Now().Before(e) {
			return nil, time.Time{}, errExpired
		}
		return nil, s.client.Expires, nil
	}
	t, err := s.verify(ctx, text)
	if err != nil {
		return nil, time.Time{}, err
	}
	if s.client.User != "" && t.User != s.client.User {
		return nil, time.Time{}, endToken
	}
	if err := s.identified(t); err != nil {
		return nil, time.Time{}, err
	}
	return t, t.Expires, nil
}

// verify returns the token in text if it is valid and not revoked.
func (s *session) verify(ctx context.Context, text string) (*Token, error) {
	t, err := s.server.verify(text)
	if err == nil && s.client.CheckRevoked != nil {
		err = s.client.CheckRevoked(ctx, t)
	}
	switch {
	case errors.Is(err, errExpiredToken), errors.Is(err, ErrRevoked):
		return nil, errTokenExpired
	case errors.Is(err, errInvalidToken):
		return nil, endToken
	case err != nil:
		return nil, err
	}
	return t, nil
}

// identified sets the user of the client to that of a token.
func (s *session) identified(t *Token) error {
	if s.client.Identified == nil {
		return nil
	}
	err := s.client.Identified(t)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrRevoked):
		return errTokenExpired
	case errors.Is(err, ErrTooMany):
		return endTooMany
	}
	return endDenied
}

// refresh renews the credential of the connection.
func (s *session) refresh(ctx context.Context, c *protocol.RefreshRequest) (*protocol.RefreshResult, error) {
	if c.Token == "" {
		return nil, endBadRequest
	}
	expires := time.Time{}
	if s.token == nil {
		if s.client.Refresh == nil {
			return nil, errNotAvailable
		}
		var err error
		if expires, err = s.client.Refresh(ctx, c.Token); err != nil {
			return nil, endToken
		}
	} else {
		t, err := s.verify(ctx, c.Token)
		switch {
		case errors.Is(err, errTokenExpired):
			return nil, endExpired
		case err != nil:
			return nil, err
		case t.User != s.token.User:
			return nil, endToken
		}
		if err := s.identified(t); err != nil {
			return nil, err
		}
		s.token, expires = t, t.Expires
		if t.Info != nil {
			s.hub.SetUser(t.User, t.Info)
		}
		s.clock.expire(expires)
	}
	s.hub.Recheck(func(channel string) bool { return s.grants[channel] })
	for _, channel := range s.watches.endWhere(func(channel, of string) bool {
		return !s.grants[channel] && s.allow(hub.ActionPresence, of) != nil
	}) {
		s.out.reply(&protocol.Reply{Push: &protocol.Push{Channel: channel, Unsubscribe: unsubscribePush(hub.EndDenied)}})
	}
	r := &protocol.RefreshResult{Client: s.id, Version: s.server.Version}
	if !expires.IsZero() {
		r.Expires, r.Ttl = true, secondsUntil(expires)
	}
	return r, nil
}

// subscriptionToken returns a subscription token if it is for this client and this channel.
func (s *session) subscriptionToken(ctx context.Context, text, channel string) (*Token, error) {
	t, err := s.verify(ctx, text)
	switch {
	case errors.Is(err, endToken):
		return nil, errDenied
	case err != nil:
		return nil, err
	case t.Channel != channel, t.User != s.user(), t.Client != "" && t.Client != s.id:
		return nil, errDenied
	}
	return t, nil
}

// subRefresh renews the token of a subscription.
func (s *session) subRefresh(ctx context.Context, c *protocol.SubRefreshRequest) (*protocol.SubRefreshResult, error) {
	switch {
	case c.Channel == "":
		return nil, endBadRequest
	case c.Type != 0:
		return nil, errNotAvailable
	case !s.subscribed(c.Channel):
		return nil, errDenied
	}
	t, err := s.subscriptionToken(ctx, c.Token, c.Channel)
	if err != nil {
		return nil, err
	}
	s.clock.expireSub(c.Channel, t.Expires)
	r := new(protocol.SubRefreshResult)
	if !t.Expires.IsZero() {
		r.Expires, r.Ttl = true, secondsUntil(t.Expires)
	}
	return r, nil
}
