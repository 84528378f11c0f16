package config

import (
	"strings"
	"testing"
)

func TestWebhooksKeys(t *testing.T) {
	const rest = "endpoints: [{path: /x, target: channels, auth: [anonymous]}]\napps: [{id: shop, secret: hunter2}, {id: other, secret: s}]\n"
	for _, tt := range []struct{ hook, want string }{
		{"{url: 'https://shop.test/events', secret: hunter2, events: [published, occupied], timeout: 3s}", ""},
		{"{url: 'http://shop.test', app: other, format: pusher, events: [occupied]}", ""},
		{"{app: shop}", "webhooks[0].url: required"},
		{"{url: shop.test}", "webhooks[0].url: not a URL"},
		{"{url: 'ftp://shop.test/'}", `webhooks[0].url: the scheme of the URL is "ftp"`},
		{"{url: 'https://ann:hunter2@shop.test/'}", "webhooks[0].url: the URL contains a user or a password"},
		{"{url: 'https://shop.test', app: shp}", `webhooks[0].app: "shp" is not an application under apps; did you mean shop?`},
		{"{url: 'https://shop.test', events: [publishd]}", "webhooks[0].events"},
		{"{url: 'https://shop.test', format: xml}", "webhooks[0].format"},
		{"{url: 'https://shop.test', format: pusher, events: [occupied, connected]}", `webhooks[0].events[1]: the format pusher does not support "connected"`},
		{"{url: 'https://shop.test', timeout: 0s}", "webhooks[0].timeout"},
	} {
		c, err := Parse("f.yaml", []byte(rest+"webhooks: ["+tt.hook+"]\n"))
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %s", tt.hook, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"), err == nil && strings.Contains(c.YAML(), "hunter2"):
			t.Errorf("%s: the secret is shown: %v", tt.hook, err)
		case err == nil && (c.Webhooks[0].App == "" || c.Webhooks[0].Format == ""):
			t.Errorf("%+v", c.Webhooks)
		}
	}
	_, err := Parse("f.yaml", []byte("endpoints: [{path: /x, target: echo, auth: [anonymous]}]\nwebhooks: [{url: 'https://shop.test'}]\n"))
	if err == nil || !strings.Contains(err.Error(), "webhooks[0].app: there are no applications") {
		t.Error(err)
	}
}
