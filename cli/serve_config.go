package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/observe"
)

// load loads the configuration of a server from the defaults, the file, the environment and the flags. If the configuration could be read
// without a problem, it calls read before it checks the parts. read may be nil.
func (f *serveFlags) load(read func(*config.Config)) (*config.Config, error) {
	c, err := config.Load(config.Sources{File: f.config, Bare: f.balance != nil, Environ: os.Environ(), Settings: f.settings, Read: read,
		Check: checkParts, Try: gateway.Check})
	if !f.given("config") {
		hintVariable(err, f.config)
	}
	if problems := problemsOf(err); len(problems) > 0 {
		last := problems[len(problems)-1] // the step is printed only once, after the last problem
		if last.NextStep() == "" && strings.HasPrefix(last.Pos.File, "--") {
			last.Hint = "see handfast serve --help"
			if f.balance != nil {
				last.Hint = "see handfast balance --help"
			}
		}
	}
	return c, err
}

// settings returns the settings of the flags. c is the configuration without these settings.
func (f *serveFlags) settings(c *config.Config) ([]config.Setting, error) {
	var list []config.Setting
	set := func(flag, path string, value any) error {
		text, ok := value.(string)
		if !ok {
			b, err := json.Marshal(value) // JSON is valid YAML
			if err != nil {
				return err
			}
			text = string(b)
		} else if !strings.Contains(flag, " ") {
			flag = withValue(flag, text)
		}
		list = append(list, config.Setting{Path: path, Value: text, From: "--" + flag})
		return nil
	}
	var errs []error
	if f.balance != nil {
		errs = append(errs, f.balance.settings(set))
	}
	errs = append(errs, f.listenSettings(c, set)...)
	if f.given("origin") {
		n := len(c.Endpoints)
		if f.balance != nil {
			n = 1 // the balancer's endpoint comes from the flags
		}
		for i := range n {
			errs = append(errs, set("origin", fmt.Sprintf("endpoints[%d].origins", i), f.origins))
		}
	}
	if f.given("admin") {
		errs = append(errs, set("admin", "admin.address", f.admin))
	}
	if f.given("log") {
		errs = append(errs, set("log", "log.format", f.log.value))
	}
	errs = append(errs, f.hub.settings(c.Hub.Engine.Kind, f.given, set)...)
	return list, errors.Join(errs...)
}

// listenSettings calls set with the settings of the flags for listeners and certificates.
func (f *serveFlags) listenSettings(c *config.Config, set func(flag, path string, value any) error) (errs []error) {
	var dev []int // the indexes of listeners with a development certificate
	useTLS := func(i int) {
		if f.tls.value == "dev" {
			dev = append(dev, i)
		}
		if f.tls.value == "files" { // two settings, so that messages name the right flag
			files := fmt.Sprintf("listen[%d].tls.files[0].", i)
			errs = append(errs, set("cert", files+"cert", f.cert), set("key", files+"key", f.key))
		}
	}
	switch {
	case f.given("listen"):
		var all []map[string]any
		for _, addr := range f.listen {
			scheme, addr := listenScheme(addr)
			tls := f.tlsSettings()
			if scheme == "http" {
				tls = map[string]any{"mode": "off"}
			}
			all = append(all, map[string]any{"address": addr, "tls": tls})
		}
		errs = append(errs, set("listen", "listen", all))
		for i, l := range all { // one setting for each, so that messages name the flag and its value
			errs = append(errs, set(withValue("listen", f.listen[i]), fmt.Sprintf("listen[%d]", i), l))
			if scheme, _ := listenScheme(f.listen[i]); scheme != "http" {
				useTLS(i)
			}
		}
	case f.given("tls"):
		for i := range c.Listen {
			errs = append(errs, set(withValue("tls", f.tls.value), fmt.Sprintf("listen[%d].tls", i), f.tlsSettings()))
			useTLS(i)
		}
	default:
		for i, l := range c.Listen {
			if l.Dev() {
				dev = append(dev, i)
			}
		}
	}
	if !f.given("host") {
		return errs
	}
	if len(dev) == 0 {
		errs = append(errs, usagef("omit --host", "--host has no effect: no listener has a development certificate"))
	}
	for _, i := range dev {
		path := fmt.Sprintf("listen[%d].tls.dev.hosts", i)
		errs = append(errs, set("host", path, f.hosts))
		for j, host := range f.hosts {
			errs = append(errs, set("host", fmt.Sprintf("%s[%d]", path, j), host))
		}
	}
	return errs
}

