package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("\n  from-a-file-that-has-enough-bytes-in-it \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Sources{Environ: []string{
		"PATH=/bin", "HANDFASTER=1", "HANDFAST_CONFIG=x.yaml", "HANDFAST_ADMIN_TOKEN=",
		"HANDFAST_LOG_LEVEL=debug",
		"HANDFAST_LIMITS_CONNECTIONS=7",
		"HANDFAST_HTTP_TLS_TIMEOUT=3s",
		"HANDFAST_TRUSTED_PROXIES=10.0.0.0/8, ::1",
		"HANDFAST_LISTEN_10_ADDRESS=:10", "HANDFAST_LISTEN_2_ADDRESS=:2", "HANDFAST_LISTEN_1_ADDRESS=:1", "HANDFAST_LISTEN_3_ADDRESS=:3",
		"HANDFAST_LISTEN_4_ADDRESS=:4", "HANDFAST_LISTEN_5_ADDRESS=:5", "HANDFAST_LISTEN_6_ADDRESS=:6", "HANDFAST_LISTEN_7_ADDRESS=:7",
		"HANDFAST_LISTEN_8_ADDRESS=:8", "HANDFAST_LISTEN_9_ADDRESS=:9",
		"HANDFAST_LISTEN_0_TLS=off",
		"HANDFAST_STORE_REDIS_URL=redis://localhost:6379",
		"HANDFAST_AUTH_MY_USERS_JWT_SECRET_FILE=" + secret,
		"HANDFAST_AUTH_MY_USERS_JWT_FROM=bearer,query:t",
		"HANDFAST_AUTH_PEM_JWT_PUBLIC_KEY_FILE=" + secret,
		"HANDFAST_AUTH_PAGE_COOKIE={name: s, origins: [https://x.org], jwt: {jwks_url: https://x.org/}}",
		"HANDFAST_ENDPOINTS_0_AUTH=my_users, anonymous",
		"HANDFAST_ENDPOINTS_0_ORIGINS=https://a.org,https://b.org",
		"HANDFAST_ENDPOINTS_0_COMPRESSION_ENABLED=true",
		"HANDFAST_ENDPOINTS_1={path: /two, target: echo, auth: [anonymous], origins: any}",
		// What Kubernetes sets for services called handfast and handfast-admin.
		"HANDFAST_PORT=tcp://10.0.0.1:8443", "HANDFAST_SERVICE_HOST=10.0.0.1", "HANDFAST_SERVICE_PORT_HTTPS=8443",
		"HANDFAST_PORT_8443_TCP_ADDR=10.0.0.1", "HANDFAST_ADMIN_PORT_9090_TCP=tcp://10.0.0.2:9090", "HANDFAST_ADMIN_SERVICE_HOST=10.0.0.2",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"level", c.Log.Level, "debug"},
		{"connections", c.Limits.Connections, 7},
		{"tls_timeout", c.HTTP.TLSTimeout.String(), "3s"},
		{"proxies", c.TrustedProxies[1].String(), "::1/128"},
		{"listen", len(c.Listen), 11},
		{"listen 10", c.Listen[10].Address, Address(":10")},
		{"mode of a new one", c.Listen[10].TLS.Mode, TLSDev},
		{"mode", c.Listen[0].TLS.Mode, TLSOff},
		{"address", c.Listen[0].Address, Address("localhost:8443")},
		{"redis", c.Store.Redis.URL.Reveal(), "redis://localhost:6379"},
		{"secret", c.Auth["my_users"].JWT.Secret.Reveal(), "from-a-file-that-has-enough-bytes-in-it"},
		{"from", c.Auth["my_users"].JWT.From[1], TokenSource{"query", "t"}},
		{"key file", c.Auth["pem"].JWT.PublicKeyFile, Path(secret)},
		{"cookie", c.Auth["page"].Cookie.JWT.JWKSURL, "https://x.org/"},
		{"auth", c.Endpoints[0].Auth[0].Name, "my_users"},
		{"origins", c.Endpoints[0].Origins.Strings()[1], "https://b.org"},
		{"compression", c.Endpoints[0].Compression.Enabled, true},
		{"endpoint", c.Endpoints[1].Name, "/two"},
		{"any", c.Endpoints[1].Origins.Any, true},
		{"pos", c.Pos("log.level").String(), "environment variable HANDFAST_LOG_LEVEL"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestEnvironmentProblems(t *testing.T) {
	for _, tt := range []struct{ env, want string }{
		{"HANDFAST_LIMITS_CONECTIONS=5", "environment variable HANDFAST_LIMITS_CONECTIONS: there is no such setting; did you mean HANDFAST_LIMITS_CONNECTIONS?"},
		{"HANDFAST_REDIS=5", "there is no such setting; the names are those of the keys"},
		{"HANDFAST_LIMITS_CONNECTIONS=many", `HANDFAST_LIMITS_CONNECTIONS: limits.connections: "many": it is no whole number`},
		{"HANDFAST_LISTEN_2_ADDRESS=:1", "listen[2]: the list has 1 so far; expected the next index, 1"},
		{"HANDFAST_LISTEN_0_TLS={mode: fils}", `environment variable HANDFAST_LISTEN_0_TLS: listen[0].tls.mode: "fils" is none of its values; did you mean files?`},
		{"HANDFAST_LISTEN_0_TLS={", "environment variable HANDFAST_LISTEN_0_TLS: listen[0].tls: this is no YAML"},
		{"HANDFAST_ADMIN_TOKEN_FILE=/nowhere", "admin.token_file: /nowhere cannot be read"},
		{"HANDFAST_DRAIN_CODE=1", `drain.code: "1" is none of its values`},
	} {
		_, err := Load(Sources{Environ: []string{tt.env}})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", tt.env, err, tt.want)
		}
	}
}

