package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A default that conflicts with a given value changes; two given values that conflict are an error.
func TestDefaultsGiveWay(t *testing.T) {
	for _, tt := range []struct {
		document, want, err string
	}{
		{"drain: {timeout: 3s}\n", "spread 1.5s, timeout 3s, audit off", ""},
		{"drain: {timeout: 0s}\n", "spread 0s, timeout 0s, audit off", ""},
		{"drain: {timeout: 7s}\n", "spread 5s, timeout 7s, audit off", ""},
		{"drain: {spread: 30s}\n", "spread 30s, timeout 35s, audit off", ""},
		{"drain: {spread: 1h}\n", "spread 1h, timeout 1h, audit off", ""},
		{"drain: {spread: 10s, timeout: 9s}\n", "", "drain.spread"},
		{"drain: {spread: 5s, timeout: 4s}\n", "", "drain.spread"}, // a given value conflicts even if it equals the default
		{"audit: {file: audit.log}\n", "spread 5s, timeout 10s, audit file", ""},
		{"audit: {file: audit.log, to: stdout}\n", "", "audit.to"},
		{"audit: {file: audit.log, to: off}\n", "", "audit.to"},
	} {
		c, err := Parse("f.yaml", []byte(served(tt.document)))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want a problem with %s", tt.document, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.document, err)
			continue
		}
		if got := fmt.Sprintf("spread %v, timeout %v, audit %s", time.Duration(c.Drain.Spread), c.Drain.Timeout, c.Audit.To); got != strings.ReplaceAll(tt.want, "spread 1h,", "spread 1h0m0s,") {
			t.Errorf("%s: %s, want %s", tt.document, got, tt.want)
		}
	}
	c, err := Load(Sources{Environ: []string{"HANDFAST_DRAIN_TIMEOUT=3s"}})
	if err != nil || time.Duration(c.Drain.Spread) != 1500*time.Millisecond {
		t.Errorf("in the environment: %v", err)
	}
}

// Defaults of endpoints and listeners that conflict with given values change, too.
func TestDefaultsOfEndpointsGiveWay(t *testing.T) {
	for keys, want := range map[string]string{
		"target: echo": "max_message 1MiB",
		"target: echo, limits: {bytes_per_second: 64KiB}":                     "max_message 640KiB",
		"target: echo, limits: {bytes_per_second: 1}":                         "max_message 10",
		"target: echo, limits: {bytes_per_second: 104857}":                    "max_message 1048570",
		"target: echo, limits: {bytes_per_second: 1MiB}":                      "max_message 1MiB",
		"target: echo, max_message: 64KiB, limits: {bytes_per_second: 64KiB}": "max_message 64KiB",
		"target: {balance: {to: [a]}}":                                        "policy power_of_two",
		"target: {balance: {to: [a], key: 'query:room'}}":                     "policy hash",
		"target: {balance: {to: [a], key: 'query:room', policy: hash}}":       "policy hash",
	} {
		c, err := Parse("f.yaml", []byte("endpoints: [{path: /x, auth: [anonymous], "+keys+"}]\n"))
		if err != nil {
			t.Errorf("%s: %v", keys, err)
			continue
		}
		got := "max_message " + c.Endpoints[0].MaxMessage.String()
		if b, ok := c.Endpoints[0].Target.Settings.(*Balance); ok {
			got = "policy " + b.Policy
		}
		if got != want {
			t.Errorf("%s: %s, want %s", keys, got, want)
		}
	}
	c, err := Parse("f.yaml", []byte(served("listen: [{address: ':443'}, {address: ':80', redirect_https: true}]\n")))
	if err != nil || c.Listen[0].TLS.Mode != TLSDev || c.Listen[1].TLS.Mode != TLSOff {
		t.Errorf("a listener that redirects: %v", err)
	}
	for _, console := range []string{"", "HANDFAST_CONSOLE=true"} {
		c, err := Load(Sources{Environ: []string{"HANDFAST_ENDPOINTS=[{path: /, target: echo, auth: [anonymous]}]", console}})
		if console == "" && (err != nil || c.Console) || console != "" && err == nil {
			t.Errorf("an endpoint at / without a file, %q: %v", console, err)
		}
	}
}
