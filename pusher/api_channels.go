package pusher

import (
	"context"
	"time"

	"github.com/handfast/handfast/hub"
)

const (
	pageSize  = 1000    // the maximum number of channels or members in one page
	maxListed = 4 << 20 // the maximum size of one response in bytes; the protocol does not divide lists into pages
)

// state returns the requested attributes of a channel. A negative value of subscribers means that their number is not known yet.
func (c *call) state(name string, a attributes, subscribers int) (state, error) {
	var st state
	ctx, cancel := context.WithTimeout(c.Context(), commandTimeout)
	defer cancel()
	if a.users && isPresence(name) {
		_, _, n, err := c.server.Hub.Members(ctx, c.app.ID, name, "", 0)
		if err != nil {
			return st, err
		}
		st.Users = &n
	}
	if a.subscriptions {
		if subscribers < 0 {
			var err error
			if subscribers, err = c.server.Hub.Subscribers(ctx, c.app.ID, hubName(name)); err != nil {
				return st, err
			}
		}
		st.Subscriptions = &subscribers
	}
	if a.cache {
		p, _, err := c.server.cached(ctx, c.app.ID, name)
		if err != nil {
			return st, err
		}
		if p != nil {
			data, _ := eventData(p).(string)
			st.Cache = &cacheState{data, int((cacheTTL - time.Since(p.Time)).Seconds())}
		}
	}
	return st, nil
}

// channels returns the channels that have subscribers.
func (c *call) channels() (any, error) {
	q := queryOf(c.URL.RawQuery)
	info, _ := q.get("info")
	prefix, _ := q.get("filter_by_prefix")
	a, err := parseInfo(info)
	switch {
	case err != nil:
		return nil, err
	case a.cache:
		return nil, badRequest("info has the attribute cache, which is for one channel only.")
	case a.users && !isPresence(prefix):
		return nil, badRequest("The attribute user_count requires a filter_by_prefix that begins with presence-.")
	}
	all, room := map[string]state{}, hub.NewRoom(maxListed)
	for after, more := "", true; more; {
		ctx, cancel := context.WithTimeout(c.Context(), commandTimeout)
		var page []hub.Occupied
		page, more, err = c.server.Hub.Occupied(ctx, c.app.ID, hubName(prefix), after, pageSize)
		cancel()
		if err != nil {
			return nil, err
		}
		more = more && len(page) > 0
		for _, o := range page {
			after = o.Channel
			name := wireName(o.Channel)
			if !room.Take(len(name)) {
				return nil, badRequest("Too many channels for one answer: use a longer filter_by_prefix.")
			}
			if all[name], err = c.state(name, a, o.Subscribers); err != nil {
				return nil, err
			}
		}
	}
	return map[string]any{"channels": all}, nil
}

// channel returns the state of a channel.
func (c *call) channel() (any, error) {
	name := c.PathValue("channel")
	info, _ := queryOf(c.URL.RawQuery).get("info")
	a, err := parseInfo(info)
	switch {
	case err != nil:
		return nil, err
	case !validChannel(name):
		return nil, badRequest("%q is not a valid name of a channel.", cut(name))
	case a.users && !isPresence(name):
		return nil, badRequest("The attribute user_count is for presence channels only.")
	case a.cache && !isCache(name):
		return nil, badRequest("The attribute cache is for cache channels only.")
	}
	n, err := c.server.Hub.Subscribers(c.Context(), c.app.ID, hubName(name))
	if err != nil {
		return nil, err
	}
	st, err := c.state(name, a, n)
	occupied := n > 0
	st.Occupied = &occupied
	return st, err
}

// users returns the members of a presence channel.
func (c *call) users() (any, error) {
	name := c.PathValue("channel")
	if !validChannel(name) || !isPresence(name) {
		return nil, badRequest("Only presence channels have users.")
	}
	type id struct {
		ID string `json:"id"`
	}
	all, room := []id{}, hub.NewRoom(maxListed)
	for cursor, more := "", true; more; more = cursor != "" {
		ctx, cancel := context.WithTimeout(c.Context(), commandTimeout)
		ms, next, _, err := c.server.Hub.Members(ctx, c.app.ID, name, cursor, pageSize)
		cancel()
		if err != nil {
			return nil, err
		}
		for _, m := range ms {
			if !room.Take(len(m.User)) {
				return nil, badRequest("The channel has too many users for one answer.")
			}
			all = append(all, id{m.User})
		}
		cursor = next
	}
	return map[string]any{"users": all}, nil
}

// connections returns the number of the application's connections on this node.
func (c *call) connections() (any, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return map[string]int{"connections": c.server.open.Taken(c.app.ID)}, nil
}

// terminate closes all connections of a user, on every node.
func (c *call) terminate() (any, error) {
	user := c.PathValue("user")
	if !validUser(user) {
		return nil, badRequest("The ID of a user must have 1 to %d bytes.", maxUser)
	}
	err := c.server.Hub.Do(c.Context(), hub.Command{Kind: hub.CommandDisconnect, App: c.app.ID, User: user, Reason: hub.EndDenied})
	return struct{}{}, err
}
