package config

import (
	"reflect"

	"github.com/handfast/handfast/config/internal/tree"
)

// Target is what an endpoint does.
type Target struct {
	Kind     string // "echo"
	Settings any    // a pointer to the settings of that kind, such as *Echo
}

// checked is implemented by settings of a target that have rules of their own. path is the endpoint's.
type checked interface {
	check(k *checker, e *Endpoint, path string)
}

// targets are the kinds that there are. A kind and its keys are in one file, target_NAME.go, which registers them when the
// program starts.
var targets []tree.Kind

// registerTarget adds a kind of target, whose settings are an S. The comment on S is the documentation of its key.
func registerTarget[S any](key string) {
	targets = append(targets, tree.Kind{Key: key, Settings: reflect.TypeFor[S]()})
}

// Kinds returns the kinds that there are.
func (Target) Kinds() []tree.Kind { return targets }