// The later source wins: defaults, file, environment, flags.
func TestOrder(t *testing.T) {
	s := Sources{File: folder(t, served("log: {level: warn, format: json}\nlimits: {connections: 1, auth_calls: 1}\nlisten: [{address: ':1'}, {address: ':2'}]\n"))}
	s.Environ = []string{"HANDFAST_LIMITS_CONNECTIONS=2", "HANDFAST_LOG_LEVEL=error"}
	s.Set = []Setting{{"log.level", "debug", "--log-level"}, {"listen", "[]", "--listen"}, {"listen[0].address", ":3", "--listen"}}
	c, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Level != "debug" || c.Log.Format != "json" || c.Limits.Connections != 2 || c.Limits.AuthCalls != 1 ||
		len(c.Listen) != 1 || c.Listen[0].Address != ":3" || c.Drain.Code != 1001 {
		t.Errorf("%+v", c)
	}
	if p := c.Pos("listen[0].address").String(); p != "--listen" {
		t.Errorf("position %s", p)
	}
}

func TestSettings(t *testing.T) {
	for _, tt := range []struct{ path, value, want string }{
		{"log.level", "loud", `--set: log.level: "loud" is none of its values`},
		{"log.levle", "info", "--set: log.levle: there is no such key; did you mean log.level?"},
		{"log", "level: loud", `--set: log.level: "loud" is none of its values`},
		{"log[0]", "x", "--set: log: it has no such parts"},
		{"listen.address", "x", "--set: listen: it has no such parts; expected a list"},
		{"log..level", "x", "--set: log..level: this is no path"},
		{"listen[x].address", "x", "this is no path"},
		{"listen[0", "x", "this is no path"},
		{"admin.token", "x", ""},
		{"auth.users.jwt.jwks_url", "https://x/", ""},
		{"endpoints[0].auth[0].jwt.jwks_url", "https://x/", ""},
		{"endpoints[0].subprotocols", "a, b", ""},
		{"auth.m.certificate.map.x", "y", "no listener asks clients for a certificate"},
	} {
		_, err := Load(Sources{Set: []Setting{{tt.path, tt.value, "--set"}}})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s=%s: %v, want %s", tt.path, tt.value, err, tt.want)
		}
	}
}
