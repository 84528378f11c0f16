package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/handfast/handfast/config"
)

func TestMain(m *testing.M) {
	// After a 431 net/http lingers for half a second, so that the client can read it; nothing waits for that to end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// plainConfig is the default configuration on other addresses, without TLS.
func plainConfig(addrs ...string) *config.Config {
	cfg := config.Default()
	listen := cfg.Listen[0]
	listen.TLS = config.TLS{Mode: config.TLSOff, ClientAuth: config.ClientAuthOff}
	cfg.Listen = nil
	for _, addr := range addrs {
		listen.Address = config.Address(addr)
		cfg.Listen = append(cfg.Listen, listen)
	}
	return cfg
}

// parse makes a configuration of YAML. Without a listener it has one on 127.0.0.1 without TLS.
func parse(t *testing.T, text string, args ...any) *config.Config {
	t.Helper()
	text = fmt.Sprintf(strings.ReplaceAll(text, "\t", "  "), args...)
	if !strings.Contains("\n"+text, "\nlisten:") {
		text = "listen: [{address: \"127.0.0.1:0\", tls: off}]\n" + text
	}
	cfg, err := config.Parse(t.TempDir()+"/test.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

// output is what was written, by anybody, read by anybody.
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

func (o *output) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(o, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start runs a server until the test is over, or until the function that it returns is called.
func start(t *testing.T, opts Options) (s *Server, stop func() error) {
	t.Helper()
	if opts.Config == nil {
		opts.Config = plainConfig("127.0.0.1:0")
	}
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-served
	})
	t.Cleanup(func() {
		s.Close()
		if err := stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, stop
}
