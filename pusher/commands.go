package pusher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// subscribe subscribes to a channel, if the client is allowed to.
func (s *session) subscribe(ctx context.Context, r *request) error {
	if !validChannel(r.Channel) {
		return fault{kind: "InvalidChannel", code: 400, channel: r.Channel,
			message: "The name of the channel is not valid: it has 1 to 200 letters, digits and _-=@,.; ."}
	}
	name := hubName(r.Channel)
	if s.hub.Subscribed(name) {
		return fault{message: "Existing subscription to channel " + r.Channel, channel: r.Channel}
	}
	o, err := s.admit(r)
	if err != nil {
		return err
	}
	if isPresence(r.Channel) {
		if err := s.checkRoom(ctx, name, o.User); err != nil {
			return s.subscriptionFault(r.Channel, err)
		}
	}
	a, err := s.replyTo(ctx, r, &o)
	if err == nil {
		err = s.subscribeWith(ctx, o, a)
	}
	if err != nil {
		return s.subscriptionFault(r.Channel, err)
	}
	s.count(name)
	return nil
}

// subscribeWith subscribes to a channel with options.
func (s *session) subscribeWith(ctx context.Context, o hub.SubscribeOptions, a *reply) error {
	if o.Since != nil {
		if err := s.recover(ctx, o, a); !errors.Is(err, errUnrecoverable) {
			return err
		}
		o.Since, o.MissedBytes = nil, 0
	}
	if isCache(a.name) {
		return s.subscribeCached(ctx, o, a)
	}
	return s.hub.Subscribe(ctx, a.name, o, func(r *hub.Recovered) error { return s.sendSucceeded(a, r) })
}

// admit checks the signature of a subscription, and returns its options.
func (s *session) admit(r *request) (o hub.SubscribeOptions, err error) {
	presence := isPresence(r.Channel)
	if !presence && !isPrivate(r.Channel) {
		return o, nil
	}
	no := fault{kind: "AuthError", code: 401, channel: r.Channel}
	if !s.app.authorized(r.Auth, channelText(s.id, r.Channel, r.ChannelData)) {
		no.message = "The signature is not valid: auth is the key, a colon, and HMAC-SHA256 of the socket ID, the channel and any channel_data."
		return o, no
	}
	if !presence {
		return o, nil
	}
	o.Member, o.Changes, o.Members, o.MembersBytes = true, true, s.server.maxMembers(), maxListed
	switch {
	case r.ChannelData != "":
		if o.User, o.Data, err = parseMember(r.ChannelData); err != nil {
			no.message = "The channel_data of a presence channel is an object with user_id, a string or a number, and optional user_info."
			return o, no
		}
	case s.user == "":
		no.message = "A presence channel requires channel_data, or a user that has signed in."
		return o, no
	}
	if err := s.allow(hub.ActionPresence, r.Channel); err != nil {
		return o, s.subscriptionFault(r.Channel, err)
	}
	return o, nil
}

var (
	errFull  = errors.New("pusher: the presence channel is full")
	errLarge = errors.New("pusher: the members do not fit into one message")
)

// checkRoom returns errFull if the channel has the maximum number of members, and the user is not one of them.
func (s *session) checkRoom(ctx context.Context, channel, user string) error {
	if user == "" {
		user = s.user
	}
	most := s.server.maxMembers()
	for cursor := ""; ; {
		ms, next, users, err := s.server.Hub.Members(ctx, s.app.ID, channel, cursor, most)
		if err != nil || users < most || slices.ContainsFunc(ms, func(m hub.Member) bool { return m.User == user }) {
			return err
		}
		if most -= len(ms); next == "" || most <= 0 {
			return errFull
		}
		cursor = next
	}
}

