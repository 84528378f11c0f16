package gateway

import (
	"fmt"
	"log/slog"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/hub"
)

// newEngine makes the engine that a configuration names. An engine whose servers cannot be reached is no error: it goes on
// trying, and the server is not ready meanwhile. One that has more to close than the end of [hub.Engine.Run] closes is an
// [io.Closer].
func newEngine(cfg config.Engine, _ *slog.Logger) (hub.Engine, error) {
	switch cfg.Settings.(type) {
	case *config.MemoryEngine:
		return hub.NewMemory().Node(), nil
	}
	return nil, fmt.Errorf("there is no engine %s", cfg.Kind)
}
