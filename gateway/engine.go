package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/redisengine"
	"github.com/handfast/handfast/internal/nextstep"
	"github.com/handfast/handfast/observe"
)

// CheckEngine returns the problems of the engine's configuration that can be found without its servers: a URL that is not valid, or
// a file that is missing or has invalid content.
func CheckEngine(cfg *config.Config) []*config.Problem {
	var problems []*config.Problem
	wrong := func(path string, err error, want string) {
		if err == nil {
			return
		}
		want = cmp.Or(nextstep.Of(err), want)
		problems = append(problems, cfg.Problem("hub.engine."+path, strings.TrimPrefix(err.Error(), "redisengine: "), want))
	}
	switch set := cfg.Hub.Engine.Settings.(type) {
	case *config.RedisEngine:
		if set.URL.Empty() {
			break // a missing URL is reported by another check
		}
		_, err := redisengine.New(redisengine.Options{URL: set.URL.Reveal()})
		wrong("redis.url", err, "such as redis://user:password@127.0.0.1:6379/0")
	case *config.NATSEngine:
		const pem = "a PEM file with certificates"
		if set.CA != "" {
			_, err := authorities(string(set.CA))
			wrong("nats.ca", err, pem)
		}
		if set.Credentials != "" {
			_, err := os.Stat(string(set.Credentials))
			wrong("nats.credentials", err, "a file with the JWT and the seed of a user")
		}
		if c := &set.Cluster; c.Cert != "" && c.CA != "" {
			_, err := authorities(string(c.CA))
			wrong("nats.cluster.ca", err, pem)
			_, err = nodeCertificate(c)
			key := "cert"
			if fault, ok := errors.AsType[*certs.Error](err); ok && c.Key != "" && fault.Path == string(c.Key) {
				key = "key"
			}
			wrong("nats.cluster."+key, err, pem)
		}
	}
	return problems
}

// engineState returns a function that logs when the engine fails and when it works again; nil for the in-memory engine, which
// always works.
func engineState(cfg *config.Config, log *slog.Logger) func(error) {
	if _, memory := cfg.Hub.Engine.Settings.(*config.MemoryEngine); memory {
		return nil
	}
	return func(err error) {
		if err != nil {
			log.Warn(observe.EventEngine, observe.KeyError, err)
			return
		}
		log.Info(observe.EventEngineReady)
	}
}

// newEngine creates the configured engine. Unreachable servers are not an error: the engine keeps trying, and the server is not ready in
// the meantime. An engine that holds resources after [hub.Engine.Run] has returned implements [io.Closer].
func newEngine(cfg *config.Config, log *slog.Logger) (hub.Engine, error) {
	warn := func(text string) { log.Warn(observe.EventEngine, observe.KeyError, text) }
	switch set := cfg.Hub.Engine.Settings.(type) {
	case *config.MemoryEngine:
		return hub.NewMemory().Node(), nil
	case *config.RedisEngine:
		return redisengine.New(redisengine.Options{URL: set.URL.Reveal(), Prefix: set.Prefix, Warn: warn})
	case *config.NATSEngine:
		return newNATS(set, maxKept(cfg), log, warn)
	}
	return nil, fmt.Errorf("there is no engine %s", cfg.Hub.Engine.Kind)
}
