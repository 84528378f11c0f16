package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/redact"
)

// withEngine returns a configuration with an engine.
func withEngine(kind string, settings any) *config.Config {
	cfg := plainConfig("127.0.0.1:0")
	cfg.Hub.Engine.Kind, cfg.Hub.Engine.Settings = kind, settings
	return cfg
}

// nodeFiles writes the certificates of a cluster, and returns the paths of the authority, of a node, and of a key that does not
// match the node's certificate.
func nodeFiles(t *testing.T) (ca, node, key config.Path) {
	t.Helper()
	authority, caFile := issue(t, "nodes", caTemplate(), nil)
	_, nodeFile := issue(t, "node", &x509.Certificate{DNSNames: []string{"localhost"}}, authority)
	_, other := issue(t, "other", &x509.Certificate{}, authority)
	text, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(keyFile, text[strings.Index(string(text), "-----BEGIN PRIVATE KEY"):], 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Path(caFile), config.Path(nodeFile), config.Path(keyFile)
}

// Errors in an engine's configuration are found without contacting its servers, and are reported with their keys.
func TestCheckEngine(t *testing.T) {
	ca, node, other := nodeFiles(t)
	noPEM := config.Path(filepath.Join(t.TempDir(), "text"))
	if err := os.WriteFile(string(noPEM), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	const none = config.Path("/nowhere/none.pem")
	url := config.NewSecret("nats://127.0.0.1:4222")
	cluster := func(cert, key, ca config.Path) *config.NATSEngine {
		return &config.NATSEngine{Cluster: config.NATSCluster{Cert: cert, Key: key, CA: ca}}
	}
	for _, tt := range []struct {
		name     string
		settings any
		want     string // the paths with a problem
	}{
		{"memory", &config.MemoryEngine{}, ""},
		{"redis", &config.RedisEngine{URL: config.NewSecret("redis://127.0.0.1:1")}, ""},
		{"redis without a URL, which was found", &config.RedisEngine{}, ""},
		{"redis with a bad URL", &config.RedisEngine{URL: config.NewSecret("ftp://127.0.0.1:1")}, "redis.url"},
		{"nats", &config.NATSEngine{}, ""},
		{"nats elsewhere", &config.NATSEngine{URL: url, CA: ca, Credentials: node}, ""},
		{"no authority", &config.NATSEngine{URL: url, CA: none}, "nats.ca"},
		{"an invalid authority", &config.NATSEngine{URL: url, CA: noPEM}, "nats.ca"},
		{"no credentials", &config.NATSEngine{URL: url, Credentials: none}, "nats.credentials"},
		{"a cluster", cluster(node, "", ca), ""},
		{"a cluster with a key", cluster(node, node, ca), ""},
		{"a certificate without an authority, which was found", cluster(none, "", ""), ""},
		{"an authority without a certificate, which was found", cluster("", "", none), ""},
		{"no authority of nodes", cluster(node, "", none), "nats.cluster.ca"},
		{"no certificate", cluster(none, "", ca), "nats.cluster.cert"},
		{"no key", cluster(node, none, ca), "nats.cluster.key"},
		{"another key", cluster(node, other, ca), "nats.cluster.key|nats.cluster.cert"},
		{"nothing", cluster(none, none, none), "nats.cluster.ca nats.cluster.cert|nats.cluster.ca nats.cluster.key"},
	} {
		var paths []string
		for _, p := range CheckEngine(withEngine("", tt.settings)) {
			paths = append(paths, strings.TrimPrefix(p.Path, "hub.engine."))
			if p.Want == "" || strings.HasPrefix(p.Text, "redisengine") {
				t.Errorf("%s: %v", tt.name, p)
			}
		}
		if got := strings.Join(paths, " "); !slices.Contains(strings.Split(tt.want, "|"), got) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The settings for external servers are passed to the engine.
func TestNATSOptions(t *testing.T) {
	ca, _, _ := nodeFiles(t)
	cfg := &config.NATSEngine{URL: config.NewSecret("nats://127.0.0.1:1"), Credentials: "c", Prefix: "p", Replicas: 3, MaxBytes: 1 << 20}
	o, err := natsOptions(cfg, 7)
	if err != nil || o.URL != "nats://127.0.0.1:1" || o.Credentials != "c" || o.Prefix != "p" || o.Replicas != 3 || o.MaxBytes != 1<<20 ||
		o.MaxHistory != 7 || o.TLS != nil || o.Server != nil {
		t.Errorf("%+v, %v", o, err)
	}
	cfg.CA = ca
	if o, err := natsOptions(cfg, 7); err != nil || o.TLS == nil || o.TLS.RootCAs == nil || o.TLS.MinVersion != tls.VersionTLS12 {
		t.Errorf("with a CA: %+v, %v", o.TLS, err)
	}
	cfg.CA = "/nowhere/none.pem"
	if _, err := newEngine(withEngine("nats", cfg), nil); err == nil {
		t.Error("a missing CA file: no error")
	}
	cfg.CA = ""
	if e, err := newEngine(withEngine("nats", cfg), nil); err != nil || e == nil {
		t.Errorf("%v, %v", e, err)
	}
	cfg.URL = config.NewSecret("")
	cfg.CA = "/nowhere/none.pem" // the setting applies only to external servers
	if o, err := natsOptions(cfg, 7); err != nil || o.TLS != nil {
		t.Errorf("inside: %+v, %v", o.TLS, err)
	}
	if _, err := newEngine(withEngine("other", nil), nil); err == nil || !strings.Contains(err.Error(), "other") {
		t.Error(err)
	}
	if e, err := newEngine(withEngine("redis", &config.RedisEngine{URL: config.NewSecret("redis://127.0.0.1:1")}), nil); err != nil || e == nil {
		t.Errorf("%v, %v", e, err)
	}
}

// The settings for the embedded server are passed on, with defaults.
func TestNATSEmbedded(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	ca, node, _ := nodeFiles(t)
	var log output
	warn := func(text string) { log.Write([]byte(text)) } //nolint:errcheck // Write of the test output does not fail
	e, err := embedded(&config.NATSEngine{}, warn)
	if err != nil || e.Dir != filepath.Join(state, "handfast", "nats", "alone") || e.Secret != "" || e.TLS != nil || e.ClusterListen != "" || e.SyncAlways {
		t.Errorf("alone: %+v, %v", e, err)
	}
	e.Warn("careful")
	e, err = embedded(&config.NATSEngine{SyncAlways: true, Cluster: config.NATSCluster{Listen: "[::1]:6222", Join: []config.Address{"127.0.0.1:1", "127.0.0.1:2"}}},
		warn)
	if err != nil || filepath.Base(e.Dir) != "___1__6222" || len(e.Secret) < 20 || !slices.Equal(e.Join, []string{"127.0.0.1:1", "127.0.0.1:2"}) || !e.SyncAlways {
		t.Errorf("on loopback: %+v, %v", e, err)
	}
	e.Warn("the secret is " + e.Secret)
	if got := log.String(); !strings.Contains(got, "careful") || strings.Contains(got, e.Secret) || !strings.Contains(got, redact.Mark) {
		t.Error(got)
	}
	cfg := &config.NATSEngine{Dir: "d", Cluster: config.NATSCluster{Listen: "10.0.0.1:6222", Secret: config.NewSecret("s"), Cert: node, CA: ca}}
	e, err = embedded(cfg, nil)
	if err != nil || e.Dir != "d" || e.Secret != "s" || e.TLS == nil || len(e.TLS.Certificates) != 1 || e.TLS.RootCAs == nil || e.TLS.ClientCAs == nil ||
		e.TLS.ClientAuth != tls.RequireAndVerifyClientCert || e.TLS.MinVersion != tls.VersionTLS12 {
		t.Errorf("%+v, %v", e, err)
	}
	for _, c := range []config.NATSCluster{{Cert: "/nowhere/none.pem", CA: ca}, {Cert: node, CA: "/nowhere/none.pem"}} {
		if _, err := embedded(&config.NATSEngine{Dir: "d", Cluster: c}, nil); err == nil {
			t.Errorf("%+v", c)
		}
	}
	for _, name := range []string{"XDG_STATE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, "")
	}
	for _, c := range []config.NATSEngine{{}, {Dir: "d", Cluster: config.NATSCluster{Listen: "127.0.0.1:6222"}}} {
		if _, err := embedded(&c, nil); err == nil {
			t.Errorf("without a place: %+v", c)
		}
	}
}

// A server with embedded NATS has exclusive use of its directory, and releases it.
func TestNATSInside(t *testing.T) {
	const text = `
apps: [{id: main, secret: s}]
endpoints: [{name: rooms, path: /rooms, target: channels, auth: [anonymous], rules: [{do: allow}]}]
hub: {engine: {nats: {dir: %q}}, namespaces: [{history: 5}]}
`
	dir := t.TempDir()
	r := run(t, parse(t, text, dir))
	waitForLog(t, &r.log, `msg="the engine of channels is ready"`)
	_, err := Open(t.Context(), Options{Config: parse(t, text, dir)})
	var wrong *config.Problem
	if !errors.As(err, &wrong) || wrong.Path != "hub.engine" || !strings.Contains(wrong.Hint, "--cluster-listen") {
		t.Errorf("a second server: %v", err)
	}
	c := r.open(t, "/rooms", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"type":"publish","id":1,"channel":"chat","data":1}`), `"published"`)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(r.log.String(), "cluster listens") {
		t.Error("a server without a cluster listens for one")
	}
	var log output
	e, err := newNATS(&config.NATSEngine{Dir: config.Path(dir), Prefix: "p", Cluster: config.NATSCluster{Listen: "127.0.0.1:0", Secret: config.NewSecret("s")}}, 5,
		slog.New(slog.NewTextHandler(&log, nil)), func(string) {})
	if err != nil {
		t.Fatalf("the directory was not released: %v", err)
	}
	if err := e.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
	waitForLog(t, &log, "level=INFO", `msg="cluster listens"`, "address=127.0.0.1:", "file="+dir)
}

// A stream has the limit of the channel that keeps the most messages.
func TestMostKept(t *testing.T) {
	cfg := &config.Config{}
	if got := maxKept(cfg); got != 100_000 {
		t.Error(got)
	}
	cfg.Hub.Namespaces = []config.Namespace{{History: 200_000}, {History: 5}}
	if got := maxKept(cfg); got != 200_000 {
		t.Error(got)
	}
	cfg.Endpoints = []config.Endpoint{{}, {Target: config.Target{Settings: &config.Streams{History: 300_000}}}}
	if got := maxKept(cfg); got != 300_000 {
		t.Error(got)
	}
}

// A line is logged when an engine with external servers starts to work, and when it fails.
func TestEngineState(t *testing.T) {
	var out output
	log := slog.New(slog.NewTextHandler(&out, nil))
	if engineState(withEngine("memory", &config.MemoryEngine{}), log) != nil {
		t.Error("the in-memory engine is logged")
	}
	report := engineState(withEngine("nats", &config.NATSEngine{}), log)
	report(nil)
	report(errors.New("no leader"))
	want := "level=INFO msg=\"the engine of channels is ready\"\n" +
		"level=WARN msg=\"trouble with the engine of channels\" error=\"no leader\"\n"
	var got strings.Builder
	for line := range strings.Lines(out.String()) {
		_, text, _ := strings.Cut(line, " ") // skip the time
		got.WriteString(text)
	}
	if got.String() != want {
		t.Errorf("the log is\n%swant\n%s", got.String(), want)
	}
}
