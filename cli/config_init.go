package cli

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/config"
)

// initText is the format of the file that "config init" writes. Its arguments are the secrets for users, for applications and for
// operators.
const initText = `# A small configuration of handfast with secrets of its own: keep it private.
# "handfast config doc KEY" explains a key, "handfast config default" shows all of them.
listen:
  - address: localhost:8443        # :8443 is every address of this machine
    tls: dev                       # files, with files: [{cert: fullchain.pem, key: privkey.pem}], for the public

auth:
  users:
    jwt:                           # tokens that your service signs: HS256, with sub and exp
      secret: %s
      any_audience: false          # audience: [chat] accepts tokens for that audience
      from: [bearer, subprotocol]  # browsers offer the subprotocol handfast.token.TOKEN

apps:
  - id: main
    secret: %s

endpoints:
  - path: /channels
    target: channels
    auth: [users]
    rules:
      - do: allow                  # everything, for users with a token
    origins: []                    # further origins whose pages may connect: [https://app.example.com]

admin:
  address: 127.0.0.1:9090          # /readyz, /metrics, /connections
  token: %s
`

func newConfigInit(sys *System) *cobra.Command {
	out := outFlags{mode: 0o600}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a small configuration with secrets of its own",
		Long: `Makes a configuration to start from: TLS with the development certificate, channels for
users with a token, and the admin listener on loopback. Its secrets are new. With
--output it is written to a file that only its owner can read.`,
		Example: `  handfast config init --output handfast.yaml
  handfast serve --config handfast.yaml`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: run(func(*cobra.Command, []string) error {
			return out.write(sys, fmt.Sprintf(initText, newSecret(), newSecret(), newSecret()))
		}),
	}
	out.register(cmd)
	return cmd
}

// newSecret returns 32 random bytes as text.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // according to its documentation, it never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func newConfigSchema(sys *System) *cobra.Command {
	var out outFlags
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON Schema of the configuration, for editors",
		Long: `Prints a JSON Schema (draft 2020-12) of the configuration. Editors offer the keys of a
file that begins with

  # yaml-language-server: $schema=handfast.schema.json

"handfast config check" reports what a schema cannot express.`,
		Example:           `  handfast config schema --output handfast.schema.json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              run(func(*cobra.Command, []string) error { return out.write(sys, config.Schema()) }),
	}
	out.register(cmd)
	return cmd
}
