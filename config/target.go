package config

import (
	"reflect"

	"github.com/handfast/handfast/config/internal/tree"
)

// Target is the target of an endpoint.
type Target struct {
	Kind     string // the name of the kind, such as "echo"
	Settings any    // a pointer to the settings of that kind, such as *Echo
}

// checked is implemented by the settings of targets that need additional checks. path is the endpoint's path in the configuration.
type checked interface {
	check(k *checker, e *Endpoint, path string)
}

// targets are the known kinds. The keys of each kind are in a file of their own, target_NAME.go, which registers the kind when the program
// starts.
var targets []tree.Kind

// registerTarget adds a kind of target whose settings are of type S. The comment on S is the documentation of the key.
func registerTarget[S any](key string) {
	targets = append(targets, tree.Kind{Key: key, Settings: reflect.TypeFor[S]()})
}

// Kinds returns the known kinds.
func (Target) Kinds() []tree.Kind { return targets }
