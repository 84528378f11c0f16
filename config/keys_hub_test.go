package config

import (
	"strings"
	"testing"
)

func TestHub(t *testing.T) {
	const endpoint = "endpoints: [{path: /x, target: %, auth: [anonymous]}]\n"
	const apps = "apps: [{id: shop, secret: s}, {id: other, key: k, secret: s}]\n"
	for _, tt := range []struct{ target, rest, want string }{
		{"channels", apps, ""},
		{"channels", "", "f.yaml:1:32: endpoints[0].target.channels.app: there are no applications; expected apps"},
		{"{channels: {app: dev}}", "", "endpoints[0].target.channels.app: there are no applications"},
		{"{channels: {app: shop}}", apps + "hub: {engine: memory, namespaces: [{prefix: 'a:', rate: 3}, {prefix: 'b:'}]}", ""},
		{"{channels: {app: shp}}", apps, `f.yaml:1:49: endpoints[0].target.channels.app: "shp" is not an application under apps; did you mean shop?`},
		{"channels", apps + "hub: {namespaces: [{prefix: a}, {prefix: a}]}", `hub.namespaces[1].prefix: hub.namespaces[0] has the same prefix, "a"`},
		{"channels", apps + "hub: {namespaces: [{burst: 3}]}", "hub.namespaces[0].burst: a burst without a rate has no effect"},
		{"channels", apps + "hub: {namespaces: [{prefix: ''}, {prefix: 'a:', burst: 1}]}", "hub.namespaces[1].burst: a burst without a rate has no effect"},
		{"channels", apps + "hub: {namespaces: [{slow: never}]}", "hub.namespaces[0].slow"},
		{"channels", apps + "hub: {engine: memry}", `f.yaml:3:15: hub.engine: "memry" is not an allowed kind; did you mean memory?`},
		{"channels", apps + "hub: {engine: {redis: {url: 'http://:hunter2@x'}}}", `f.yaml:3:29: hub.engine.redis.url: the scheme of the URL is "http"; expected a URL`},
		{"channels", apps + "hub: {engine: {redis: {url: ''}}}", "hub.engine.redis.url: required"},
		{"channels", apps + "hub: {engine: {redis: {prefix: ''}}}", "hub.engine.redis.prefix: empty"},
		{"channels", apps + "hub: {engine: {redis: {db: 3}}}", "hub.engine.redis.db: there is no such key"},
		{"channels", apps + "hub: {engine: {memory: {size: 3}}}", "hub.engine.memory.size: there is no such key"},
		{"pusher", "", "endpoints[0].target: there are no applications"},
	} {
		c, err := Parse("f.yaml", []byte(strings.Replace(endpoint, "%", tt.target, 1)+tt.rest))
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s, %s: %v, want %s", tt.target, tt.rest, err, tt.want)
		case err == nil && (len(c.Hub.Namespaces) == 0 || c.Hub.Namespaces[0].History != 100 || c.Hub.Namespaces[0].Burst != c.Hub.Namespaces[0].Rate ||
			c.Hub.Engine.Kind != "memory" || c.Endpoints[0].Target.Settings.(*Channels).App != "shop"):
			t.Errorf("%+v", c.Hub)
		}
	}
}

