package cli

import (
	"cmp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/config"
)

// hubFlags are the flags of a server for channels.
type hubFlags struct {
	apps   []string
	engine choice
	texts  map[string]*string // the values of the flags in engineFlags, except for join
	join   []string
}

// engineFlag is a flag for one kind of engine, and the configuration key that it sets.
type engineFlag struct{ flag, kind, key, usage string }

var engineFlags = []engineFlag{
	{"redis-url", "redis", "url", "for --engine redis: the `URL` of the server, or @FILE; by default redis://127.0.0.1:6379"},
	{"nats-url", "nats", "url", "for --engine nats: the `URL` of external servers, or @FILE"},
	{"cluster-listen", "nats", "cluster.listen", "for --engine nats: the `host:port` to which other nodes connect"},
	{"join", "nats", "cluster.join", "for --engine nats: the --cluster-listen `host:port` of another node; may be repeated"},
	{"cluster-secret-file", "nats", "cluster.secret_file", "for --engine nats: a `file` with a secret that all nodes share"},
	{"cluster-cert", "nats", "cluster.cert", "for --engine nats: the certificate of this node, a PEM `file`"},
	{"cluster-key", "nats", "cluster.key", "for --engine nats: the private key of --cluster-cert, a PEM `file`, if not in the same file"},
	{"cluster-ca", "nats", "cluster.ca", "for --engine nats: the certificate authority of all nodes, a PEM `file`"},
}

// register adds the flags to a command.
func (f *hubFlags) register(cmd *cobra.Command) {
	f.engine = choice{"memory", config.Engines()}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.apps, "app", nil,
		"an application, `ID:KEY:SECRET` or ID:KEY:@FILE, replaces those of the file; may be repeated")
	flags.Var(&f.engine, "engine", "the engine that connects the nodes and stores the state of channels")
	f.texts = map[string]*string{}
	for _, e := range engineFlags {
		if e.flag == "join" {
			flags.StringArrayVar(&f.join, e.flag, nil, e.usage)
		} else {
			f.texts[e.flag] = flags.String(e.flag, "", e.usage)
		}
	}
	complete(cmd, map[string][]string{"app": {}, "engine": f.engine.allowed, "redis-url": {"redis://127.0.0.1:6379"},
		"nats-url": {"nats://127.0.0.1:4222"}, "cluster-listen": {"127.0.0.1:6222"}, "join": {"127.0.0.1:6222"}})
}

// check checks that the flags are valid and can be combined. Errors do not contain a secret.
func (f *hubFlags) check(given func(flag string) bool) error {
	if given("cluster-listen") {
		if err := checkListen("--cluster-listen", *f.texts["cluster-listen"]); err != nil {
			return err
		}
	}
	for _, addr := range f.join {
		if err := checkListen("--join", addr); err != nil {
			return err
		}
	}
	for _, text := range f.apps {
		if len(f.app(text)) == 0 {
			return usagef("write ID:KEY:SECRET, or ID:KEY:@FILE to read the secret from a file", "--app: %s is missing", missing(text))
		}
	}
	return nil
}

// missing returns the name of the part that is missing in ID:KEY:SECRET, the value of a flag. It does not return the value, which may
// contain only a secret.
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

// app returns an application in the form of the configuration, or nil if a part is missing.
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

// settings calls set with the settings of the flags. kind is the engine in the configuration without the flags. The configuration's
// settings for that engine remain, unless a flag changes them.
func (f *hubFlags) settings(kind string, given func(flag string) bool, set func(flag, path string, value any) error) (errs []error) {
	if given("app") {
		var all []map[string]string
		for _, text := range f.apps {
			all = append(all, f.app(text))
		}
		errs = append(errs, set("app", "apps", all)) // the source in messages is only the flag, because its values contain secrets
	}
	kind = cmp.Or(kind, "memory")
	if given("engine") && f.engine.value != kind {
		kind = f.engine.value
		errs = append(errs, set("engine", "hub.engine", kind))
	}
	for _, e := range engineFlags {
		switch {
		case !given(e.flag):
		case kind != e.kind:
			errs = append(errs, usagef("add --engine "+e.kind, "--%s cannot be used with the engine %s", e.flag, kind))
		default:
			key, value := e.key, any(f.join)
			if text := f.texts[e.flag]; text != nil {
				value = *text
				if file, ok := strings.CutPrefix(*text, "@"); ok && key == "url" {
					key, value = "url_file", file
				}
			}
			errs = append(errs, set(e.flag, "hub.engine."+e.kind+"."+key, value))
		}
	}
	return errs
}
