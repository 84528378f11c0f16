package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/webhook"
)

// webhookGrace is how long the server waits at shutdown until queued events are sent. By then the hub has waited for its disconnect events.
const webhookGrace = 2 * time.Second

// webhooks are the senders of a server. They start before its hub and end after it.
type webhooks []appWebhook

type appWebhook struct {
	app    string
	sender *webhook.Sender
}

// openWebhooks starts the senders of a configuration; it returns none if no webhooks are configured.
func openWebhooks(cfg *config.Config, log *slog.Logger) (webhooks, error) {
	var all webhooks
	for i := range cfg.Webhooks {
		o, err := webhookOptions(cfg, i)
		if err == nil {
			number := strconv.Itoa(i)
			o.Failed = func(err error) { log.Warn(observe.EventWebhook, observe.KeyWebhook, number, observe.KeyError, err) }
			var sender *webhook.Sender
			if sender, err = webhook.New(o); err == nil {
				all = append(all, appWebhook{cfg.Webhooks[i].App, sender})
				continue
			}
		}
		all.close(0)
		return nil, cfg.Problem("webhooks["+strconv.Itoa(i)+"]", err.Error(), "")
	}
	return all, nil
}

func webhookOptions(cfg *config.Config, i int) (webhook.Options, error) {
	c := cfg.Webhooks[i]
	n := slices.IndexFunc(cfg.Apps, func(a config.App) bool { return a.ID == c.App })
	if n < 0 {
		return webhook.Options{}, errors.New("the application of the webhook is not in apps")
	}
	app, secret := cfg.Apps[n], c.Secret
	if secret.Empty() {
		secret = app.Secret
	}
	o := webhook.Options{URL: c.URL, Timeout: time.Duration(c.Timeout), Kinds: webhookKinds(c.Events)}
	switch c.Format {
	case config.WebhookPusher:
		o.Format = webhook.Pusher{Key: app.Key, Secret: []byte(secret.Reveal())}
		o.Kinds = webhookKinds(c.Events, config.PusherEvents()...)
	default:
		o.Format = webhook.JSON{Secret: []byte(secret.Reveal())}
	}
	if c.CA == "" {
		return o, nil
	}
	transport, err := transportFor(string(c.CA))
	if err == nil {
		o.Transport = transport
	}
	return o, err
}

// webhookKinds returns the kinds of events whose names are in names or, if names is empty, in otherwise. It returns nil if both are empty.
func webhookKinds(names []string, otherwise ...string) []hub.EventKind {
	if len(names) == 0 {
		names = otherwise
	}
	var kinds []hub.EventKind
	for k := hub.EventConnected; k <= hub.EventSubscriptionCount; k++ {
		if slices.Contains(names, k.String()) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// events returns the function that receives events, or nil if there are no webhooks.
func (all webhooks) events() func(hub.Event) {
	if len(all) == 0 {
		return nil
	}
	return all.event
}

// event passes an event to the senders of its application. The event's Done is called when every sender has finished with it.
func (all webhooks) event(e hub.Event) {
	left := new(atomic.Int32)
	for _, w := range all {
		if w.app == e.App {
			left.Add(1)
		}
	}
	if done := e.Done; done != nil && left.Load() == 0 {
		done()
	} else if done != nil {
		e.Done = func() {
			if left.Add(-1) == 0 {
				done()
			}
		}
	}
	for _, w := range all {
		if w.app == e.App {
			w.sender.Event(e)
		}
	}
}

// close closes the senders, within grace.
func (all webhooks) close(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var wg sync.WaitGroup
	for _, w := range all {
		wg.Go(func() { w.sender.Close(ctx) }) //nolint:errcheck // events that are not sent in time are lost, as documented
	}
	wg.Wait()
}

// counts returns the counters of the senders, for the metrics.
func (all webhooks) counts() []observe.Webhook {
	var out []observe.Webhook
	for i, w := range all {
		n := w.sender.Stats()
		out = append(out, observe.Webhook{
			App: w.app, Number: strconv.Itoa(i), Sent: n.Sent, Failed: n.Failed, Dropped: n.Dropped, Waiting: n.Waiting,
		})
	}
	return out
}