// The IDs and keys of applications are unique, and each application has a secret, which is not shown.
func TestApps(t *testing.T) {
	const endpoint = "endpoints: [{path: /x, target: channels, auth: [anonymous]}]\n"
	for _, tt := range []struct{ apps, want string }{
		{"[{id: shop, key: k1, secret: hunter2}, {id: '12.a-B_', secret: hunter2}]", ""},
		{"[{id: dev}, {id: x, secret: hunter2}]", ""}, // dev gets a secret when the server starts
		{"[{id: a, secret: hunter2}, {id: a, key: k, secret: hunter2}]", `f.yaml:2:39: apps[1].id: another application has the id "a"`},
		{"[{id: a, key: k, secret: hunter2}, {id: b, key: k, secret: hunter2}]", `f.yaml:2:55: apps[1].key: another application has the key "k"`},
		{"[{id: a, secret: hunter2}, {id: b, key: a, secret: hunter2}]", `apps[1].key: another application has the key "a"`},
		{"[{id: a/b, secret: hunter2}]", `f.yaml:2:13: apps[0].id: "a/b" cannot be used in a path; expected letters, digits, -, _ and .`},
		{"[{id: '..', secret: hunter2}]", `apps[0].id: ".." cannot be used in a path`},
		{"[{id: ., secret: hunter2}]", `apps[0].id: "." cannot be used in a path`},
		{"[{id: azAZ09, secret: hunter2}, {id: " + strings.Repeat("a", 64) + ", secret: hunter2}]", ""},
		{"[{id: " + strings.Repeat("a", 65) + ", secret: hunter2}]", "cannot be used in a path"},
		{"[{id: a, key: " + strings.Repeat("a", 65) + ", secret: hunter2}]", "cannot be used in a path"},
		{"[{id: 'a:', secret: hunter2}]", `apps[0].id: "a:" cannot be used in a path`},
		{"[{id: 'a@', secret: hunter2}]", `apps[0].id: "a@" cannot be used in a path`},
		{"[{id: 'a[', secret: hunter2}]", `apps[0].id: "a[" cannot be used in a path`},
		{"[{id: 'a`', secret: hunter2}]", "apps[0].id: \"a`\" cannot be used in a path"},
		{"[{id: 'a{', secret: hunter2}]", `apps[0].id: "a{" cannot be used in a path`},
		{"[{id: a, key: 'a b', secret: hunter2}]", `apps[0].key: "a b" cannot be used in a path`},
		{"[{id: a}]", "f.yaml:2:8: apps[0].secret: required; expected a secret"},
		{"[{id: a, secret: ''}]", "apps[0].secret: required"},
		{"[{key: a, secret: hunter2}]", "f.yaml:2:8: apps[0].id: required"},
		{"[{id: a, secret: [hunter2]}]", "apps[0].secret: "},
		{"[]", "there are no applications"},
	} {
		c, err := Parse("f.yaml", []byte(endpoint+"apps: "+tt.apps+"\n"))
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %s", tt.apps, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%v", err)
		case err == nil && (c.Apps[0].Key == "" || c.Apps[1].Key != c.Apps[1].ID || strings.Contains(c.YAML(), "hunter2")):
			t.Errorf("%+v\n%s", c.Apps, c.YAML())
		}
	}
}

