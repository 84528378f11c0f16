package config

import (
	"embed"
	"fmt"
	"strings"
	"sync"

	"github.com/handfast/handfast/config/internal/tree"
)

//go:generate go run ../cmd/handfast config doc --markdown --output ../docs/config.md
//go:generate go run ../cmd/handfast config default --output ../docs/handfast.example.yaml

// The comments on the keys are in the binary as they are in the source.
//
//go:embed keys*.go target*.go
var sources embed.FS

var comments = sync.OnceValue(func() tree.Comments {
	c, err := tree.ReadComments(sources)
	if err != nil {
		panic(fmt.Sprintf("config: %v", err)) // they compile
	}
	return c
})

var reference = sync.OnceValue(func() *tree.Reference { return tree.NewReference(&Config{}, comments()) })

const intro = `# Configuration

Everything that ` + "`handfast serve`" + ` can be told. This page is generated from the program; ` + "`handfast config doc`" + ` prints the
same, ` + "`handfast config doc endpoints`" + ` a part of it, and [the example](handfast.example.yaml) is a file with all defaults,
as ` + "`handfast config default`" + ` prints it.

Values come from, in this order, the defaults, a YAML file (` + "`--config FILE`" + ` or ` + "`HANDFAST_CONFIG`" + `), environment variables
and flags. ` + "`handfast config check FILE`" + ` tells everything that is wrong with a file, with line and column; ` + "`handfast config show`" + `
prints what comes out of all of them.

## Values

- A key that is not in this list is an error, and so is a key that is given twice. Anchors, aliases and ` + "`<<`" + ` work.
- A duration has a unit: ` + "`250ms`, `30s`, `1h30m`" + `. So may a size: ` + "`512`, `64KiB`, `10MB`" + `.
- A network is an address or a prefix: ` + "`::1`, `10.0.0.0/8`" + `. An origin is scheme and host, and the port if it is not the usual
  one: ` + "`https://app.example.com`" + `.
- A file is relative to the directory of the file that names it; in an environment variable or a flag, to the working
  directory.
- A secret has a second key with ` + "`_file`" + ` behind its name: a file that holds it. White space around it does not count. Secrets
  are shown as ` + "`[redacted]`" + ` wherever a configuration is printed.
- Where a mapping has one key that says most, that value alone will do: ` + "`tls: off`, `compression: true`, `target: echo`" + `.

## Environment variables

The path of a key, in capitals, with ` + "`" + `_` + "`" + ` between its parts, behind ` + "`" + `HANDFAST_` + "`" + `:

| variable | key |
|---|---|
| ` + "`" + `HANDFAST_LOG_LEVEL=debug` + "`" + ` | ` + "`" + `log.level` + "`" + ` |
| ` + "`" + `HANDFAST_ADMIN_TOKEN_FILE=/run/secrets/admin` + "`" + ` | ` + "`" + `admin.token` + "`" + `, from a file |
| ` + "`" + `HANDFAST_TRUSTED_PROXIES=10.0.0.0/8,::1` + "`" + ` | a list of values |
| ` + "`" + `HANDFAST_LISTEN='[{address: :8443}]'` + "`" + ` | a list or a mapping as a whole, in YAML: it replaces what the file says |
| ` + "`" + `HANDFAST_AUTH='{users: {jwt: {secret_file: /run/secrets/jwt}}}'` + "`" + ` | the same |

What is in a list or under a name of yours has no variable of its own. A variable that is empty counts as not set, except that
` + "`" + `HANDFAST_CONFIG` + "`" + `, ` + "`" + `HANDFAST_ENDPOINTS` + "`" + ` and ` + "`" + `HANDFAST_AUTH` + "`" + ` must not be empty. One that begins with ` + "`" + `HANDFAST_` + "`" + ` and is no key is
an error, but for those that Kubernetes and Docker set for a service that is called handfast.
`

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
	b.WriteString("# Everything that handfast can be told, with its defaults. \"handfast config check\" tells what is wrong with a file.\n")
	b.WriteString("# A line that begins with # and no space is a setting that is not given: take the # away.\n")
	return b.String() + tree.Example(Default(), comments())
}

// YAML returns the configuration as a file: every value, whether it was given or not, without comments. Secrets are [redacted].
func (c *Config) YAML() string { return tree.YAML(c) }
