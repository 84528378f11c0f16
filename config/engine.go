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

// engines are the known kinds. The keys of each kind are in a file of their own, engine_NAME.go, which registers the kind when the program
// starts.
var engines []tree.Kind

// registerEngine adds a kind of engine whose settings are of type S. The comment on S is the documentation of the key.
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
