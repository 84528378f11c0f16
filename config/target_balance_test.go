package config

import (
	"fmt"
	"testing"
)

// TestBalance covers the problems with the settings of the target balance. If the expected problem is "", they are valid.
func TestBalance(t *testing.T) {
	for settings, want := range map[string]string{
		"{}":                       "balance.to: there is no server; expected to, dns or file",
		"{to: []}":                 "balance.to: there is no server",
		"{to: [a]}":                "",
		"{to: ['a:9000']}":         "",
		"{to: ['[::1]:9000']}":     "",
		"{to: ['WSS://A/']}":       "",
		"{dns: 'ws://a:9000'}":     "",
		"{dns: 'ws://_ws._tcp.a'}": "",
		"{file: cert.pem}":         "",
		"{file: none}":             `balance.file: "`,

		// Servers.
		"{to: ['http://a']}":                `balance.to[0].url: "http://a": the scheme "http" is not ws or wss; expected ws://host:port or wss://host:port`,
		"{to: ['ws://:1']}":                 `balance.to[0].url: "ws://:1": the host is missing`,
		"{to: ['ws://a/x']}":                `balance.to[0].url: "ws://a/x": the URL has more than a host and a port`,
		"{to: ['ws://a?x']}":                `balance.to[0].url: "ws://a?x": the URL has more than a host and a port`,
		"{to: ['ws://u:p@a']}":              `balance.to[0].url: "ws://[redacted]@a": the URL contains a user name`,
		"{to: ['a:0']}":                     `balance.to[0].url: "a:0": the port is not a number from 1 to 65535`,
		"{to: ['a:65536']}":                 `balance.to[0].url: "a:65536": the port is not a number from 1 to 65535`,
		"{to: ['a:b']}":                     `balance.to[0].url: "a:b": not a URL`,
		"{to: ['::1']}":                     `balance.to[0].url: "::1": an IPv6 address must be in brackets, as in "[::1]:9000"`,
		"{to: ['ws://2001:db8::1:9000']}":   `balance.to[0].url: "ws://2001:db8::1:9000": an IPv6 address must be in brackets`,
		"{to: [9001]}":                      `balance.to[0].url: "9001": the host is only a number; expected ws://host:port`,
		"{to: ['12:30']}":                   `balance.to[0].url: "12:30": the host is only a number`,
		"{to: [{weight: 2}]}":               "balance.to[0].url: required",
		"{to: [{url: a, weight: 0}]}":       "balance.to[0].weight: ",
		"{to: [{url: a, weight: 1001}]}":    "balance.to[0].weight: ",
		"{to: [{url: a, capacity: -1}]}":    "balance.to[0].capacity: ",
		"{to: [a, b, 'ws://A:80/']}":        "balance.to[2].url: the server is already in the list; expected each server once",
		"{to: ['ws://a:443', 'wss://a']}":   "",
		"{to: [a, _ws._tcp.a]}":             "balance.to[1].url: the host is a name of SRV records; expected the setting dns, which looks up such names",
		"{dns: {url: 'ws://a', every: 1d}}": "balance.dns.every: ",

		// The choice of a server.
		"{to: [a], policy: random}":                      "balance.policy: ",
		"{to: [a], policy: hash, key: 'query:room'}":     "",
		"{to: [a], key: 'query:room'}":                   "",
		"{to: [a], policy: power_of_two, key: path}":     "balance.key: the policy power_of_two does not use a key; expected policy: hash, or no key",
		"{to: [a], policy: round_robin, key: path}":      "balance.key: the policy round_robin does not use a key; expected policy: hash, or no key",
		"{to: [a], key: 'query:'}":                       `balance.key: "query:": the name is missing; expected path, identity, address, query:NAME, header:NAME or cookie:NAME`,
		"{to: [a], key: 'path:x'}":                       `balance.key: "path:x": path takes no name`,
		"{to: [a], key: body}":                           `balance.key: "body": not a part of a request`,
		"{to: [a], sticky: hf}":                          "",
		"{to: [a], sticky: 'h f'}":                       `balance.sticky.cookie: "h f" cannot be the name of a cookie`,
		"{to: [a], health: ping}":                        "balance.health.check: ",
		"{to: [a], queue: {timeout: 8s}}":                "balance.queue.timeout: ",
		"{to: [a], timeouts: {connect: 8s}}":             "balance.timeouts.connect: ",
		"{to: [a], tls: {cert: cert.pem}}":               "balance.tls: cert and key must be set together; expected both",
		"{to: [a], tls: {key: cert.pem}}":                "balance.tls: cert and key must be set together",
		"{to: [a], tls: {cert: cert.pem, key: key.pem}}": "",
		"{to: [a], tls: {ca: none}}":                     `balance.tls.ca: "`,

		// The requests to servers.
		"{to: [a], request: {strip_prefix: /x, add_prefix: /y/z}}": "",
		"{to: [a], request: {strip_prefix: x}}":                    `balance.request.strip_prefix: "x" is not a path prefix; expected a path such as /app`,
		"{to: [a], request: {add_prefix: '/x?y'}}":                 `balance.request.add_prefix: "/x?y" is not a path prefix`,
		"{to: [a], request: {add_prefix: /x/..}}":                  `balance.request.add_prefix: "/x/.." is not a path prefix`,
		"{to: [a], request: {user_header: 'X User'}}":              `balance.request.user_header: "X User" cannot be a header field`,
		"{to: [a], request: {header: {X-A: b}}}":                   "",
		"{to: [a], request: {header: {'X A': b}}}":                 `balance.request.header: "X A" cannot be a header field`,
		`{to: [a], request: {header: {X-A: "b\nc"}}}`:              `balance.request.header: "X-A" cannot be a header field`,
		"{to: [a], request: {proxy_protocol: v3}}":                 "balance.request.proxy_protocol: ",

		"{to: [a], storm: {resuming: X-Resume}}":                      "",
		"{to: [a], storm: {resuming: {query: sid, cookie: session}}}": "",
		"{to: [a], storm: {resuming: {path: /x}}}":                    "balance.storm.resuming.path: ",

		"{to: [a], request: {identity: {header: X-Id, secret: 0123456789abcdef0123456789abcdef}}}":    "",
		"{to: [a], request: {identity: {header: X-Id, key_file: key.pem, claims: [roles]}}}":          "",
		"{to: [a], request: {identity: {header: X-Id}}}":                                              "balance.request.identity.secret: one of secret and key_file is required",
		"{to: [a], request: {identity: {header: X-Id, secret: 0123456789abcdef, key_file: key.pem}}}": "balance.request.identity.key_file: secret is also given; expected one of",
		"{to: [a], request: {identity: {header: X-Id, secret: 0123456789abcdef}}}":                    "balance.request.identity.secret: the secret has 16 bytes",
		"{to: [a], request: {identity: {header: 'X Id', key_file: key.pem}}}":                         `balance.request.identity.header: "X Id" cannot be a header field`,
		"{to: [a], request: {identity: {key_file: key.pem}}}":                                         "balance.request.identity.header: required",
		"{to: [a], request: {user_header: x-id, identity: {header: X-Id, key_file: key.pem}}}":        "balance.request.identity.header: user_header has the same name",
		"{to: [a], request: {identity: {header: X-Id, key_file: key.pem, ttl: 2h}}}":                  "balance.request.identity.ttl: ",

		// Moving clients.
		"{to: [a], drain: 0}":                                       "balance.drain.per_second: ",
		"{to: [a], drain: {code: 1012}}":                            "",
		"{to: [a], drain: {code: 1006}}":                            "balance.drain.code: ",
		"{to: [a], rebalance: true}":                                "",
		"{to: [a], rebalance: {enabled: true, percentage: 101}}":    "balance.rebalance.percentage: ",
		"{to: [a], rebalance: {enabled: true, first: either}}":      "balance.rebalance.first: ",
		"{to: [a], ejection: {max_percent: 101}}":                   "balance.ejection.max_percent: ",
		"{to: [a], slow_start: 2h}":                                 "balance.slow_start: ",
		"{to: [a], retries: 11}":                                    "balance.retries: ",
		"{to: [a], timeouts: {idle: 0s, lifetime: 0s}, retries: 0}": "",
	} {
		check(t, fmt.Sprintf("endpoints: [{path: /, auth: [anonymous], target: {balance: %s}}]\n", settings), want)
	}
}