// subscriptionFault returns the error for a client that cannot subscribe.
func (s *session) subscriptionFault(channel string, err error) error {
	if end, ok := errors.AsType[closing](err); ok {
		return end
	}
	f := fault{kind: "ServerError", code: 503, channel: channel, message: "Temporarily unavailable: try again later."}
	var no denied
	switch {
	case errors.As(err, &no):
		f.kind, f.code, f.message = "AuthError", 403, "This is not allowed."
	case errors.Is(err, hub.ErrNotYours):
		f.kind, f.code, f.message = "AuthError", 401, "The channel belongs to another user: sign in as that user first."
	case errors.Is(err, hub.ErrTooMany):
		f.kind, f.code, f.message = "LimitReached", int(CodeOverQuota), "The limit on subscriptions is reached."
	case errors.Is(err, errLarge):
		f.kind, f.code, f.message = "LimitReached", int(CodeOverQuota), "The data of the channel's members is too large: make user_info smaller."
	case errors.Is(err, errFull):
		f.kind, f.code, f.message = "LimitReached", int(CodeOverQuota), "The channel has "+strconv.Itoa(s.server.maxMembers())+" members, which is its maximum."
	}
	return f
}

// sendSucceeded sends the reply to a subscription, and the messages that must follow it directly.
func (s *session) sendSucceeded(a *reply, r *hub.Recovered, behind ...*websocket.Prepared) error {
	if s.replies.Waiting() {
		return websocket.ErrQueueFull
	}
	data := succeeded{Position: a.position(r)}
	if a.since != nil {
		data.Recovered = &a.recovered
	}
	if isPresence(a.name) {
		if r.Next != "" && len(r.Members) < s.server.maxMembers() {
			return errLarge
		}
		data.Presence = rosterOf(r)
	}
	first, err := prepare(&event{Event: "pusher_internal:subscription_succeeded", Channel: wireName(a.name), Data: jsonText(data)})
	if err != nil {
		return err
	}
	return s.out.SendPrepared(append([]*websocket.Prepared{first}, behind...)...)
}

// succeeded is the data of pusher_internal:subscription_succeeded.
type succeeded struct {
	Presence  *roster   `json:"presence,omitempty"`
	Position  *position `json:"position,omitempty"`
	Recovered *bool     `json:"recovered,omitempty"` // only for a client that has sent its position
}

// roster contains the members of a channel.
type roster struct {
	Count int                        `json:"count"`
	IDs   []string                   `json:"ids"`
	Hash  map[string]json.RawMessage `json:"hash"` // the data of each member
}

func rosterOf(r *hub.Recovered) *roster {
	all := &roster{Count: r.Users, IDs: make([]string, len(r.Members)), Hash: make(map[string]json.RawMessage, len(r.Members))}
	for i, m := range r.Members {
		all.IDs[i], all.Hash[m.User] = m.User, asJSON(m.Data)
	}
	slices.Sort(all.IDs)
	return all
}

// cacheTries is the maximum number of attempts to subscribe to a cache channel while events are published in it.
const cacheTries = 10

var errCacheBehind = errors.New("pusher: the cache does not have all publications")

// subscribeCached subscribes to a cache channel: the reply is followed by the channel's last event.
func (s *session) subscribeCached(ctx context.Context, o hub.SubscribeOptions, a *reply) error {
	var err error
	name := a.name
	for try := range cacheTries {
		cached, top, failed := s.server.cached(ctx, s.app.ID, name)
		if failed != nil {
			return failed
		}
		if top != (hub.Position{}) {
			o.Since = &top
		}
		err = s.hub.Subscribe(ctx, name, o, func(r *hub.Recovered) error {
			if r.More || r.Err != nil && try < cacheTries-1 {
				return errCacheBehind
			}
			if n := len(r.Publications); n > 0 {
				cached = r.Publications[n-1]
			}
			return s.sendSucceeded(a, r, cacheMessage(name, cached))
		})
		if err == nil && cached == nil {
			s.server.reportCacheMiss(s.app.ID, name)
		}
		if !errors.Is(err, errCacheBehind) {
			return err
		}
	}
	return err
}

// cached returns the last event of a cache channel, or nil if there is none, and the position of the channel. The zero position means
// that the engine keeps no history.
func (s *Server) cached(ctx context.Context, app, name string) (*hub.Publication, hub.Position, error) {
	page, err := s.Hub.History(ctx, app, name, hub.HistoryQuery{Limit: 1, Reverse: true})
	if errors.Is(err, hub.ErrUnsupported) {
		return nil, hub.Position{}, nil
	}
	if err != nil {
		return nil, hub.Position{}, err
	}
	if len(page.Publications) == 0 {
		return nil, page.Top, nil
	}
	p := page.Publications[0]
	if now := time.Now(); p.Expired(now) || now.Sub(p.Time) >= cacheTTL {
		p = nil
	}
	return p, page.Top, nil
}

