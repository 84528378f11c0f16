package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/config"
)

// hubFlags is what the command line of a server says about channels.
type hubFlags struct {
	apps     []string
	engine   choice
	redisURL string
}

// register adds the flags to a command.
func (f *hubFlags) register(cmd *cobra.Command) {
	f.engine = choice{"memory", config.Engines()}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.apps, "app", nil,
		"an application, `ID:KEY:SECRET` or ID:KEY:@FILE; may be repeated; it replaces the application dev")
	flags.Var(&f.engine, "engine", "what connects the nodes and keeps what channels keep")
	flags.StringVar(&f.redisURL, "redis-url", "redis://127.0.0.1:6379",
		"for --engine redis: its `URL`; keep passwords in a file")
	complete(cmd, map[string][]string{"app": {}, "engine": f.engine.allowed, "redis-url": {"redis://127.0.0.1:6379"}})
}

// check makes sure that the flags make sense. An error does not show a secret.
func (f *hubFlags) check(given func(flag string) bool) error {
	if given("redis-url") && f.engine.value != "redis" {
		return usagef("add --engine redis", "--redis-url has no use with --engine %s", f.engine.value)
	}
	for _, text := range f.apps {
		if len(f.app(text)) == 0 {
			return usagef("write ID:KEY:SECRET, or ID:KEY:@FILE to read the secret from a file", "--app: %s is missing", missing(text))
		}
	}
	return nil
}

// missing says what an application on the command line lacks. It does not show the text, which may be a secret alone.
func missing(text string) string {
	id, rest, _ := strings.Cut(text, ":")
	key, _, ok := strings.Cut(rest, ":")
	switch {
	case !ok:
		return "KEY or SECRET"
	case id == "":
		return "ID"
	case key == "":
		return "KEY"
	}
	return "SECRET"
}

// app returns an application as the configuration has it; nil when something is missing.
func (f *hubFlags) app(text string) map[string]string {
	id, rest, _ := strings.Cut(text, ":")
	key, secret, _ := strings.Cut(rest, ":")
	if id == "" || key == "" || secret == "" || secret == "@" {
		return nil
	}
	if file, ok := strings.CutPrefix(secret, "@"); ok {
		return map[string]string{"id": id, "key": key, "secret_file": file}
	}
	return map[string]string{"id": id, "key": key, "secret": secret}
}

// settings gives set what the flags say, for a configuration with an engine that is kind without them. What it says about that
// engine stays, unless a flag says otherwise.
func (f *hubFlags) settings(kind string, given func(flag string) bool, set func(flag, path string, value any) error) (errs []error) {
	if given("app") {
		var all []map[string]string
		for _, text := range f.apps {
			all = append(all, f.app(text))
		}
		errs = append(errs, set("app", "apps", all))
	}
	if given("engine") && f.engine.value != kind {
		errs = append(errs, set("engine", "hub.engine", f.engine.value))
	}
	if given("redis-url") {
		errs = append(errs, set("redis-url", "hub.engine.redis.url", f.redisURL))
	}
	return errs
}
