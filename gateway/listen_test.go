package gateway

import (
	"errors"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
)

func TestOpenBinds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		listen []string
		hosts  []string // of the URLs
		bound  int      // the minimum number of listeners
	}{
		{"one", []string{"127.0.0.1:0"}, []string{"127.0.0.1"}, 1},
		{"several", []string{"127.0.0.1:0", "127.0.0.2:0", "localhost:0"}, []string{"127.0.0.1", "127.0.0.2", "localhost"}, 3},
		{"localhost", []string{"localhost:0"}, []string{"localhost"}, 1},
		{"every address", []string{":0"}, []string{"localhost"}, 1},
		{"every IPv4 address", []string{"0.0.0.0:0"}, []string{"localhost"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(t.Context(), Options{Config: plainConfig(tt.listen...)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			bound := 0
			for _, b := range s.entrance.bound {
				bound += len(b.ports)
			}
			if len(s.URLs()) != len(tt.hosts) || bound < tt.bound {
				t.Fatalf("URLs %q on %d listeners", s.URLs(), bound)
			}
			for i, raw := range s.URLs() {
				u, err := url.Parse(raw)
				if err != nil || u.Scheme != "http" || u.Hostname() != tt.hosts[i] || u.Port() == "" || u.Port() == "0" {
					t.Errorf("URL %q, want host %s: %v", raw, tt.hosts[i], err)
				}
			}
		})
	}
}

// localhost is bound on both loopback addresses with the same port, so that no other program can use either of them.
func TestOpenLocalhostTakesBoth(t *testing.T) {
	s, err := Open(t.Context(), Options{Config: plainConfig("localhost:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, port, err := net.SplitHostPort(s.entrance.bound[0].ports[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		var config net.ListenConfig
		l, err := config.Listen(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			l.Close()
			t.Errorf("%s is free", host)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	var config net.ListenConfig
	taken, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, addr, want, hint string }{
		{"in use", taken.Addr().String(), "in use", "port 0"},
		{"in use on one of localhost", "localhost:" + port, "in use", "port 0"},
		{"not ours", "192.0.2.1:0", "assign", "no interface"},
		{"no port", "127.0.0.1", "missing port", ""},
		{"no such host", "no-such-host.invalid:0", "no-such-host.invalid", "spelling"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// The first address must be free again.
			_, err := Open(t.Context(), Options{Config: plainConfig("127.0.0.1:0", tt.addr)})
			var e *ListenError
			if !errors.As(err, &e) || e.Addr != tt.addr || !strings.Contains(err.Error(), tt.want) ||
				!strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got %v; hint %q", err, e.Hint)
			}
		})
	}
}

func TestOpenTLSErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "missing.pem")
	cfg := plainConfig("127.0.0.1:0")
	cfg.Listen[0].TLS = config.TLS{Mode: config.TLSFiles, Files: []config.KeyPair{{Cert: config.Path(file), Key: config.Path(file)}}}
	_, err := Open(t.Context(), Options{Config: cfg})
	var e *certs.Error
	if !errors.As(err, &e) || e.Path != file {
		t.Errorf("files: %v", err)
	}
	cfg = plainConfig("127.0.0.1:0")
	cfg.Listen[0].TLS.Mode = "maybe"
	if _, err := Open(t.Context(), Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "maybe") {
		t.Errorf("unknown mode: %v", err)
	}
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "")
	t.Setenv("LocalAppData", "")
	if _, err := Open(t.Context(), Options{Config: config.Default()}); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("without a directory for the CA: %v", err)
	}
}

// An address without TLS that is not loopback causes a warning.
func TestOpenWarnsOfPlainAddresses(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:0": false, ":0": true} {
		var log strings.Builder
		s, err := Open(t.Context(), Options{Config: plainConfig(addr), Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if got := strings.Contains(log.String(), "no TLS"); got != want {
			t.Errorf("%s: log %q", addr, log.String())
		}
	}
}
