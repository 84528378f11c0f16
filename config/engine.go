package config

import (
	"reflect"

	"github.com/handfast/handfast/config/internal/tree"
)

// Engine connects the nodes of a cluster, and stores the state of channels.
type Engine struct {
	Kind     string // "memory", "nats" or "redis"
	Settings any    // a pointer to the settings of that kind, such as *MemoryEngine
}

// engines are the known kinds. Each kind has its own file with its keys, engine_NAME.go, which registers it when the program
// starts.
var engines []tree.Kind

// registerEngine adds a kind of engine, whose settings are an S. The comment on S is the documentation of its key.
func registerEngine[S any](key string) {
	engines = append(engines, tree.Kind{Key: key, Settings: reflect.TypeFor[S]()})
}

// Kinds returns the known kinds.
func (Engine) Kinds() []tree.Kind { return engines }

// Engines returns the names of the known kinds, memory first.
func Engines() []string {
	var names []string
	for _, k := range engines {
		names = append(names, k.Key)
	}
	return names
}

// derive sets the in-memory engine if none is given.
func (e *Engine) derive() {
	if e.Kind == "" {
		*e = Engine{Kind: "memory", Settings: &MemoryEngine{}}
	}
}
