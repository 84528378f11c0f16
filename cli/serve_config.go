package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/observe"
)

// load loads the configuration of a server: the defaults, the file, the environment, the flags.
func (f *serveFlags) load() (*config.Config, error) {
	return config.Load(config.Sources{File: f.config, Bare: f.balance != nil, Environ: os.Environ(), Settings: f.settings, Check: checkParts, Try: gateway.Check})
}

// settings returns the settings of the flags. c is the configuration without them.
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
		for i := range max(len(c.Endpoints), 1) { // the endpoint of a balancer comes from the flags
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
	switch {
	case f.given("listen"):
		var all []map[string]any
		for i, addr := range f.listen {
			scheme, addr := listenScheme(addr)
			tls := f.tlsSettings()
			if scheme == "http" {
				tls = map[string]any{"mode": "off"}
			} else if f.tls.value == "dev" {
				dev = append(dev, i)
			}
			all = append(all, map[string]any{"address": addr, "tls": tls})
		}
		errs = append(errs, set("listen", "listen", all))
		for i, l := range all { // set separately, so that messages name the flag
			if tls := l["tls"].(map[string]any); tls["mode"] == "files" {
				files := fmt.Sprintf("listen[%d].tls.files[0].", i)
				errs = append(errs, set("cert", files+"cert", f.cert), set("key", files+"key", f.key))
			}
		}
	case f.given("tls"):
		for i := range c.Listen {
			errs = append(errs, set("tls", fmt.Sprintf("listen[%d].tls", i), f.tlsSettings()))
			dev = append(dev, i)
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
		errs = append(errs, usagef("leave it out", "--host has no effect: no listener has a development certificate"))
	}
	for _, i := range dev {
		errs = append(errs, set("host", fmt.Sprintf("listen[%d].tls.dev.hosts", i), f.hosts))
	}
	return errs
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

// problemsOf returns the problems of a configuration in an error, nil if err is another error.
func problemsOf(err error) []*config.Problem {
	if all, ok := errors.AsType[*config.Error](err); ok {
		return all.Problems
	}
	if one, ok := errors.AsType[*config.Problem](err); ok {
		return []*config.Problem{one}
	}
	return nil
}

// toBlame reports whether only the flags cause the problems of a configuration: each problem is the value of a flag, or a missing
// setting while only flags are given.
func (f *serveFlags) toBlame(err error) bool {
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

// tellProblems writes the problems of a configuration, each with its next step. It returns the error for the command.
func tellProblems(w io.Writer, err error) error {
	problems := problemsOf(err)
	if problems == nil {
		return err
	}
	for _, p := range problems {
		line := *p
		line.Want, line.Hint = "", ""
		fmt.Fprintln(w, "handfast: "+visible.Text(line.Error()))
		if p.Want != "" {
			fmt.Fprintln(w, "  expected:  "+visible.Text(p.Want))
		}
		hint := p.Hint
		if key := strings.FieldsFunc(p.Path, func(c rune) bool { return c == '.' || c == '[' }); hint == "" && len(key) > 0 {
			if text, _ := config.Doc(key[0]); text != "" {
				hint = "handfast config doc " + key[0] + " lists the keys"
			}
		}
		if hint == "" && p.Path == "" && unreadable(p, p.File) { // the content of the file is not the problem
			hint = "give the path of a YAML file that this user can read"
		}
		if hint != "" {
			fmt.Fprintln(w, "  next step: "+visible.Text(hint))
		}
	}
	return errQuiet
}
