package config

import (
	"embed"
	"fmt"
	"strings"
	"sync"

	"github.com/handfast/handfast/config/internal/tree"
)

//go:generate go run ../cmd/handfast config doc --markdown --force --output ../docs/config.md
//go:generate go run ../cmd/handfast config default --force --output ../docs/handfast.example.yaml

// The source files, whose comments document the keys.
//
//go:embed keys*.go target*.go engine*.go
var sources embed.FS

var comments = sync.OnceValue(func() tree.Comments {
	c, err := tree.ReadComments(sources)
	if err != nil {
		panic(fmt.Sprintf("config: %v", err)) // the files are part of this program, so they can be parsed
	}
	return c
})

var reference = sync.OnceValue(func() *tree.Reference { return tree.NewReference(&Config{}, comments()) })

//go:embed intro.md
var intro string

// Markdown returns the reference of all keys, for docs/config.md.
func Markdown() string { return intro + reference().Markdown() }

// Doc returns the reference of a key and of the keys below it, for a terminal: "endpoints", "listen.tls.mode". "" means all of it. Brackets
// and stars may be omitted. If there is no such key, instead contains similar keys.
func Doc(key string) (text string, instead []string) { return reference().Doc(key) }

// Keys returns the path of every key: "listen[].tls.mode", "auth.*.jwt.secret".
func Keys() []string { return reference().Keys() }

// Example returns a file that has the same meaning as [Default], with comments on everything. Keys without a value are commented
// out, with no space after the #; other comments have one.
func Example() string {
	var b strings.Builder
	b.WriteString("# Every setting of handfast, with its default. \"handfast config check\" reports what is wrong with a file.\n")
	b.WriteString("# A line that begins with # and no space is an unset setting: remove the # to set it.\n")
	return b.String() + tree.Example(Default(), comments())
}

// YAML returns the configuration as a YAML document: every value, whether or not it was given, without comments. Secrets are
// [redacted].
func (c *Config) YAML() string { return tree.YAML(c) }

// Schema returns a JSON Schema (draft 2020-12) for configuration files. It accepts every valid file, and some that are not: [Parse]
// checks the rest.
func Schema() string { return tree.Schema(&Config{}, "A configuration of handfast", comments()) }
