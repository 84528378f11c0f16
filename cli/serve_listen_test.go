package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
)

// A server can have one address with TLS and another one without.
func TestServeMixedListen(t *testing.T) {
	state(t)
	s := startServe(t, "--listen", "https://127.0.0.1:0", "--listen", "http://127.0.0.1:0")
	for _, want := range []string{"address=https://127.0.0.1:", "address=http://127.0.0.1:"} {
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("no %s in %s", want, s.stderr.String())
		}
	}
	if !strings.HasPrefix(s.banner["echo"], "ws://127.0.0.1:") { // the last line named echo
		t.Errorf("banner %q", s.banner)
	}
	if got := runWith(t, strings.NewReader("x\n"), nil, "dial", s.banner["echo"]); got.code != 0 || got.stdout != "x\n" {
		t.Errorf("%+v", got)
	}
	s.signals <- os.Interrupt
	if code := bounded.Receive(t, s.code); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// --host adds names to the development certificates of all listeners that have one, and is rejected if no listener has one. It does
// not add names to an existing CA.
func TestServeHosts(t *testing.T) {
	state(t)
	s := startServe(t, "--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0", "--host", "192.0.2.7", "--host", "mypc.lan")
	if got := s.banner["is"]; !strings.Contains(got, "mypc.lan") || !strings.Contains(got, "192.0.2.7") {
		t.Errorf("the certificate %s", got)
	}
	s.signals <- os.Interrupt
	bounded.Receive(t, s.code)
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--host", "192.0.2.8"}, exitFailed, []string{"may not sign for 192.0.2.8", "192.0.2.7",
			`next step: run "handfast cert dev --new --host 192.0.2.8 `, "--host mypc.lan"}},
		{[]string{"--host", "*.lan"}, exitUsage, []string{"handfast: --host: *.lan: is neither a host name nor an IP address"}},
		{[]string{"--host", "0.0.0.0"}, exitUsage, []string{"handfast: --host: 0.0.0.0: is not an address that clients connect to"}},
		{[]string{"--host", ""}, exitUsage, []string{"--host is empty"}},
		{[]string{"--host", "mypc.lan", "--tls", "off"}, exitUsage, []string{"--host cannot be used with --tls off"}},
		{[]string{"--host", "mypc.lan", "--listen", "http://127.0.0.1:0"}, exitUsage, []string{"no listener has a development certificate"}},
	} {
		got := runCommand(t, append([]string{"serve"}, tt.args...)...)
		for _, want := range tt.want {
			if got.code != tt.code || !strings.Contains(got.stderr, want) {
				t.Errorf("%q: exit %d, no %q in %s", tt.args, got.code, want, got.stderr)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "f.yaml")
	write := func(listen string) {
		text := "listen: [" + listen + "]\nendpoints: [{path: /x, target: echo, auth: [anonymous]}]\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for listen, want := range map[string]string{
		"{address: 'localhost:0', tls: {dev: {hosts: [a, '*.lan']}}}":          "f.yaml:1:58: listen[0].tls.dev.hosts[1]: *.lan: is neither",
		"{address: 'localhost:0', tls: {mode: off, dev: {hosts: [mypc.lan]}}}": "listen[0].tls.mode: off does not use dev.hosts",
		"{address: 'localhost:0', tls: {dev: {hosts: [mypc.lan]}}}":            "",
	} {
		write(listen)
		got := runCommand(t, "config", "check", file)
		if want == "" && got.code != exitOK || want != "" && (got.code == exitOK || !strings.Contains(got.stdout, want)) {
			t.Errorf("%s: %+v", listen, got)
		}
	}
}

// A server that listens beyond this machine, with a certificate only for this machine, prints the command for changing that.
func TestBannerNamesUncoveredAddress(t *testing.T) {
	local := []string{"localhost", "box", "127.0.0.1", "::1"}
	for _, tt := range []struct {
		address config.Address
		mode    config.TLSMode
		names   []string
		want    string
	}{
		{":8443", config.TLSDev, local, "192.0.2.7"},
		{"0.0.0.0:8443", config.TLSDev, local, "192.0.2.7"},
		{"[::]:8443", config.TLSDev, local, "192.0.2.7"},
		{"192.0.2.9:8443", config.TLSDev, local, "192.0.2.9"},
		{"192.0.2.9:8443", config.TLSFiles, local, ""},
		{":8443", config.TLSOff, local, ""},
		{"localhost:8443", config.TLSDev, local, ""},
		{"127.0.0.1:8443", config.TLSDev, local, ""},
		{"[::1]:8443", config.TLSDev, local, ""},
		{":8443", config.TLSDev, append(local[:4:4], "192.0.2.7"), ""},
		{":8443", config.TLSDev, append(local[:4:4], "box.lan"), ""},
	} {
		if got := uncovered([]config.Listen{{Address: tt.address, TLS: config.TLS{Mode: tt.mode}}}, tt.names, []string{"192.0.2.7", "192.0.2.8"}); got != tt.want {
			t.Errorf("%s %s, for %q: %q", tt.address, tt.mode, tt.names, got)
		}
	}
	if got := uncovered([]config.Listen{{Address: ":1", TLS: config.TLS{Mode: config.TLSDev}}}, local, nil); got != "" {
		t.Errorf("a machine without addresses: %q", got)
	}
}
