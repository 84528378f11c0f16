package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// A file without endpoints is an error: the default echo is only for servers without a file. A truncated file must not open the server to
// all clients.
func TestFileWithoutEndpoints(t *testing.T) {
	const where = "endpoints: required; expected a list of endpoints, each with path, target and auth"
	for document, at := range map[string]string{
		"":                    "handfast.yaml:1:1: " + where,
		"# nothing\n":         "handfast.yaml:1:1: " + where,
		"---\n":               "handfast.yaml:1:1: " + where,
		"{}\n":                "handfast.yaml:1:1: " + where,
		"log: {}\n":           "handfast.yaml:1:1: " + where,
		jwtMethod:             "handfast.yaml:1:1: " + where,
		"endpoints: []\n":     "handfast.yaml:1:1: " + where,
		"endpoints:\n":        "handfast.yaml:1:1: endpoints: empty value; expected a list, [] for none",
		"endpoints: # gone\n": "handfast.yaml:1:1: endpoints: empty value; expected a list, [] for none",
	} {
		file := folder(t, document)
		for how, load := range map[string]func() (*Config, error){
			"Load":  func() (*Config, error) { return Load(Sources{File: file}) },
			"Parse": func() (*Config, error) { return Parse(file, []byte(document)) },
		} {
			c, err := load()
			if err == nil {
				t.Errorf("%s of %q: no error, and %d endpoints", how, document, len(c.Endpoints))
			} else if got := problems(t, err, filepath.Dir(file)); len(got) != 1 || got[0] != at {
				t.Errorf("%s of %q:\ngot  %s\nwant %s", how, document, strings.Join(got, "\n     "), at)
			}
		}
	}
}

// The environment and flags may define endpoints that the file lacks.
func TestEndpointsBesideTheFile(t *testing.T) {
	c, err := Load(Sources{File: folder(t, "log: {}\n"), Environ: []string{"HANDFAST_ENDPOINTS=[{path: /x, target: echo, auth: [anonymous]}]"}})
	if err != nil || len(c.Endpoints) != 1 || c.Endpoints[0].Path != "/x" {
		t.Errorf("%+v, %v", c, err)
	}
}

// Without a file, the default endpoints admit every client, unless a variable sets endpoints, or is meant to do so but is invalid.
func TestDefaultEndpointWithoutFile(t *testing.T) {
	const missing = "endpoints: required"
	for _, tt := range []struct {
		environ string
		want    string // part of the error; "" means that the echo is served
	}{
		{"", ""},
		{"HANDFAST_LOG_LEVEL=debug", ""},
		{"HANDFAST_ENDPOINTS=[]", "environment variable HANDFAST_ENDPOINTS: " + missing},
		{"HANDFAST_ENDPOINTS=", "environment variable HANDFAST_ENDPOINTS: endpoints: the variable is empty"},
		{"HANDFAST_AUTH=", "environment variable HANDFAST_AUTH: auth: the variable is empty"},
		{"HANDFAST_CONFIG=", "environment variable HANDFAST_CONFIG: the variable is empty"},
		{"HANDFAST_AUTH={users: {jwt: {jwks_url: 'https://x.org/'}}}", missing},
	} {
		c, err := Load(Sources{Environ: []string{tt.environ}})
		switch {
		case tt.want == "" && (err != nil || len(c.Endpoints) != 5 || c.Endpoints[0].Name != "echo" || c.Endpoints[1].Name != "channels"):
			t.Errorf("%s: %+v, %v", tt.environ, c, err)
		case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v, want %s", tt.environ, err, tt.want)
		}
	}
}

// Features that a file does not mention are off, and limits are on.
func TestMissingSections(t *testing.T) {
	c, err := Parse("f.yaml", []byte("endpoints: [{path: /x, target: echo, auth: [anonymous]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Listen) != 1 || c.Listen[0].Address != "localhost:8443" || c.Listen[0].TLS.Mode != TLSDev {
		t.Errorf("listen: %+v", c.Listen)
	}
	e := c.Endpoints[0]
	if e.Origins.Any || len(e.Origins.List) > 0 || e.Compression.Enabled || e.MaxMessage != 1<<20 || !e.Expiry.Close {
		t.Errorf("endpoint: %+v", e)
	}
	if c.Console || !c.Admin.Address.Off() || c.Admin.Pprof || len(c.TrustedProxies) > 0 || c.Logout.Path != "" {
		t.Errorf("a feature is on: %+v", c)
	}
	if c.Limits.Connections == 0 || c.Limits.PendingHandshakes == 0 || c.Limits.AuthCalls == 0 || c.HTTP.HeadTimeout == 0 {
		t.Errorf("no bounds: %+v, %+v", c.Limits, c.HTTP)
	}
}
