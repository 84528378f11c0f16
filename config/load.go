package config

import (
	"slices"
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// Problem is one thing that is wrong with a configuration.
type Problem = tree.Problem

// Error is all that is wrong with a configuration, in the order of the file.
type Error = tree.Error

// Pos is where a value was given.
type Pos = tree.Pos

// Change is one difference between two configurations.
type Change = tree.Change

// NewError combines problems, sorted by where they are; it returns nil when there are none.
func NewError(problems []*Problem) error { return tree.NewError(problems) }

// Diff returns what is different, in the order of the reference. It holds no secret: one that was changed is [redacted] both
// times.
func Diff(before, after *Config) []Change { return tree.Diff(before, after) }

// Sources are where a configuration comes from. What comes later in this struct wins.
type Sources struct {
	File    string    // a YAML file; "" means none
	Bare    bool      // without a file, nothing is served but what Environ and the flags say; otherwise [Default] is
	Environ []string  // as os.Environ has it; of it, what begins with HANDFAST_
	Set     []Setting // flags

	// Settings returns more flags, whose paths depend on how much there is: it sees the configuration as it is without
	// them, before it is checked. nil if there are none.
	Settings func(*Config) ([]Setting, error)

	// Check may find more that is wrong, such as rules that do not compile, to be reported along with the rest. It is called
	// even when there are problems already, with what could be read; not when the file is not YAML. nil means nothing more.
	Check func(*Config) []*Problem

	// Try is like Check, and is called only when nothing is wrong so far: it may make what the configuration describes. nil means
	// nothing is made.
	Try func(*Config) []*Problem
}

// Setting is one value that was given by a flag, or the like.
type Setting struct {
	Path  string // "listen[0].address"
	Value string // as in an environment variable
	From  string // what gave it, for messages: "--listen"
}

// Load makes a configuration, and checks it. The error is an [*Error] with all that is wrong, or that of Settings.
func Load(s Sources) (*Config, error) {
	c := base()
	if s.File == "" && !s.Bare {
		c = openToAll()
	}
	c.source = tree.New(c)
	if s.File != "" {
		if err := c.source.File(s.File); err != nil {
			return nil, NewError([]*Problem{err})
		}
	}
	c.environ(s.Environ, s.File == "" && !s.Bare)
	settings := s.Set
	if s.Settings != nil {
		more, err := s.Settings(c)
		if err != nil {
			return nil, err
		}
		settings = append(slices.Clip(settings), more...)
	}
	for _, set := range settings {
		c.source.Set(set.Path, set.Value, set.From)
	}
	return c.finish(s.Check, s.Try)
}

// Parse makes a configuration from a YAML document and nothing else, and checks it. The name is for messages; files that
// the document names are relative to its directory. The error is an [*Error].
func Parse(name string, document []byte) (*Config, error) {
	c := base()
	c.source = tree.New(c)
	if err := c.source.Document(name, document); err != nil {
		return nil, NewError([]*Problem{err})
	}
	return c.finish(nil, nil)
}

// finish derives and checks.
func (c *Config) finish(more, try func(*Config) []*Problem) (*Config, error) {
	c.derive()
	c.source.Check()
	k := &checker{c.source, c}
	k.meaning()
	if more != nil {
		for _, p := range more(c) {
			if !k.Failed(p.Path) { // else there is a problem with it already, of which this is the consequence
				k.Report(p)
			}
		}
	}
	if k.Err() == nil && try != nil {
		for _, p := range try(c) {
			k.Report(p)
		}
	}
	if err := k.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// The environment variables that belong to handfast begin with this.
const envPrefix = "HANDFAST_"

// EnvFile names the configuration file, when no flag does. [Load] leaves it to its caller.
const EnvFile = envPrefix + "CONFIG"

// IsVariable reports whether an environment variable, "NAME=value", is one that may set something.
func IsVariable(kv string) bool {
	name, text, _ := strings.Cut(kv, "=")
	return strings.HasPrefix(name, envPrefix) && text != "" && name != EnvFile && !serviceLink(name)
}

// environ sets what environment variables say. An empty variable is as one that is not set, except for those without which the
// server would be open to everybody. Without a file, methods in the environment take the echo for everybody away.
func (c *Config) environ(environ []string, noFile bool) {
	paths := map[string]string{envPrefix + "ENDPOINTS": "endpoints", envPrefix + "AUTH": "auth"}
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		if path := paths[name]; text == "" && (path != "" || name == EnvFile && noFile) {
			c.source.Report(&Problem{Pos: Pos{File: "environment variable " + name}, Path: path, Text: "it is empty",
				Want: "a value that protects the server, or no such variable"})
		}
	}
	c.source.Environ(envPrefix, environ, func(name string) bool { return name == EnvFile || serviceLink(name) })
	if noFile && len(c.Auth) > 0 && !c.source.Given("endpoints") {
		c.Endpoints = nil
	}
}

// serviceLink reports whether a variable is one that Kubernetes and Docker set for a service called handfast, or
// handfast-something: HANDFAST_PORT=tcp://10.0.0.1:8443, HANDFAST_SERVICE_HOST. No key of ours has such a word in it.
func serviceLink(name string) bool {
	return strings.Contains(name+"_", "_PORT_") || strings.Contains(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT")
}

// Problem returns a problem with the value at a path, for a caller that finds out later that it cannot be used, such as a
// rule that does not compile. The text is complete except for position and path.
func (c *Config) Problem(path, text, want string) *Problem { return c.tree().Problem(path, text, want) }

// ProblemIn is Problem for a place inside of a text: line and column count from 1 in the text of the value.
func (c *Config) ProblemIn(path string, line, column int, text, want string) *Problem {
	return c.tree().ProblemIn(path, line, column, text, want)
}

// Pos returns where the value at a path was given, "endpoints[0].rules[1].when", or what it is part of when it was not
// given itself. The zero Pos means that nothing was given: it is a default.
func (c *Config) Pos(path string) Pos { return c.tree().Pos(path) }

// Files returns the files that were read: the configuration, and those that hold a secret or a key. A change of any of
// them is a reason to load again.
func (c *Config) Files() []string { return c.tree().Files() }

// tree returns where the values come from.
func (c *Config) tree() *tree.Tree {
	if c.source == nil {
		return tree.New(c)
	}
	return c.source
}
