package config

import (
	"strings"
	"testing"
)

func TestHub(t *testing.T) {
	const endpoint = "endpoints: [{path: /x, target: %, auth: [anonymous]}]\n"
	for _, tt := range []struct{ target, hub, want string }{
		{"channels", "", ""},
		{"{channels: {app: shop}}", "hub: {namespaces: [{prefix: 'a:', rate: 3}, {prefix: 'b:'}]}", ""},
		{"{channels: {app: a/b}}", "", `endpoints[0].target.channels.app: "a/b" cannot be an application`},
		{"{channels: {app: ''}}", "", `endpoints[0].target.channels.app`},
		{"channels", "hub: {namespaces: [{prefix: a}, {prefix: a}]}", `hub.namespaces[1].prefix: hub.namespaces[0] has the prefix "a", too`},
		{"channels", "hub: {namespaces: [{burst: 3}]}", "hub.namespaces[0].burst: there is no rate"},
		{"channels", "hub: {namespaces: [{slow: never}]}", "hub.namespaces[0].slow"},
	} {
		c, err := Parse("f.yaml", []byte(strings.Replace(endpoint, "%", tt.target, 1)+tt.hub))
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s, %s: %v, want %s", tt.target, tt.hub, err, tt.want)
		case err == nil && (len(c.Hub.Namespaces) == 0 || c.Hub.Namespaces[0].History != 100 || c.Hub.Namespaces[0].Burst != c.Hub.Namespaces[0].Rate):
			t.Errorf("%+v", c.Hub)
		}
	}
}
