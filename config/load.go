package config

import (
	"slices"
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// Problem is one problem of a configuration.
type Problem = tree.Problem

// Error is a list of all problems of a configuration, in the order of the file.
type Error = tree.Error

// Pos is the position of a value.
type Pos = tree.Pos

// Change is one difference between two configurations.
type Change = tree.Change

// NewError combines problems, sorted by position; it returns nil if there are none.
func NewError(problems []*Problem) error { return tree.NewError(problems) }

// Diff returns the differences, in the order of the reference. It contains no secrets: a changed secret is [redacted] in both
// values.
func Diff(before, after *Config) []Change { return tree.Diff(before, after) }

// Sources are the sources of a configuration. Later fields of this struct take precedence.
type Sources struct {
	File    string    // a YAML file; "" means none
	Bare    bool      // whether a configuration without a file begins with no endpoints instead of [Default]
	Environ []string  // variables as returned by os.Environ; only names that begin with HANDFAST_ are used
	Set     []Setting // flags

	// Settings returns additional flags, whose paths depend on the configuration. It is called with the configuration without these flags,
	// before the checks. May be nil.
	Settings func(*Config) ([]Setting, error)

	// Read is called before Check and Try, which may take long, if the configuration has no problems so far. May be nil.
	Read func(*Config)

	// Check returns additional problems, such as rules that do not compile, to be reported along with the rest. It is called even if there
	// are problems already, with the values that could be read, but not if the file is not YAML. May be nil.
	Check func(*Config) []*Problem

	// Try is like Check, but is called only if there are no problems so far, so it may create the objects that the configuration describes.
	// May be nil.
	Try func(*Config) []*Problem
}

// Setting is a value that was given by a flag or a similar source.
type Setting struct {
	Path  string // "listen[0].address"
	Value string // the value, in the form of an environment variable
	From  string // the source, for messages: "--listen"
}

// Load creates a configuration, and checks it. The error is an [*Error] with all problems, or an error of Settings.
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
	return c.finish(s)
}

// Parse creates a configuration from a YAML document only, and checks it. The name is used in messages; paths in the document are relative
// to the directory of name. The error is an [*Error].
func Parse(name string, document []byte) (*Config, error) {
	c := base()
	c.source = tree.New(c)
	if err := c.source.Document(name, document); err != nil {
		return nil, NewError([]*Problem{err})
	}
	return c.finish(Sources{})
}

// finish derives defaults and checks the configuration.
func (c *Config) finish(s Sources) (*Config, error) {
	c.derive()
	c.source.Check()
	k := &checker{c.source, c}
	k.checkMeaning()
	if k.tree.Err() == nil && s.Read != nil {
		s.Read(c)
	}
	if s.Check != nil {
		for _, p := range s.Check(c) {
			if !k.tree.Failed(p.Path) { // an earlier problem with the same value would be the cause of this one
				k.tree.Report(p)
			}
		}
	}
	if k.tree.Err() == nil && s.Try != nil {
		for _, p := range s.Try(c) {
			k.tree.Report(p)
		}
	}
	if err := k.tree.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// The prefix of the environment variables of handfast.
const envPrefix = "HANDFAST_"

// EnvFile names the configuration file, unless a flag does. [Load] ignores it: the caller must set Sources.File.
const EnvFile = envPrefix + "CONFIG"

// IsVariable reports whether an environment variable, "NAME=value", may be a setting.
func IsVariable(kv string) bool {
	name, text, _ := strings.Cut(kv, "=")
	return strings.HasPrefix(name, envPrefix) && text != "" && name != EnvFile && !serviceLink(name)
}

// environ applies the environment variables. It ignores an empty variable, but reports a problem if ignoring the variable would open the
// server to all clients. Without a file, authentication methods in the environment remove the default endpoints, which are open to all.
func (c *Config) environ(environ []string, noFile bool) {
	paths := map[string]string{envPrefix + "ENDPOINTS": "endpoints", envPrefix + "AUTH": "auth"}
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		if path := paths[name]; text == "" && (path != "" || name == EnvFile && noFile) {
			c.source.Report(&Problem{Pos: Pos{File: "environment variable " + name}, Path: path, Text: "the variable is empty",
				Want: "a value, which protects the server, or no such variable"})
		}
	}
	c.source.Environ(envPrefix, environ, func(name string) bool { return name == EnvFile || serviceLink(name) })
	if noFile && len(c.Auth) > 0 && !c.source.Given("endpoints") {
		c.Endpoints = nil
	}
}

// serviceLink reports whether a variable is one that Kubernetes and Docker set for a service called handfast, or handfast-something:
// HANDFAST_PORT=tcp://10.0.0.1:8443, HANDFAST_SERVICE_HOST. No key of the configuration contains these words.
func serviceLink(name string) bool {
	return strings.Contains(name+"_", "_PORT_") || strings.Contains(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT")
}

// Problem returns a problem with the value at a path, for a caller that finds out later that the value cannot be used, such as a
// rule that does not compile. The text is complete except for position and path.
func (c *Config) Problem(path, text, want string) *Problem { return c.tree().Problem(path, text, want) }

// ProblemIn is like Problem, for a position within a value that is a text. line and column begin with 1, and are relative to the text.
func (c *Config) ProblemIn(path string, line, column int, text, want string) *Problem {
	return c.tree().ProblemIn(path, line, column, text, want)
}

// Pos returns the position of the value at a path, "endpoints[0].rules[1].when", or, if that value was not given, the position of the value
// that contains it. The zero Pos means that the value is a default.
func (c *Config) Pos(path string) Pos { return c.tree().Pos(path) }

// Files returns the files that were read: the configuration, and files with secrets or keys. If one of them changes, the
// configuration should be loaded again.
func (c *Config) Files() []string { return c.tree().Files() }

// Secrets returns the files that contain secrets or their hashes: the files that the configuration names, and the configuration file itself
// if it contains a secret.
func (c *Config) Secrets() []string { return c.tree().Secrets() }

// tree returns the tree with the sources of the values.
func (c *Config) tree() *tree.Tree {
	if c.source == nil {
		return tree.New(c)
	}
	return c.source
}
