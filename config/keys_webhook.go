package config

import (
	"fmt"
	"slices"

	"github.com/handfast/handfast/config/internal/tree"
)

// The formats of webhooks.
const (
	WebhookHandfast = "handfast"
	WebhookPusher   = "pusher"
)

// Webhook is an HTTP service to which the events of an application's channels are posted.
type Webhook struct {
	// The application, one of apps. Empty means the first one.
	App string `yaml:"app" example:"shop"`

	// The URL for the events.
	URL string `yaml:"url" required:"true" example:"https://shop.example.com/events"`

	// The certificate authority of an https url, if it is not a public one: a PEM file.
	CA Path `yaml:"ca"`

	// The secret that signs the requests. Empty means the secret of the application.
	Secret Secret `yaml:"secret"`

	// The events to send. Empty means all events of the format.
	Events []string `yaml:"events" enum:"connected|disconnected|subscribed|unsubscribed|published|member_added|member_removed|occupied|vacated|cache_miss|subscription_count"`

	// The format of the requests. handfast: all events, in JSON; pusher: the webhooks of Pusher Channels, which have published (client
	// events only), member_added, member_removed, occupied, vacated, cache_miss and subscription_count. cache_miss and subscription_count
	// require the target pusher, and subscription_count also its key subscription_counts.
	Format string `yaml:"format" enum:"handfast|pusher" default:"handfast"`

	// The time limit for one request. A failed request is retried for five minutes.
	Timeout Duration `yaml:"timeout" default:"10s" min:"100ms" max:"1m"`
}

// PusherEvents returns the events of the format pusher.
func PusherEvents() []string {
	return []string{"published", "member_added", "member_removed", "occupied", "vacated", "cache_miss", "subscription_count"}
}

func (k *checker) webhook(w *Webhook, path string) {
	if w.URL != "" {
		k.receiver(w.URL, path+".url")
	}
	k.checkAppExists(w.App, path+".app")
	if w.Format != WebhookPusher {
		return
	}
	for i, e := range w.Events {
		if !slices.Contains(PusherEvents(), e) {
			k.tree.Wrong(fmt.Sprintf("%s.events[%d]", path, i), "the format pusher does not support "+tree.Quote(e), tree.OneOf(PusherEvents()))
		}
	}
}

// receiver checks the URL of a service that receives signed requests.
func (k *checker) receiver(text, path string) {
	if u := k.url(text, path, "http", "https"); u != nil && u.User != nil {
		k.tree.Wrong(path, "the URL contains a user or a password", "a URL without credentials: requests are signed")
	}
}
