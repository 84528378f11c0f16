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

// The comments on the keys are in the binary as they are in the source.
//
//go:embed keys*.go target*.go engine*.go
var sources embed.FS

var comments = sync.OnceValue(func() tree.Comments {
	c, err := tree.ReadComments(sources)
	if err != nil {
		panic(fmt.Sprintf("config: %v", err)) // they compile
	}
	return c
})

var reference = sync.OnceValue(func() *tree.Reference { return tree.NewReference(&Config{}, comments()) })

//go:embed intro.md
var intro string

// Markdown returns the reference, docs/config.md.
func Markdown() string { return intro + reference().Markdown() }

// Doc returns the reference of a key for a terminal, of what is below it too: "endpoints", "listen.tls.mode". "" is all of
// it. Brackets and stars need not be given. When there is no such key, instead has those that may have been meant.
func Doc(key string) (text string, instead []string) { return reference().Doc(key) }

// Keys returns the path of every key: "listen[].tls.mode", "auth.*.jwt.secret".
func Keys() []string { return reference().Keys() }

// Example returns a file that says what [Default] says, with a comment on everything. What has no value is a comment without
// a space behind the #; other comments have one.
func Example() string {
	var b strings.Builder
	b.WriteString("# Every setting of handfast, with its default. \"handfast config check\" reports what is wrong with a file.\n")
	b.WriteString("# A line that begins with # and no space is an unset setting: remove the # to set it.\n")
	return b.String() + tree.Example(Default(), comments())
}

// YAML returns the configuration as a file: every value, whether it was given or not, without comments. Secrets are [redacted].
func (c *Config) YAML() string { return tree.YAML(c) }

// Schema returns a JSON Schema (draft 2020-12) of a configuration file. It accepts all that is one, and more: [Parse] checks the rest.
func Schema() string { return tree.Schema(&Config{}, "A configuration of handfast", comments()) }
