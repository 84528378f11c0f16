package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
)

// testOutput collects all output of the servers in these tests, which must not contain any of their secrets.
var testOutput struct {
	output
	secrets sync.Map
}

func TestMain(m *testing.M) {
	code := bounded.Main(m)
	told := testOutput.String()
	testOutput.secrets.Range(func(key, _ any) bool {
		if i := strings.Index(told, key.(string)); i >= 0 {
			fmt.Fprintf(os.Stderr, "FAIL: a secret was logged: %.300q\n", told[max(0, i-200):i+50])
			code = 1
		}
		return true
	})
	os.Exit(code)
}

// secret registers a text that no log may contain.
func secret(text string) string {
	testOutput.secrets.Store(text, true)
	return text
}

// devTestSecret is the secret of the application dev: without it, a server would generate one in this user's state directory.
const devTestSecret = "of the application dev"

// plainConfig is the default configuration on other addresses, without TLS.
func plainConfig(addrs ...string) *config.Config {
	cfg := config.Default()
	cfg.Apps[0].Secret = config.NewSecret(devTestSecret)
	listen := cfg.Listen[0]
	listen.Hosts.Any = true
	listen.TLS = config.TLS{Mode: config.TLSOff, ClientAuth: config.ClientAuthOff}
	cfg.Listen = nil
	for _, addr := range addrs {
		listen.Address = config.Address(addr)
		cfg.Listen = append(cfg.Listen, listen)
	}
	return cfg
}

// parse parses a configuration in YAML, in which a tab may stand for two spaces. If text has no listener, parse adds one on 127.0.0.1,
// without TLS and for any host. If text has no admin listener, parse adds one on 127.0.0.1.
func parse(t *testing.T, text string, args ...any) *config.Config {
	t.Helper()
	text = fmt.Sprintf(strings.ReplaceAll(text, "\t", "  "), args...)
	if !strings.Contains("\n"+text, "\nlisten:") {
		text = "listen: [{address: \"127.0.0.1:0\", hosts: any, tls: off}]\n" + text
	}
	if !strings.Contains("\n"+text, "\nadmin:") {
		text = "admin: {address: \"127.0.0.1:0\"}\n" + text
	}
	cfg, err := config.Parse(t.TempDir()+"/test.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

// output collects written text. It is safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// running is a running server and its output.
type running struct {
	*Server
	log, audited output
	stop         func() error
}

// run runs a server until the test ends, or until its stop is called.
func run(t *testing.T, cfg *config.Config) *running {
	t.Helper()
	return runTargets(t, cfg, nil)
}

// runTargets is run with the given targets instead of the built-in ones.
func runTargets(t *testing.T, cfg *config.Config, targets map[string]newTarget) *running {
	t.Helper()
	r := &running{}
	if cfg.Audit.To == "off" {
		cfg.Audit.To = "stdout"
	}
	r.Server, r.stop = startTargets(t, Options{
		Config: cfg, Stdout: io.MultiWriter(&r.audited, &testOutput),
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(&r.log, &testOutput), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, targets)
	return r
}

// start runs a server until the test ends, or until the returned function is called.
func start(t *testing.T, opts Options) (s *Server, stop func() error) {
	t.Helper()
	return startTargets(t, opts, nil)
}

// startTargets is start with the given targets instead of the built-in ones.
func startTargets(t *testing.T, opts Options, targets map[string]newTarget) (s *Server, stop func() error) {
	t.Helper()
	if opts.Config == nil {
		opts.Config = plainConfig("127.0.0.1:0")
	}
	s, err := openWith(t.Context(), opts, targets)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return bounded.Receive(t, served)
	})
	t.Cleanup(func() {
		_ = json.NewEncoder(&testOutput).Encode(s.rec.refused.List())
		s.Close()
		if err := stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, stop
}
