package config

import (
	"errors"
	"fmt"
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
		"PATH=/bin", "HANDFASTER=1", "HANDFAST_CONFIG=x.yaml", "HANDFAST_ADMIN_TOKEN=", "HANDFAST_LOG_FORMAT=",
		"HANDFAST_LOG_LEVEL=debug",
		"HANDFAST_LIMITS_CONNECTIONS=7",
		"HANDFAST_HTTP_TLS_TIMEOUT=3s",
		"HANDFAST_TRUSTED_PROXIES=10.0.0.0/8, ::1",
		"HANDFAST_LISTEN=[{address: ':1', tls: off}, {address: ':2'}]",
		"HANDFAST_STORE_REDIS_URL=redis://localhost:6379",
		"HANDFAST_ADMIN_TOKEN_FILE=" + secret,
		"HANDFAST_LOGOUT_PATH=/logout", "HANDFAST_LOGOUT_AUTH=my_users, page", "HANDFAST_LOGOUT_ORIGINS=https://a.org,https://b.org",
		"HANDFAST_AUTH={my_users: {jwt: {secret_file: " + secret + ", from: [bearer, 'query:t']}}, page: {cookie: {name: s, origins: [https://x.org], jwt: {jwks_url: https://x.org/}}}}",
		"HANDFAST_ENDPOINTS=[{path: /two, target: echo, auth: [my_users, anonymous], origins: any, compression: true}]",
		// Kubernetes sets these variables for services named handfast and handfast-admin.
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
		{"listen", len(c.Listen), 2},
		{"mode of a new one", c.Listen[1].TLS.Mode, TLSDev},
		{"mode", c.Listen[0].TLS.Mode, TLSOff},
		{"redis", c.Store.Redis.URL.Reveal(), "redis://localhost:6379"},
		{"timeout", c.Store.Redis.Timeout.String(), "2s"},
		{"token", c.Admin.Token.Reveal(), "from-a-file-that-has-enough-bytes-in-it"},
		{"logout", c.Logout.Auth[1].Name, "page"},
		{"logout origins", c.Logout.Origins.Strings()[1], "https://b.org"},
		{"secret", c.Auth["my_users"].JWT.Secret.Reveal(), "from-a-file-that-has-enough-bytes-in-it"},
		{"from", c.Auth["my_users"].JWT.From[1], TokenSource{"query", "t"}},
		{"cookie", c.Auth["page"].Cookie.JWT.JWKSURL, "https://x.org/"},
		{"auth", c.Endpoints[0].Auth[0].Name, "my_users"},
		{"compression", c.Endpoints[0].Compression.Enabled, true},
		{"endpoint", c.Endpoints[0].Name, "/two"},
		{"any", c.Endpoints[0].Origins.Any, true},
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
		{"HANDFAST_REDIS=5", "there is no such setting; the variables are the keys"},
		{"HANDFAST_LIMITS_CONNECTIONS=many", `HANDFAST_LIMITS_CONNECTIONS: limits.connections: "many": not a whole number`},
		{"HANDFAST_LISTEN_2_ADDRESS=:1", "HANDFAST_LISTEN_2_ADDRESS: there is no such setting; HANDFAST_LISTEN takes the whole list as YAML"},
		{"HANDFAST_AUTH_USERS_JWT_SECRET=x", "HANDFAST_AUTH_USERS_JWT_SECRET: there is no such setting"},
		{"HANDFAST_LOG_LEVEL_FILE=/nowhere", "HANDFAST_LOG_LEVEL_FILE: there is no such setting"},
		{"HANDFAST_LISTEN=[{address: ':1', tls: {mode: fils}}]", `environment variable HANDFAST_LISTEN: listen[0].tls.mode: "fils" is not an allowed value; did you mean files?`},
		{"HANDFAST_LISTEN=[{", "environment variable HANDFAST_LISTEN: listen: not valid YAML"},
		{"HANDFAST_STORE=redis", "environment variable HANDFAST_STORE: store.redis.url: required"},
		{"HANDFAST_FOO=1", "the variables are the keys outside lists"},
		{"HANDFAST_ADMIN_TOKEN_FILE=/nowhere", "admin.token_file: /nowhere cannot be read"},
		{"HANDFAST_DRAIN_CODE=1", `drain.code: "1" is not an allowed value`},
	} {
		_, err := Load(Sources{Environ: []string{tt.env}})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", tt.env, err, tt.want)
		}
	}
}

