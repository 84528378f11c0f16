package config

import (
	"fmt"
	"testing"
)

// Problems with the limits on messages and idle time, with the hosts of a listener, and with rechecks of sessions are
// reported with their positions.
func TestSendingBounds(t *testing.T) {
	const balance = "target: {balance: {to: [a]}}"
	for settings, want := range map[string]string{
		"target: echo, limits: {messages_per_second: 10, bytes_per_second: 1MiB, burst: 5s}, idle_timeout: 30m": "",
		"target: echo, limits: {messages_per_second: -1}":                                                       "limits.messages_per_second: ",
		"target: echo, limits: {bytes_per_second: fast}":                                                        `limits.bytes_per_second: "fast"`,
		"target: echo, limits: {bytes_per_second: 64KiB}":                                                       "",
		"target: echo, max_message: 1MiB, limits: {bytes_per_second: 64KiB}":                                    "limits.bytes_per_second: a message of max_message (1MiB) would need more than 10 seconds at this rate; expected 104858 or more, or a smaller max_message",
		"target: echo, max_message: 64KiB, limits: {bytes_per_second: 64KiB}":                                   "",
		"target: echo, limits: {burst: 0s}":                                                                     "limits.burst: ",
		"target: echo, idle_timeout: -1s":                                                                       "idle_timeout: ",
		balance + ", limits: {messages_per_second: 10}":                                                         "limits.messages_per_second: the target forwards bytes, not messages; expected messages: true of the target balance, or 0",
		balance + ", limits: {bytes_per_second: 1MiB}":                                                          "limits.bytes_per_second: the target forwards bytes",
		balance + ", idle_timeout: 1h":                                                                          "idle_timeout: the target balance has its own idle timeout; expected timeouts.idle of the target, or 0",
		"target: {balance: {to: [a], messages: true}}, limits: {messages_per_second: 10}":                       "",
		"target: {balance: {to: [a], hold: resume}}, limits: {messages_per_second: 10}":                         "",
		"target: {balance: {to: [a], messages: {per_second: 10}}}":                                              "messages.per_second: there is no such key",
		"target: centrifugo, path: /b, idle_timeout: 1h":                                                        "idle_timeout: the pings of this protocol are messages",
	} {
		text := fmt.Sprintf("apps: [{id: app, secret: 0123456789abcdef0123456789abcdef}]\nendpoints: [{path: /a, auth: [anonymous], %s}]\n", settings)
		if settings == "target: centrifugo, path: /b, idle_timeout: 1h" {
			text = "apps: [{id: app, secret: 0123456789abcdef0123456789abcdef}]\nendpoints: [{auth: [anonymous], " + settings + "}]\n"
		}
		check(t, text, want)
	}
	for hosts, want := range map[string]string{
		"any": "", "[ws.example, '::1', 127.0.0.1]": "", "[]": "",
		"['a:80']": `listen[0].hosts[0]: "a:80" is not a host; expected a name in lower case or an IP address, without a port and brackets`,
		"[A]":      `listen[0].hosts[0]: "A" is not a host`, "['[::1]']": `listen[0].hosts[0]: "[::1]" is not a host`,
		"all": `listen[0].hosts: `,
	} {
		check(t, "listen: [{address: ':8443', hosts: "+hosts+"}]\nendpoints: [{path: /a, auth: [anonymous], target: echo}]\n", want)
	}
	for recheck, want := range map[string]string{"0s": "", "10m": "", "25h": "forward.recheck: ", "often": "forward.recheck: "} {
		check(t, "auth: {f: {forward: {url: 'http://127.0.0.1/', recheck: "+recheck+"}}}\nendpoints: [{path: /a, auth: [f], target: echo}]\n", want)
	}
}