// cacheMessage returns the message with the last event of a cache channel, or pusher:cache_miss if cached is nil.
func cacheMessage(name string, cached *hub.Publication) *websocket.Prepared {
	if cached != nil {
		if m, err := (codec{}).Publication(name, cached, nil); err == nil {
			return m
		}
	}
	m, _ := prepare(&event{Event: "pusher:cache_miss", Channel: wireName(name)}) // encoding strings does not fail
	return m
}

func (s *session) unsubscribe(r *request) error {
	name := hubName(r.Channel)
	if s.hub.Unsubscribe(name) != nil {
		return fault{message: "No current subscription to channel " + r.Channel, channel: r.Channel}
	}
	s.count(name)
	return nil
}

// signIn authenticates the client as a user.
func (s *session) signIn(ctx context.Context, r *request) error {
	var u user
	switch {
	case !s.app.authorized(r.Auth, userText(s.id, r.UserData)):
		return closing{CodeUnauthorized, "The signature of the sign-in is not valid."}
	case json.Unmarshal([]byte(r.UserData), &u) != nil || !validUser(u.ID):
		return closing{CodeUnauthorized, "The user_data of a sign-in is an object with id, a string of 1 to 128 bytes."}
	case s.user != "" && s.user != u.ID:
		return closing{CodeUnauthorized, "The connection belongs to another user."}
	}
	if err := s.identified(ctx, u.ID); err != nil {
		return err
	}
	s.user = u.ID
	s.hub.SetUser(u.ID, infoOf(u.UserInfo))
	s.reply(&event{Event: "pusher:signin_success", Data: jsonText(map[string]string{"user_data": r.UserData})})
	return s.watch(ctx, u.Watchlist)
}

// identified sets the user of a client that does not have one yet.
func (s *session) identified(ctx context.Context, user string) error {
	if s.user != "" || s.client.Identified == nil {
		return nil
	}
	err := s.client.Identified(ctx, user)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrRevoked):
		return closing{CodeOverCapacity, "The user was revoked after the connection began: sign in on a new one."}
	case errors.Is(err, ErrTooMany):
		return closing{CodeOverQuota, "The user has too many connections."}
	}
	return closing{CodeUnauthorized, "The user may not connect."}
}

// publish publishes a client event.
func (s *session) publish(ctx context.Context, now time.Time, c *command) error {
	rejected := func(why string) error {
		return fault{message: "Client event rejected - " + why, channel: c.Channel}
	}
	switch {
	case !s.server.ClientEvents:
		return rejected("client events are not enabled")
	case len(c.Event) > maxName || c.Event == "client-":
		return rejected("the name of an event has 1 to 200 bytes")
	case !validChannel(c.Channel) || !isPrivate(c.Channel) && !isPresence(c.Channel):
		return rejected("only supported on private and presence channels")
	case isEncrypted(c.Channel):
		return rejected("not supported on encrypted channels")
	case !s.hub.Subscribed(c.Channel):
		return rejected("no current subscription to the channel")
	case len(c.Data) > s.server.maxData():
		return rejected("the data is larger than " + strconv.Itoa(s.server.maxData()) + " bytes")
	}
	if ok, _ := s.eventRate.Allow(now, clientEventsPerSecond, clientEventsPerSecond); !ok {
		return fault{code: int(CodeTooManyEvents), channel: c.Channel, message: "Client event rejected - more than " +
			strconv.Itoa(clientEventsPerSecond) + " per second"}
	}
	p := &hub.Publication{Event: c.Event, Data: bytes.Clone(unwrap(c.Data)), NotTo: s.id}
	var o *hub.PublishOptions
	if isCache(c.Channel) {
		o = &hub.PublishOptions{History: -1} // only events of the application are kept in the cache
	}
	_, err := s.hub.Publish(ctx, c.Channel, p, o)
	var no denied
	switch {
	case errors.As(err, &no):
		return rejected("not allowed")
	case errors.Is(err, hub.ErrTooFast):
		return fault{code: int(CodeTooManyEvents), channel: c.Channel, message: "Client event rejected - too many per second"}
	case errors.Is(err, hub.ErrTooBig):
		return rejected("the data is too large")
	}
	return err
}