// The path of an endpoint with streams must end with a slash.
func TestStreamsPath(t *testing.T) {
	const text = "endpoints: [{path: %, target: streams, auth: [anonymous]}]\napps: [{id: a, secret: s}]\n"
	for path, ok := range map[string]bool{"/streams/": true, "/": true, "/streams": false, "'/{app}/'": false} {
		if _, err := Parse("f.yaml", []byte(strings.Replace(text, "%", path, 1))); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The engine nats is embedded or external, and nodes beyond this machine require a secret and TLS.
func TestNATSEngine(t *testing.T) {
	for _, tt := range []struct{ nats, want string }{
		{"{}", ""},
		{"{url: 'nats://u:hunter2@a:4222, tls://b:4222', replicas: 3, max_bytes: 1GiB, prefix: Shop_1, ca: keys_hub_test.go}", ""},
		{"{dir: /x, sync_always: true, cluster: {listen: '127.0.0.1:6222', join: ['[::1]:6223', 'localhost:6224']}}", ""},
		{"{cluster: {listen: ':6222', join: ['b:6222'], secret: hunter2, cert: keys_hub_test.go, ca: keys_hub_test.go}}", ""},
		{"{cluster: {listen: ':6222'}}", "f.yaml:3:23: hub.engine.nats.cluster.secret: required, since :6222 is not on this machine"},
		{"{cluster: {listen: ':6222', secret: hunter2}}", "hub.engine.nats.cluster.cert: required, since :6222"},
		{"{cluster: {listen: ':6222', secret: hunter2, cert: keys_hub_test.go}}", "hub.engine.nats.cluster.ca: required, since :6222"},
		{"{cluster: {listen: '127.0.0.1:6222', join: ['b:6222']}}", "cluster.secret: required, since b:6222"},
		{"{cluster: {listen: '127.0.0.1:6222', cert: keys_hub_test.go}}", "cluster.ca: required with cert"},
		{"{cluster: {listen: '127.0.0.1:6222', key: keys_hub_test.go}}", "cluster.cert: required with ca and key"},
		{"{cluster: {listen: '127.0.0.1:6222', join: [':6222']}}", `cluster.join: ":6222" is not the address of a node`},
		{"{cluster: {listen: off}}", `cluster.listen: "off" is not an address`},
		{"{cluster: {join: ['127.0.0.1:6222']}}", "cluster.listen: required in a cluster"},
		{"{cluster: {secret: hunter2}}", "cluster.listen: required in a cluster"},
		{"{url: 'redis://u:hunter2@a'}", `hub.engine.nats.url: the scheme of the URL is "redis"`},
		{"{url: 'nats://u:hunter2@a', dir: /x}", "hub.engine.nats.url: dir, sync_always and cluster configure a server in this process"},
		{"{ca: keys_hub_test.go}", "hub.engine.nats.url: required with credentials and ca"},
		{"{url: 'nats://u:hunter2@a', sync_always: true}", "hub.engine.nats.url: dir, sync_always and cluster configure"},
		{"{url: 'nats://u:hunter2@a', cluster: {listen: '127.0.0.1:6222'}}", "hub.engine.nats.url: dir, sync_always and cluster configure"},
		{"{url: 'nats://u:hunter2@a', cluster: {join: ['127.0.0.1:6222']}}", "hub.engine.nats.url: dir, sync_always and cluster configure"},
		{"{url: 'nats://u:hunter2@a', cluster: {secret: hunter2}}", "hub.engine.nats.url: dir, sync_always and cluster configure"},
		{"{url: 'nats://u:hunter2@a', cluster: {cert: keys_hub_test.go}}", "hub.engine.nats.url: dir, sync_always and cluster configure"},
		{"{url: 'nats://u:hunter2@a', cluster: {key: keys_hub_test.go}}", "hub.engine.nats.url: dir, sync_always and cluster configure"},
		{"{url: 'nats://u:hunter2@a', cluster: {ca: keys_hub_test.go}}", "hub.engine.nats.url: dir, sync_always and cluster configure"},
		{"{credentials: keys_hub_test.go}", "hub.engine.nats.url: required with credentials and ca"},
		{"{cluster: {ca: keys_hub_test.go}}", "cluster.listen: required in a cluster"},
		{"{cluster: {cert: keys_hub_test.go}}", "cluster.listen: required in a cluster"},
		{"{cluster: {key: keys_hub_test.go}}", "cluster.listen: required in a cluster"},
		{"{cluster: {listen: '127.0.0.1:6222', ca: keys_hub_test.go}}", "cluster.cert: required with ca and key"},
		{"{cluster: {listen: '127.0.0.1:6222', join: ['127.0.0.1:0']}}", `cluster.join: "127.0.0.1:0" is not the address of a node`},
		{"{prefix: a.b}", `hub.engine.nats.prefix: "a.b" cannot be used in the name of a stream`},
		{"{replicas: 7}", "hub.engine.nats.replicas: "},
	} {
		c, err := Parse("f.yaml", []byte("endpoints: [{path: /x, target: channels, auth: [anonymous]}]\napps: [{id: shop, secret: s}]\nhub: {engine: {nats: "+tt.nats+"}}\n"))
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %s", tt.nats, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"), err == nil && strings.Contains(c.YAML(), "hunter2"):
			t.Errorf("%s: the secret is shown: %v", tt.nats, err)
		}
	}
}
