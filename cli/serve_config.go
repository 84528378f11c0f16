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
)

// load makes the configuration of a server: the defaults, the file, the environment, the flags.
func (f *serveFlags) load() (*config.Config, error) {
	return config.Load(config.Sources{File: f.config, Bare: f.balance != nil, Environ: os.Environ(), Settings: f.settings, Check: checkParts, Try: gateway.Check})
}

// settings are what the flags say, for a configuration that is c without them.
func (f *serveFlags) settings(c *config.Config) ([]config.Setting, error) {
	var list []config.Setting
	set := func(flag, path string, value any) error {
		text, ok := value.(string)
		if !ok {
			b, err := json.Marshal(value) // which is YAML, too
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
		for i := range max(len(c.Endpoints), 1) { // that of a balancer is a flag itself
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

// listenSettings gives set what the flags say about listeners and their certificates.
func (f *serveFlags) listenSettings(c *config.Config, set func(flag, path string, value any) error) (errs []error) {
	var dev []int // the listeners with a development certificate
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
		for i, l := range all { // for messages that name the flag
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
			if l.TLS.Mode == config.TLSDev || l.TLS.Mode == "" && len(l.TLS.Files)+len(l.TLS.ACME.Hosts) == 0 {
				dev = append(dev, i)
			}
		}
	}
	if !f.given("host") {
		return errs
	}
	if len(dev) == 0 {
		errs = append(errs, usagef("leave it out", "--host has no use: no listener has a development certificate"))
	}
	for _, i := range dev {
		errs = append(errs, set("host", fmt.Sprintf("listen[%d].tls.dev.hosts", i), f.hosts))
	}
	return errs
}

// tlsSettings is what the flags say about TLS.
func (f *serveFlags) tlsSettings() map[string]any {
	m := map[string]any{"mode": f.tls.value}
	if f.tls.value == "files" {
		m["files"] = []map[string]string{{"cert": f.cert, "key": f.key}}
	}
	return m
}

// newLog makes the log that a configuration asks for.
func newLog(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // it was checked
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// problemsOf returns what is wrong with a configuration, nil when err is about something else.
func problemsOf(err error) []*config.Problem {
	if all, ok := errors.AsType[*config.Error](err); ok {
		return all.Problems
	}
	if one, ok := errors.AsType[*config.Problem](err); ok {
		return []*config.Problem{one}
	}
	return nil
}

// toBlame reports whether the flags are all that is wrong with a configuration: each problem is with the value of one, or
// with what is missing because of one, when nothing but flags says anything.
func (f *serveFlags) toBlame(err error) bool {
	problems := problemsOf(err)
	for _, p := range problems {
		switch {
		case strings.HasPrefix(p.Pos.File, "--"): // what gave the value
		case f.given("config") && unreadable(p, f.config):
		case p.Pos == config.Pos{} && f.config == "" && !slices.ContainsFunc(os.Environ(), config.IsVariable):
		default:
			return false
		}
	}
	return len(problems) > 0
}

// tellProblems writes what is wrong with a configuration, a line for each problem and one for what to do about it. It
// returns the error with which the command ends.
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
		if hint == "" && p.Path == "" && unreadable(p, p.File) { // nothing in it was found wrong
			hint = "give the path of a YAML file that this user can read"
		}
		if hint != "" {
			fmt.Fprintln(w, "  next step: "+visible.Text(hint))
		}
	}
	return errQuiet
}