// withValue returns a flag and its value as the source of a setting, for messages. If the value may contain a password, it returns only the
// flag.
func withValue(flag, value string) string {
	if slices.Contains([]string{"redis-url", "nats-url"}, flag) {
		return flag
	}
	return flag + " " + strconv.Quote(value)
}

// tlsSettings returns the settings of the flags for TLS.
func (f *serveFlags) tlsSettings() map[string]any {
	m := map[string]any{"mode": f.tls.value}
	if f.tls.value == "files" {
		m["files"] = []map[string]string{{"cert": f.cert, "key": f.key}}
	}
	return m
}

// newLog returns the logger that a configuration specifies.
func newLog(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // the level was checked
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: observe.ReplaceAttr}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// problemsOf returns the problems in an error about a configuration, or nil if err is another error.
func problemsOf(err error) []*config.Problem {
	if all, ok := errors.AsType[*config.Error](err); ok {
		return all.Problems
	}
	if one, ok := errors.AsType[*config.Problem](err); ok {
		return []*config.Problem{one}
	}
	return nil
}

// causedByFlags reports whether the flags alone cause the problems of a configuration: each problem must be the value of a flag, or a missing
// setting if only flags are given.
func (f *serveFlags) causedByFlags(err error) bool {
	problems := problemsOf(err)
	for _, p := range problems {
		switch {
		case strings.HasPrefix(p.Pos.File, "--"): // the value is from a flag
		case f.given("config") && unreadable(p, f.config):
		case p.Pos == config.Pos{} && f.config == "" && !slices.ContainsFunc(os.Environ(), config.IsVariable):
		default:
			return false
		}
	}
	return len(problems) > 0
}

// asFlag rewords a problem with the value of a flag: it omits the key of the configuration, which the user has not written. Other problems
// are returned unchanged.
func asFlag(p config.Problem) config.Problem {
	flag, quoted, _ := strings.Cut(p.Pos.File, " ")
	if !strings.HasPrefix(flag, "--") {
		return p
	}
	value, _ := strconv.Unquote(quoted) // "" if the value is not shown
	if strings.Contains(p.Text, quoted) || strings.HasPrefix(p.Text, value+" ") || strings.HasPrefix(p.Text, value+":") {
		p.Pos.File = flag // the text of the problem already contains the value
	}
	for _, e := range engineFlags { // if the problem is a missing setting, name the flag that sets it
		if p.Path == "hub.engine."+e.kind+"."+strings.TrimSuffix(e.key, "_file") && flag != "--"+e.flag {
			p.Pos.File = "--" + e.flag
		}
	}
	p.Path = ""
	return p
}

// problemStep returns the next step after a problem of a configuration, or "" if there is none.
func problemStep(p *config.Problem) string {
	if step := p.NextStep(); step != "" || strings.HasPrefix(p.Pos.File, "--") {
		return step
	}
	for path := p.Path; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		key := withoutIndexes(path)
		if text, _ := config.Doc(key); text == "" || key == "" {
			continue
		}
		if path == p.Path {
			return "handfast config doc " + key + " explains this key"
		}
		return "handfast config doc " + key + " lists the keys"
	}
	switch {
	case p.Path == "" && strings.Contains(p.Text, "the file is larger than"):
		return "check that this is the configuration file: handfast config init prints a small one"
	case p.Path == "" && p.File != "" && unreadable(p, p.File):
		return "give the path of a YAML file that this user can read"
	case p.Line > 0: // the file may not be a configuration at all
		return "handfast config init prints a small configuration, and handfast config doc lists all keys"
	}
	return ""
}

// withoutIndexes returns the path of a value without the indexes of items, as in "endpoints.rules.when".
func withoutIndexes(path string) string {
	var b strings.Builder
	for path != "" {
		key, rest, _ := strings.Cut(path, "[")
		b.WriteString(key)
		_, path, _ = strings.Cut(rest, "]")
	}
	return b.String()
}

// printProblems writes the problems of a configuration, each with its next step. It returns the error for the command.
func printProblems(w io.Writer, err error) error {
	problems := problemsOf(err)
	if problems == nil {
		return err
	}
	for _, p := range problems {
		line := asFlag(*p)
		line.Want, line.Hint = "", ""
		fmt.Fprintln(w, "handfast: "+visible.Text(line.Error()))
		if p.Want != "" {
			fmt.Fprintln(w, "  expected:  "+visible.Text(p.Want))
		}
		printStep(w, problemStep(p))
	}
	return errReported
}
