package pusher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/handfast/handfast/hub"
)

const (
	maxChannels            = 100 // the maximum number of channels of one event
	maxBatch               = 10  // the maximum number of events in one call
	maxConcurrentPublishes = 16  // the maximum number of channels that one call publishes to concurrently
)

// triggered is an event that an application publishes.
type triggered struct {
	Name     string          `json:"name"`
	Data     json.RawMessage `json:"data"`
	Channels []string        `json:"channels"`
	Channel  string          `json:"channel"`
	SocketID string          `json:"socket_id"`
	Info     string          `json:"info"`
}

// attributes are the attributes of channels that a caller requests.
type attributes struct{ users, subscriptions, cache bool }

// parseInfo parses the parameter info.
func parseInfo(text string) (a attributes, err error) {
	for name := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(name) {
		case "":
		case "user_count":
			a.users = true
		case "subscription_count":
			a.subscriptions = true
		case "cache":
			a.cache = true
		default:
			return a, badRequest("info has an unknown attribute; want user_count, subscription_count or, for one channel, cache.")
		}
	}
	return a, nil
}

// state contains the attributes of a channel.
type state struct {
	Occupied      *bool       `json:"occupied,omitempty"`
	Users         *int        `json:"user_count,omitempty"`
	Subscriptions *int        `json:"subscription_count,omitempty"`
	Cache         *cacheState `json:"cache,omitempty"`
}

type cacheState struct {
	Data string `json:"data"`
	TTL  int    `json:"ttl"` // in seconds
}

// events publishes an event in one or more channels.
func (c *call) events() (any, error) {
	var e triggered
	if err := json.Unmarshal(c.body, &e); err != nil {
		return nil, badRequest("The body is not a JSON object of an event: %s.", describeJSONError(err))
	}
	if e.Channel != "" && len(e.Channels) == 0 {
		e.Channels = []string{e.Channel}
	}
	asked, err := c.check(&e)
	if err != nil {
		return nil, err
	}
	if err := c.publish(&e); err != nil {
		return nil, err
	}
	if asked == (attributes{}) {
		return struct{}{}, nil
	}
	states := make(map[string]state, len(e.Channels))
	for _, name := range e.Channels {
		if states[name], err = c.state(name, asked, -1); err != nil {
			return nil, err
		}
	}
	return map[string]any{"channels": states}, nil
}

// batch publishes several events, each in one channel, in order.
func (c *call) batch() (any, error) {
	var b struct {
		Batch []triggered `json:"batch"`
	}
	if err := json.Unmarshal(c.body, &b); err != nil {
		return nil, badRequest("The body is not a JSON object with a batch: %s.", describeJSONError(err))
	}
	if len(b.Batch) == 0 || len(b.Batch) > maxBatch {
		return nil, badRequest("A batch must have 1 to %d events: this one has %d.", maxBatch, len(b.Batch))
	}
	asked, asks := make([]attributes, len(b.Batch)), false
	for i := range b.Batch {
		e := &b.Batch[i]
		e.Channels = []string{e.Channel}
		var err error
		if asked[i], err = c.check(e); err != nil {
			return nil, err
		}
		asks = asks || asked[i] != attributes{}
	}
	states := make([]state, len(b.Batch))
	for i := range b.Batch {
		if err := c.publish(&b.Batch[i]); err != nil {
			return nil, err
		}
		if asked[i] != (attributes{}) {
			var err error
			if states[i], err = c.state(b.Batch[i].Channel, asked[i], -1); err != nil {
				return nil, err
			}
		}
	}
	if !asks {
		return struct{}{}, nil
	}
	return map[string]any{"batch": states}, nil
}

// check checks an event, and returns the attributes that are requested for its channels.
func (c *call) check(e *triggered) (attributes, error) {
	none := attributes{}
	switch {
	case e.Name == "" || len(e.Name) > maxName:
		return none, badRequest("The name of an event must have 1 to %d bytes.", maxName)
	case reserved(e.Name):
		return none, badRequest("Names that begin with pusher: or pusher_internal: are reserved for the protocol.")
	case len(e.Data) == 0 || string(e.Data) == "null":
		return none, badRequest("The event has no data.")
	case len(e.Channels) == 0 || len(e.Channels) > maxChannels:
		return none, badRequest("An event must have 1 to %d channels: this one has %d.", maxChannels, len(e.Channels))
	case e.SocketID != "" && !socketName.MatchString(e.SocketID):
		return none, badRequest("The socket_id is not of the form 123.456.")
	}
	for _, name := range e.Channels {
		if !validChannel(name) {
			return none, badRequest("%q is not a valid name of a channel: it has 1 to %d letters, digits and _-=@,.; .", cut(name), maxName)
		}
		if isEncrypted(name) && len(e.Channels) > 1 {
			return none, badRequest("An event for an encrypted channel must be for that channel only.")
		}
	}
	e.Data = unwrap(e.Data)
	if len(e.Data) > c.server.maxData() {
		return none, apiError{http.StatusRequestEntityTooLarge, fmt.Sprintf("The data of an event has at most %d bytes: this has %d.",
			c.server.maxData(), len(e.Data))}
	}
	a, err := parseInfo(e.Info)
	if a.cache {
		err = badRequest("info has the attribute cache, which is for GET /channels/{channel} only.")
	}
	return a, err
}

// cut cuts a name to the maximum length.
func cut(name string) string { return name[:min(len(name), maxName)] }

// publish publishes an event in its channels.
func (c *call) publish(e *triggered) error {
	turns := make(chan struct{}, maxConcurrentPublishes)
	var wg sync.WaitGroup
	failed := make([]error, len(e.Channels))
	seen := map[string]bool{}
	for i, name := range e.Channels {
		if seen[name] {
			continue
		}
		seen[name] = true
		turns <- struct{}{}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(hub.WithTraceparent(c.Context(), c.Header.Get("Traceparent")), commandTimeout)
			defer cancel()
			_, failed[i] = c.server.Hub.Publish(ctx, c.app.ID, hubName(name), &hub.Publication{Event: e.Name, Data: e.Data, NotTo: e.SocketID}, nil)
			<-turns
		})
	}
	wg.Wait()
	err := errors.Join(failed...)
	if errors.Is(err, hub.ErrTooBig) {
		return apiError{http.StatusRequestEntityTooLarge, "The data of the event is larger than the channel allows."}
	}
	return err
}