// Later sources take precedence: defaults, file, environment, flags.
func TestOrder(t *testing.T) {
	s := Sources{File: folder(t, served("log: {level: warn, format: json}\nlimits: {connections: 1, auth_calls: 1}\nlisten: [{address: ':1'}, {address: ':2'}]\n"))}
	s.Environ = []string{"HANDFAST_LIMITS_CONNECTIONS=2", "HANDFAST_LOG_LEVEL=error"}
	s.Set = []Setting{{"log.level", "debug", "--log-level"}, {"listen", "[{address: ':3'}]", "--listen"}}
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
		{"log.level", "loud", `--set: log.level: "loud" is not an allowed value`},
		{"log.levle", "info", "--set: log.levle: there is no such key; did you mean log.level?"},
		{"log", "level: loud", `--set: log.level: "loud" is not an allowed value`},
		{"log[0]", "x", "--set: log[0]: there is no such key"},
		{"listen.address", "x", "--set: listen.address: there is no such key"},
		{"listen[1].address", "x", "--set: listen[1].address: there is no such key"},
		{"log..level", "x", "--set: log..level: there is no such key; did you mean log.level?"},
		{"listen[0", "x", "--set: listen[0: there is no such key"},
		{"listen[0].tls", "off", ""},
		{"endpoints[0].origins", "any", ""},
		{"admin.token", "x", ""},
		{"admin.token_file", "environ_test.go", ""},
		{"admin.token_file", "none", "/none cannot be read"},
		{"hub.engine", "nats", ""},
		{"auth.users.jwt.jwks_url", "https://x/", "--set: auth.users.jwt.jwks_url: there is no such key"},
		{"endpoints[0].subprotocols", "a, b", ""},
	} {
		_, err := Load(Sources{Set: []Setting{{tt.path, tt.value, "--set"}}})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s=%s: %v, want %s", tt.path, tt.value, err, tt.want)
		}
	}
}

// A variable with a list or a mapping completely replaces the list or the mapping in the file.
func TestEnvironmentReplaces(t *testing.T) {
	file := folder(t, served("auth: {a: {jwt: {jwks_url: 'https://a/'}}}\nlimits: {connections: 1, auth_calls: 1}\nlisten: [{address: ':1'}]\n"))
	c, err := Load(Sources{File: file, Environ: []string{
		"HANDFAST_AUTH={b: {jwt: {jwks_url: 'https://b/'}}}", "HANDFAST_LIMITS={connections: 2}", "HANDFAST_LISTEN=[{address: ':2'}]",
	}})
	if err != nil || len(c.Auth) != 1 || c.Auth["b"] == nil || c.Limits.Connections != 2 || c.Limits.AuthCalls != 256 ||
		len(c.Listen) != 1 || c.Listen[0].Address != ":2" {
		t.Errorf("%+v, %v", c, err)
	}
}

// The settings of flags may depend on the rest of the configuration, and may be invalid.
func TestSettingsDependOnTheRest(t *testing.T) {
	file := folder(t, "listen: [{address: ':1'}, {address: ':2'}]\nendpoints: [{path: /x, target: echo, auth: [anonymous]}]\n")
	c, err := Load(Sources{File: file, Set: []Setting{{"log.level", "debug", "--a"}}, Settings: func(c *Config) ([]Setting, error) {
		return []Setting{{fmt.Sprintf("listen[%d].tls", len(c.Listen)-1), "off", "--b"}}, nil
	}})
	if err != nil || c.Listen[0].TLS.Mode != TLSDev || c.Listen[1].TLS.Mode != TLSOff || c.Log.Level != "debug" {
		t.Errorf("%+v, %v", c, err)
	}
	wrong := errors.New("wrong")
	if c, err := Load(Sources{Settings: func(*Config) ([]Setting, error) { return nil, wrong }}); err != wrong {
		t.Errorf("%+v, %v", c, err)
	}
}