// YAML misinterprets addresses without quotes. The problem contains the position, and the text to write instead.
func TestBalanceAddressesWithoutQuotes(t *testing.T) {
	for to, want := range map[string]string{
		"['127.0.0.1:9001', 'b:1']":              "",
		"[127.0.0.1:9001, 'b:1']":                `balance.to[0]: "127.0.0.1" is read as a key and 9001 as its value; expected the address in quotes: "127.0.0.1:9001"`,
		"[{url: 127.0.0.1:9001, weight: 2}]":     "",
		"[{url: localhost:9001}, 'ws://a:1']":    "",
		"{127.0.0.1:9001}":                       `balance.to: "127.0.0.1" is read as a key and 9001 as its value; expected the address in quotes: "127.0.0.1:9001", in a list`,
		"{localhost:9001}":                       `balance.to: "localhost" is read as a key and 9001 as its value; expected the address in quotes: "localhost:9001", in a list`,
		"[{127.0.0.1:9001}]":                     `balance.to[0]: "127.0.0.1" is read as a key and 9001 as its value; expected the address in quotes: "127.0.0.1:9001"`,
		"[a, {chat-2:9001, weight: 2}]":          `balance.to[1]: "chat-2" is read as a key and 9001 as its value; expected the address in quotes: "chat-2:9001"`,
		"[{ws://chat:9001}]":                     `balance.to[0]: "ws://chat" is read as a key and 9001 as its value; expected the address in quotes: "ws://chat:9001"`,
		"[localhost: 9001]":                      `balance.to[0]: "localhost" is read as a key and 9001 as its value; expected the address in quotes: "localhost:9001"`,
		"[[::1]:9001]":                           `to: not valid YAML: found an invalid key for this map; expected the address in quotes: "[::1]:9001"`,
		"[a, ws://[::1]:9001]":                   `to: not valid YAML: found an invalid key for this map; expected the address in quotes: "ws://[::1]:9001"`,
		"[{url: [2001:db8::1]:9001, weight: 2}]": `url: not valid YAML: found an invalid key for this map; expected the address in quotes: "[2001:db8::1]:9001"`,
		"[{weigth: 2, url: a}]":                  `balance.to[0].weigth: there is no such key; did you mean weight?`,
	} {
		check(t, fmt.Sprintf("endpoints: [{path: /, auth: [anonymous], target: {balance: {to: %s}}}]\n", to), want)
	}
	// In a list in block style, IPv4 addresses and names are read correctly.
	check(t, "endpoints:\n- path: /\n  auth: [anonymous]\n  target:\n    balance:\n      to:\n      - a:1\n      - 127.0.0.1:9001\n      - url: b:1\n", "")
	check(t, "endpoints:\n- path: /\n  auth: [anonymous]\n  target:\n    balance:\n      to:\n      - a:1\n      - [::1]:9001\n",
		`handfast.yaml:8:9: to: not valid YAML: value is not allowed in this context; expected the address in quotes: "[::1]:9001"`)
}

// The ID of a server is the same for every way of writing its URL.
func TestBackendURL(t *testing.T) {
	for text, want := range map[string]BackendURL{
		"": "", "a": "ws://a:80", "A:9000": "ws://a:9000", "ws://a/": "ws://a:80", "wss://a": "wss://a:443", "WSS://A:1": "wss://a:1",
		"[::1]": "ws://[::1]:80", "wss://[::1]:9000": "wss://[::1]:9000", "wss://_ws._tcp.a": "wss://_ws._tcp.a",
	} {
		var got BackendURL
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// A key is formatted as it was parsed.
func TestAffinityKey(t *testing.T) {
	for text, want := range map[string]AffinityKey{
		"path": {Kind: "path"}, "identity": {Kind: "identity"}, "address": {Kind: "address"},
		"query:room": {"query", "room"}, "header:X-Room": {"header", "X-Room"}, "cookie:a:b": {"cookie", "a:b"},
	} {
		var got AffinityKey
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if back, err := got.MarshalText(); string(back) != text || err != nil {
			t.Errorf("%q: %q, %v", text, back, err)
		}
	}
}
