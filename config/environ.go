package config

import (
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The environment variables that belong to handfast begin with this.
const envPrefix = "HANDFAST_"

// EnvFile names the configuration file, when no flag does. [Load] leaves it to its caller.
const EnvFile = envPrefix + "CONFIG"

// serviceLinks are the variables that Kubernetes and Docker set for a service called handfast, or handfast-something:
// HANDFAST_PORT=tcp://10.0.0.1:8443, HANDFAST_SERVICE_HOST. They are nobody's mistake.
var serviceLinks = regexp.MustCompile(`^HANDFAST_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// environ sets what environment variables say: HANDFAST_LIMITS_CONNECTIONS is limits.connections, and
// HANDFAST_LISTEN_0_ADDRESS is listen[0].address. An empty one is as one that is not set.
func (l *loader) environ(c *Config, environ []string) {
	sorted := slices.Clone(environ)
	slices.SortFunc(sorted, compareEnv)
	given := map[string]string{} // path to the variable that set it
	for _, kv := range sorted {
		name, text, _ := strings.Cut(kv, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || name == EnvFile {
			continue
		}
		at := Pos{File: "environment variable " + name}
		if text == "" {
			if key := strings.ToLower(rest); key == "endpoints" || key == "auth" { // without it everything would be open
				l.problem(&Problem{Pos: at, Path: key, Text: "it is empty", Want: "what protects the server, or no such variable"})
			}
			continue
		}
		path, ok := resolveEnv(reflect.ValueOf(c).Elem(), rest)
		base, fromFile := strings.CutSuffix(path, fileSuffix)
		switch {
		case ok && fromFile && given[base] != "":
			l.problem(&Problem{Pos: at, Path: path, Text: given[base] + " is given, too", Want: "one of the two"})
		case ok:
			given[path] = name
			l.set(c, path, text, at)
		case !serviceLinks.MatchString(name):
			p := &Problem{Pos: at, Text: "there is no such setting"}
			p.Hint = "the names are those of the keys, such as HANDFAST_LOG_LEVEL for log.level"
			if near := nearest(rest, envNames()); near != "" {
				p.Hint = "did you mean " + envPrefix + strings.ToUpper(near) + "?"
			}
			l.problem(p)
		}
	}
}

// compareEnv sorts by name, so that what is set first does not depend on the process's parent: a list before its items,
// and item 2 before item 10.
func compareEnv(a, b string) int {
	a, _, _ = strings.Cut(a, "=")
	b, _, _ = strings.Cut(b, "=")
	return slices.CompareFunc(strings.Split(a, "_"), strings.Split(b, "_"), func(x, y string) int {
		m, errX := strconv.Atoi(x)
		n, errY := strconv.Atoi(y)
		if errX == nil && errY == nil {
			return m - n
		}
		return strings.Compare(x, y)
	})
}

// resolveEnv returns the path that the rest of a variable's name stands for. v is what is there so far.
func resolveEnv(v reflect.Value, rest string) (path string, ok bool) {
	if rest == "" {
		return "", true
	}
	t := v.Type()
	switch {
	case t == authRefType:
		return resolveEnv(reflect.New(reflect.TypeFor[Method]()).Elem(), rest)
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			v = reflect.New(t.Elem())
		}
		return resolveEnv(v.Elem(), rest)
	case t.Kind() == reflect.Slice:
		return resolveItem(v, rest)
	case t.Kind() == reflect.Map:
		return resolveEntry(v, rest)
	}
	s := shapeOf(t)
	if s == nil {
		return "", false
	}
	keys := s.keys()
	slices.SortFunc(keys, func(a, b string) int { return len(b) - len(a) }) // tls_timeout before tls
	for _, key := range keys {
		below, ok := cutName(rest, key)
		if !ok {
			continue
		}
		f, fromFile, _ := s.lookup(key)
		if fromFile {
			if below == "" {
				return key, true
			}
			continue
		}
		if p, ok := resolveEnv(v.Field(f.index), below); ok {
			return joinPath(key, p), true
		}
	}
	return "", false
}

func resolveItem(v reflect.Value, rest string) (string, bool) {
	digits, below, _ := strings.Cut(rest, "_")
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", false
	}
	item := reflect.New(v.Type().Elem()).Elem()
	if int(n) < v.Len() {
		item = v.Index(int(n))
	}
	p, ok := resolveEnv(item, below)
	return joinPath("["+digits+"]", p), ok
}

// resolveEntry finds the name of an entry: one that is there, or else the shortest that leaves a key of its parts.
func resolveEntry(v reflect.Value, rest string) (string, bool) {
	var names []string
	for _, key := range v.MapKeys() {
		names = append(names, key.String())
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		if below, ok := cutName(rest, name); ok {
			if p, ok := resolveEnv(v.MapIndex(reflect.ValueOf(name)), below); ok {
				return joinPath(name, p), true
			}
		}
	}
	words := strings.Split(rest, "_")
	for i := 1; i <= len(words); i++ {
		name, below := strings.ToLower(strings.Join(words[:i], "_")), strings.Join(words[i:], "_")
		if below == "" && v.Type().Elem().Kind() == reflect.Pointer {
			continue // a name alone is most likely a typing error
		}
		if p, ok := resolveEnv(reflect.New(v.Type().Elem()).Elem(), below); ok && name != "" {
			return joinPath(name, p), true
		}
	}
	return "", false
}

// cutName cuts a key from the front of a variable's name: "0_ADDRESS" from "LISTEN_0_ADDRESS".
func cutName(rest, key string) (below string, ok bool) {
	below, ok = strings.CutPrefix(rest, strings.ToUpper(strings.ReplaceAll(key, "-", "_")))
	if !ok || below == "" {
		return below, ok
	}
	return strings.CutPrefix(below, "_")
}

// joinPath puts a key before a path, which may begin with an index.
func joinPath(key, path string) string {
	if path == "" || path[0] == '[' {
		return key + path
	}
	return key + "." + path
}

// envNames returns the names of what is in no list and under no name of the user's, for suggestions.
func envNames() []string {
	var names []string
	var walk func(t reflect.Type, name string)
	walk = func(t reflect.Type, name string) {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		s := shapeOf(t)
		if s == nil {
			return
		}
		for _, f := range s.fields {
			names = append(names, name+f.key)
			walk(f.typ, name+f.key+"_")
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return names
}
