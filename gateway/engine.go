package gateway

import (
	"fmt"
	"log/slog"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/redisengine"
	"github.com/handfast/handfast/observe"
)

// newEngine makes the engine that a configuration names. An engine whose servers cannot be reached is no error: it goes on
// trying, and the server is not ready meanwhile. One that has more to close than the end of [hub.Engine.Run] closes is an
// [io.Closer].
func newEngine(cfg *config.Config, log *slog.Logger) (hub.Engine, error) {
	onError := func(err error) { log.Warn(observe.EventEngine, observe.KeyError, err) }
	switch set := cfg.Hub.Engine.Settings.(type) {
	case *config.MemoryEngine:
		return hub.NewMemory().Node(), nil
	case *config.RedisEngine:
		return redisengine.New(redisengine.Options{URL: set.URL.Reveal(), Prefix: set.Prefix, OnError: onError})
	case *config.NATSEngine:
		return newNATS(set, mostKept(cfg), log)
	}
	return nil, fmt.Errorf("there is no engine %s", cfg.Hub.Engine.Kind)
}
